"""From the teachers that a recipe names to one frozen net that teaches."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import nn

from hanmo.charset import Charset, list_characters
from hanmo.errors import CharsetError
from hanmo.nets.ensemble import Ensemble, PartialEnsemble, resize_input
from hanmo.nets.feature_hooks import FeatureHooks
from hanmo.train.batches import DataInfo
from hanmo.train.config import DistillConfig
from hanmo.train.initialisation import load_fitting
from hanmo.train.methods import build_methods
from hanmo.train.onnx_teacher import ONNX_PREFIX, OnnxTeacher, load_onnx_teacher
from hanmo.train.parallel import channels_last


def build_teacher(config: DistillConfig, info: DataInfo, device: torch.device) -> tuple[FeatureHooks | None, list[str]]:
    """The frozen teacher with hooks on the layers that the methods need, and the sources of its knowledge.

    Several teachers become one :class:`Ensemble`; without teachers the first value is None. Runs may know some of our
    characters only, if another teacher knows all of them (:class:`PartialEnsemble`). Sources are what trained
    teachers were trained on, and the ONNX models themselves with their licences. Raises :class:`CharsetError` or
    :class:`ConfigError` when a teacher does not fit the data that ``info`` describes, :class:`ModelError` for an ONNX
    model that cannot be used.
    """
    # Built only to ask which layers they read; the methods that are trained are built with the student.
    layers = build_methods(config).teacher_layers
    if not config.teachers:
        return None, []
    members = [_load_member(name, info, alone=len(config.teachers) == 1) for name in config.teachers]
    sources = [source for member in members for source in member.sources]
    net = _combine_members(members, config, info.charset)
    # eval: a teacher's norms use their stored statistics and its dropout is off, so its answers depend on nothing but
    # the picture.
    return FeatureHooks(channels_last(net, device).requires_grad_(False).eval(), layers), sources


class _Member(NamedTuple):
    """One teacher: its net, what it learnt from, and the characters whose logits it gives, in their order."""

    net: nn.Module
    sources: tuple[str, ...]
    characters: tuple[str, ...]


def _load_member(name: str, info: DataInfo, *, alone: bool) -> _Member:
    """An ONNX model for ``onnx:TEACHER.toml``, else the net of a run."""
    if not name.startswith(ONNX_PREFIX):
        trained = load_fitting(name, info, "teacher", partly=not alone)
        # A teacher may have been trained on squares of another side; it gets them at its own.
        net = resize_input(trained.net, trained.normalization.side)
        return _Member(net, trained.trained_on, trained.charset.characters)
    path = name.removeprefix(ONNX_PREFIX)
    teacher, source = load_onnx_teacher(path, info.charset, info.normalization, info.members)
    if alone and teacher.lacks.any():
        raise CharsetError(f"{name}: lacks some of our characters, so it cannot teach alone; add a teacher")
    return _Member(teacher, (f"taught by: {source}",), info.charset.characters)


def _combine_members(members: list[_Member], config: DistillConfig, charset: Charset) -> nn.Module:
    """One net that answers for all teachers, of which some may know a part of the ``charset`` only."""
    weights = config.teacher_weights or (1.0,) * len(members)
    partial = [m.characters != charset.characters for m in members]
    if not any(partial):
        return combine_teachers([m.net for m in members], config)
    known = next(m.characters for m, is_partial in zip(members, partial, strict=True) if is_partial)
    if all(partial):
        unknown = [c for c in charset if c not in known]
        raise CharsetError(
            f"no teacher knows all of the data's {len(charset)} characters ({list_characters(unknown, shown=5)} "
            "are unknown); add one that does"
        )
    if any(m.characters != known for m, is_partial in zip(members, partial, strict=True) if is_partial):
        raise CharsetError("teachers that know some of the characters must all know the same ones; leave some out")

    def combined(are_partial: bool) -> tuple[nn.Module, float]:
        chosen = [i for i, is_partial in enumerate(partial) if is_partial == are_partial]
        shares = tuple(weights[i] for i in chosen)
        one = replace(config, teachers=tuple(config.teachers[i] for i in chosen), teacher_weights=shares)
        return combine_teachers([members[i].net for i in chosen], one), sum(shares)

    (complete, weight), (rest, rest_weight) = combined(False), combined(True)
    is_known = torch.zeros(len(charset), dtype=torch.bool)
    is_known[torch.from_numpy(charset.encode(known))] = True
    return PartialEnsemble(complete, rest, is_known, rest_weight / (weight + rest_weight))


def combine_teachers(members: list[nn.Module], config: DistillConfig) -> nn.Module:
    """One net that answers for all: the only teacher itself, or an :class:`Ensemble` (several, or augmented views).

    Raises :class:`CharsetError` for an ensemble with a class that every member lacks: it would have no answer.
    """
    if len(members) == 1 and config.teacher_tta == 1:
        return members[0]
    gaps = [member.lacks for member in members if isinstance(member, OnnxTeacher)]
    if len(gaps) == len(members) and (count := int(torch.stack(gaps).all(0).sum())):
        raise CharsetError(
            f"no teacher knows {count} of the data's characters; add one that does, or leave these characters out"
        )
    return Ensemble(members, config.teacher_weights, config.teacher_tta)
