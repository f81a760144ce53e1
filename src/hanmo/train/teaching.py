"""From a recipe's [distill] section to a teacher and a sum of methods."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from hanmo.charset import list_characters
from hanmo.distill import METHODS, Distillation, build_method
from hanmo.errors import CharsetError, ConfigError
from hanmo.nets.inherit import can_inherit, inherit, keep_classes
from hanmo.nets.resnet import ResNet
from hanmo.nets.taps import Ensemble, Tapped, seeing
from hanmo.train.batches import Described
from hanmo.train.checkpoint import load_into
from hanmo.train.config import DistillConfig
from hanmo.train.onnx_teacher import PREFIX, load_onnx_teacher
from hanmo.train.parallel import channels_last
from hanmo.train.run import TrainedNet, load_trained

MARGINS_APART = 0.015
"""How far margins, as shares of the side, may differ between what a net was trained on and what it is shown."""


def build_teacher(config: DistillConfig, pack: Described, device: torch.device) -> tuple[Tapped | None, list[str]]:
    """The frozen teacher (several: their :class:`Ensemble`), tapped where the methods look; and where it learnt.

    Without teachers None. Where it learnt is what trained teachers were trained on, and ONNX models themselves, with
    licences. Raises :class:`CharsetError` or :class:`ConfigError` when a teacher was not trained for what ``pack``
    holds.
    """
    layers = build_methods(config).teacher_layers
    if not config.teachers:
        return None, []
    members: list[nn.Module] = []
    sources: list[str] = []
    for name in config.teachers:
        if name.startswith(PREFIX):
            member, source = load_onnx_teacher(name.removeprefix(PREFIX), pack.charset, pack.normalization)
            if len(config.teachers) == 1 and member.lacks.any():
                raise CharsetError(f"{name}: lacks some of our characters, so it cannot teach alone; add a teacher")
            members.append(member)
            sources.append(f"taught by: {source}")
        else:
            trained = load_fitting(name, pack, "teacher")
            members.append(seeing(trained.net, trained.normalization.side))
            sources += trained.trained_on
    net = together(members, config)
    return Tapped(channels_last(net, device).requires_grad_(False).eval(), layers), sources


def together(members: list[nn.Module], config: DistillConfig) -> nn.Module:
    """The one teacher that looks once, or the :class:`Ensemble` of several and of several views."""
    if len(members) == 1 and config.teacher_views == 1:
        return members[0]
    return Ensemble(members, config.teacher_weights, config.teacher_views)


def build_methods(config: DistillConfig) -> Distillation:
    """The weighted sum of the methods that ``config`` names, not yet connected."""
    built = [(m.name, build_method(m.name, m.options), m.weight) for m in config.methods]
    weighted = [(n, METHODS[n].weight if weight is None else weight, method) for n, method, weight in built]
    return Distillation(weighted, config.label_weight)


@torch.no_grad()
def connect(
    student: Tapped,
    teacher: Tapped | None,
    distillation: Distillation,
    side: int,
    fresh: Callable[[], nn.Module],
) -> None:
    """Let the methods see the nets and one output of each, so they can check shapes and build connectors.

    ``fresh()`` is another untrained net like the student's.
    """
    distillation.adopt(student.net, teacher.net if teacher else None, fresh)
    device = next(student.parameters()).device
    sample = torch.zeros(2, 1, side, side, device=device)
    student.net.eval()  # a blank sample must not touch the norms' statistics
    said = student(sample)
    distillation.connect(said, teacher(sample) if teacher else said)
    student.net.train()
    distillation.to(device)  # methods need not care where their connectors are made


def begin_with(net: nn.Module, path: str, pack: Described) -> tuple[str, ...]:
    """Give a net the weights of a finished run, and say what that was trained on.

    Of one that knows more characters it takes ours, of a wider or deeper ResNet the strongest channels
    (:mod:`hanmo.nets.inherit`). Raises as :func:`build_teacher`, :class:`CheckpointError` if the nets are unlike.
    """
    trained = load_fitting(path, pack, "net")
    given = trained.net.state_dict()
    if isinstance(net, ResNet) and can_inherit(net, given):
        inherit(net, given)
    else:
        load_into(net, given, path)
    return trained.trained_on


def load_fitting(path: str, pack: Described, role: str) -> TrainedNet:
    """The net of a run, telling only the data's characters apart; ``role`` is what errors call it."""
    trained = load_trained(path)
    if trained.charset != pack.charset:
        unknown = [c for c in pack.charset if c not in trained.charset]
        if unknown:
            raise CharsetError(
                f"{path}: the {role} knows {len(trained.charset)} characters, but {len(unknown)} of the data's "
                f"{len(pack.charset)} are not among them ({list_characters(unknown, shown=5)}); use one that knows them"
            )
        keep_classes(trained.net, torch.from_numpy(trained.charset.encode(pack.charset.characters)))
    own, given = trained.normalization, pack.normalization
    if own.method != given.method or abs(own.margin / own.side - given.margin / given.side) > MARGINS_APART:
        raise ConfigError(
            f"{path}: the {role} reads {own}, the data is {given}; pack the data as the {role}'s was, "
            "the side alone may differ"
        )
    return trained
