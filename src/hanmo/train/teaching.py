"""From a recipe's [distill] section to a teacher and a sum of methods."""

from __future__ import annotations

import torch
from torch import nn

from hanmo.distill import METHODS, Distillation, build_method
from hanmo.errors import CharsetError, ConfigError
from hanmo.nets.taps import Ensemble, Tapped
from hanmo.train.batches import Described
from hanmo.train.checkpoint import load_into
from hanmo.train.config import DistillConfig
from hanmo.train.parallel import channels_last
from hanmo.train.run import load_trained


def build_teacher(config: DistillConfig, pack: Described, device: torch.device) -> Tapped:
    """The frozen teacher (several: their :class:`Ensemble`), tapped where the methods look.

    Raises :class:`CharsetError` or :class:`ConfigError` when a teacher was not trained for what ``pack`` holds.
    """
    layers = build_methods(config).teacher_layers
    members = [_load(path, pack, "teacher") for path in config.teachers]
    net = members[0] if len(members) == 1 else Ensemble(members)
    return Tapped(channels_last(net, device).requires_grad_(False).eval(), layers)


def build_methods(config: DistillConfig) -> Distillation:
    """The weighted sum of the methods that ``config`` names, not yet connected."""
    built = [(m.name, build_method(m.name, m.options), m.weight) for m in config.methods]
    weighted = [(n, METHODS[n].weight if weight is None else weight, method) for n, method, weight in built]
    return Distillation(weighted, config.label_weight)


@torch.no_grad()
def connect(student: Tapped, teacher: Tapped, distillation: Distillation, side: int) -> None:
    """Let the methods see one output of each net, so they can check shapes and build connectors."""
    device = next(student.parameters()).device
    sample = torch.zeros(2, 1, side, side, device=device)
    student.net.eval()  # a blank sample must not touch the norms' statistics
    distillation.connect(student(sample), teacher(sample))
    student.net.train()
    distillation.to(device)  # methods need not care where their connectors are made


def begin_with(net: nn.Module, path: str, pack: Described) -> None:
    """Give a net the weights of a finished run; raises as :func:`build_teacher`, :class:`CheckpointError` if unlike."""
    load_into(net, _load(path, pack, "net").state_dict(), path)


def _load(path: str, pack: Described, role: str) -> nn.Module:
    trained = load_trained(path)
    if trained.charset != pack.charset:
        raise CharsetError(
            f"{path}: the {role} knows {len(trained.charset)} characters, the data {len(pack.charset)}, "
            "and they are not the same in the same order; use one trained on a pack of this charset"
        )
    if trained.normalization != pack.normalization:
        raise ConfigError(
            f"{path}: the {role} reads {trained.normalization}, the data is {pack.normalization}; "
            f"pack the data as the {role}'s was"
        )
    return trained.net
