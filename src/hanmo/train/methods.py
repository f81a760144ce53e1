"""From a recipe's [distill] section to distillation methods that are connected to a student and a teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from hanmo.distill import METHODS, Distillation, build_method
from hanmo.nets.feature_hooks import FeatureHooks
from hanmo.train.config import DistillConfig


def build_methods(config: DistillConfig) -> Distillation:
    """The weighted sum of the methods that ``config`` names, not yet connected to any net."""
    built = [(m.name, build_method(m.name, m.options), m.weight) for m in config.methods]
    weighted = [(n, METHODS[n].weight if weight is None else weight, method) for n, method, weight in built]
    return Distillation(weighted, config.label_weight)


def hook_student(
    net: nn.Module,
    config: DistillConfig,
    teacher: FeatureHooks | None,
    side: int,
    characters: Sequence[str],
    build_student: Callable[[], nn.Module],
) -> tuple[FeatureHooks, Distillation]:
    """``net`` with hooks on the layers that the methods of ``config`` need, and these methods, connected to the nets.

    ``characters`` are those of the classes. Raises :class:`ConfigError` for layers that the net lacks or that a method
    cannot compare.
    """
    methods = build_methods(config)
    methods.name_classes(characters)
    student = FeatureHooks(net, methods.student_layers)
    connect(student, teacher, methods, side, build_student)
    return student, methods


@torch.no_grad()
def connect(
    student: FeatureHooks,
    teacher: FeatureHooks | None,
    distillation: Distillation,
    side: int,
    build_student: Callable[[], nn.Module],
) -> None:
    """Show the methods both nets and one output of each, so that they can check shapes and build connectors.

    ``side`` is that of the pictures; ``build_student()`` makes another untrained net like the student. Raises
    :class:`ConfigError` for layers that a method cannot compare.
    """
    distillation.attach(student.net, teacher.net if teacher else None, build_student)
    device = next(student.parameters()).device
    sample = torch.zeros(2, 1, side, side, device=device)
    student.net.eval()  # in training mode the blank sample would change the batch norms' statistics
    output = student(sample)
    distillation.connect(output, teacher(sample) if teacher else output)
    student.net.train()
    distillation.to(device)  # so that methods need not care on which device they build connectors
