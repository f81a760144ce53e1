"""Builds the student and its distillation methods as they are before the first step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from hanmo.distill import Distillation
from hanmo.nets.feature_hooks import FeatureHooks
from hanmo.nets.quantization import train_quantized
from hanmo.nets.registry import build_net
from hanmo.train.batches import DeviceData
from hanmo.train.config import Recipe
from hanmo.train.data import OpenedData
from hanmo.train.imprinting import imprint
from hanmo.train.initialisation import Start, start_from
from hanmo.train.methods import hook_student
from hanmo.train.parallel import channels_last
from hanmo.train.survey import survey


class Student(NamedTuple):
    """An untrained net with hooks on the layers that its methods need.

    ``distillation`` is None without a [distill] section, ``start`` without ``train.start``.
    """

    hooks: FeatureHooks
    distillation: Distillation | None
    start: Start | None


def build_student(recipe: Recipe, data: OpenedData, teacher: FeatureHooks | None, device: torch.device) -> Student:
    """The net of ``recipe`` on ``device``, and methods that are connected to it and to ``teacher``.

    The same seed gives the same weights. Raises :class:`ConfigError` for layers that methods cannot compare, and what
    :func:`hanmo.train.initialisation.start_from` raises.
    """

    def untrained_net() -> nn.Module:
        return channels_last(build_net(recipe.net, len(data.info.charset), data.train.side), device)

    torch.manual_seed(recipe.train.seed)  # torch initialises weights with its global generator
    net, train = untrained_net(), recipe.train
    start = start_from(net, train.start, data.info, fine_tune=bool(train.fine_tune)) if train.start else None
    if train.fine_tune and start and start.new and isinstance(data.train, DeviceData):
        imprint(net, data.train, torch.tensor(start.new, device=device))
    if train.frozen:
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d):
                layer.requires_grad_(False)
    # Only now: weights that are trained for few bits have other names, which a finished run does not know.
    if train.weight_bits:
        train_quantized(net, train.weight_bits)
    if recipe.distill is None:
        return Student(FeatureHooks(net), None, start)
    characters = data.info.charset.characters
    hooks, distillation = hook_student(net, recipe.distill, teacher, data.train.side, characters, untrained_net)
    if teacher and distillation.needs_survey:
        survey(distillation, teacher, data.train, train.batch, device)
    return Student(hooks, distillation, start)
