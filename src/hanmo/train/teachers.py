"""From a recipe's [distill] section to a teacher and a sum of methods."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from hanmo.distill import METHODS, Distillation, build_method
from hanmo.errors import CharsetError
from hanmo.nets.ensemble import Ensemble, resize_input
from hanmo.nets.feature_hooks import FeatureHooks
from hanmo.train.batches import Described
from hanmo.train.config import DistillConfig
from hanmo.train.initialisation import load_fitting
from hanmo.train.onnx_teacher import ONNX_PREFIX, load_onnx_teacher
from hanmo.train.parallel import channels_last


def build_teacher(
    config: DistillConfig, pack: Described, device: torch.device
) -> tuple[FeatureHooks | None, list[str]]:
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
        if name.startswith(ONNX_PREFIX):
            member, source = load_onnx_teacher(name.removeprefix(ONNX_PREFIX), pack.charset, pack.normalization)
            if len(config.teachers) == 1 and member.lacks.any():
                raise CharsetError(f"{name}: lacks some of our characters, so it cannot teach alone; add a teacher")
            members.append(member)
            sources.append(f"taught by: {source}")
        else:
            trained = load_fitting(name, pack, "teacher")
            members.append(resize_input(trained.net, trained.normalization.side))
            sources += trained.trained_on
    net = combine_teachers(members, config)
    return FeatureHooks(channels_last(net, device).requires_grad_(False).eval(), layers), sources


def combine_teachers(members: list[nn.Module], config: DistillConfig) -> nn.Module:
    """The one teacher that looks once, or the :class:`Ensemble` of several and of several views."""
    if len(members) == 1 and config.teacher_tta == 1:
        return members[0]
    return Ensemble(members, config.teacher_weights, config.teacher_tta)


def build_methods(config: DistillConfig) -> Distillation:
    """The weighted sum of the methods that ``config`` names, not yet connected."""
    built = [(m.name, build_method(m.name, m.options), m.weight) for m in config.methods]
    weighted = [(n, METHODS[n].weight if weight is None else weight, method) for n, method, weight in built]
    return Distillation(weighted, config.label_weight)


@torch.no_grad()
def connect(
    student: FeatureHooks,
    teacher: FeatureHooks | None,
    distillation: Distillation,
    side: int,
    build_student: Callable[[], nn.Module],
) -> None:
    """Let the methods see the nets and one output of each, so they can check shapes and build connectors.

    ``build_student()`` is another untrained net like the student's.
    """
    distillation.attach(student.net, teacher.net if teacher else None, build_student)
    device = next(student.parameters()).device
    sample = torch.zeros(2, 1, side, side, device=device)
    student.net.eval()  # a blank sample must not touch the norms' statistics
    said = student(sample)
    distillation.connect(said, teacher(sample) if teacher else said)
    student.net.train()
    distillation.to(device)  # methods need not care where their connectors are made
