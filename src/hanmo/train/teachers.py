"""From the teachers that a recipe names to one frozen net that teaches."""

from __future__ import annotations

import torch
from torch import nn

from hanmo.errors import CharsetError
from hanmo.nets.ensemble import Ensemble, resize_input
from hanmo.nets.feature_hooks import FeatureHooks
from hanmo.train.batches import DataInfo
from hanmo.train.config import DistillConfig
from hanmo.train.initialisation import load_fitting
from hanmo.train.methods import build_methods
from hanmo.train.onnx_teacher import ONNX_PREFIX, load_onnx_teacher
from hanmo.train.parallel import channels_last


def build_teacher(config: DistillConfig, info: DataInfo, device: torch.device) -> tuple[FeatureHooks | None, list[str]]:
    """The frozen teacher with hooks on the layers that the methods need, and the sources of its knowledge.

    Several teachers become one :class:`Ensemble`; without teachers the first value is None. Sources are what trained
    teachers were trained on, and the ONNX models themselves with their licences. Raises :class:`CharsetError` or
    :class:`ConfigError` when a teacher does not fit the data that ``info`` describes, :class:`ModelError` for an ONNX
    model that cannot be used.
    """
    # Built only to ask which layers they read; the methods that are trained are built with the student.
    layers = build_methods(config).teacher_layers
    if not config.teachers:
        return None, []
    members: list[nn.Module] = []
    sources: list[str] = []
    for name in config.teachers:
        member, learnt_from = _load_member(name, info, alone=len(config.teachers) == 1)
        members.append(member)
        sources += learnt_from
    net = combine_teachers(members, config)
    # eval: a teacher's norms use their stored statistics and its dropout is off, so its answers depend on nothing but
    # the picture.
    return FeatureHooks(channels_last(net, device).requires_grad_(False).eval(), layers), sources


def _load_member(name: str, info: DataInfo, *, alone: bool) -> tuple[nn.Module, list[str]]:
    """One teacher and its sources: an ONNX model for ``onnx:TEACHER.toml``, else the net of a run."""
    if not name.startswith(ONNX_PREFIX):
        trained = load_fitting(name, info, "teacher")
        # A teacher may have been trained on squares of another side; it gets them at its own.
        return resize_input(trained.net, trained.normalization.side), list(trained.trained_on)
    teacher, source = load_onnx_teacher(name.removeprefix(ONNX_PREFIX), info.charset, info.normalization)
    if alone and teacher.lacks.any():
        raise CharsetError(f"{name}: lacks some of our characters, so it cannot teach alone; add a teacher")
    return teacher, [f"taught by: {source}"]


def combine_teachers(members: list[nn.Module], config: DistillConfig) -> nn.Module:
    """One net that answers for all: the only teacher itself, or an :class:`Ensemble` (several, or augmented views)."""
    if len(members) == 1 and config.teacher_tta == 1:
        return members[0]
    return Ensemble(members, config.teacher_weights, config.teacher_tta)
