"""What a net begins as: the weights of a finished training, whole or pruned to the characters and channels needed."""

from __future__ import annotations

import torch
from torch import nn

from hanmo.charset import list_characters
from hanmo.errors import CharsetError, ConfigError
from hanmo.nets.pruning import can_prune_to, prune_to, select_classes
from hanmo.nets.resnet import ResNet
from hanmo.train.batches import DataInfo
from hanmo.train.checkpoint import load_into
from hanmo.train.run import TrainedNet, load_trained

MARGINS_APART = 0.015
"""How far margins, as shares of the side, may differ between what a net was trained on and what it is shown."""


def start_from(net: nn.Module, path: str, pack: DataInfo) -> tuple[str, ...]:
    """Give a net the weights of a finished run, and say what that was trained on.

    Of one that knows more characters it takes ours, of a wider or deeper ResNet the strongest channels
    (:mod:`hanmo.nets.pruning`). Raises as :func:`build_teacher`, :class:`CheckpointError` if the nets are unlike.
    """
    trained = load_fitting(path, pack, "net")
    given = trained.net.state_dict()
    if isinstance(net, ResNet) and can_prune_to(net, given):
        prune_to(net, given)
    else:
        load_into(net, given, path)
    return trained.trained_on


def load_fitting(path: str, pack: DataInfo, role: str) -> TrainedNet:
    """The net of a run, telling only the data's characters apart; ``role`` is what errors call it."""
    trained = load_trained(path)
    if trained.charset != pack.charset:
        unknown = [c for c in pack.charset if c not in trained.charset]
        if unknown:
            raise CharsetError(
                f"{path}: the {role} knows {len(trained.charset)} characters, but {len(unknown)} of the data's "
                f"{len(pack.charset)} are not among them ({list_characters(unknown, shown=5)}); use one that knows them"
            )
        select_classes(trained.net, torch.from_numpy(trained.charset.encode(pack.charset.characters)))
    own, given = trained.normalization, pack.normalization
    if own.method != given.method or abs(own.margin / own.side - given.margin / given.side) > MARGINS_APART:
        raise ConfigError(
            f"{path}: the {role} reads {own}, the data is {given}; pack the data as the {role}'s was, "
            "the side alone may differ"
        )
    return trained
