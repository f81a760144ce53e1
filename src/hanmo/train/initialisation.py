"""Initialises a net with the weights of a finished run, pruned to the characters and channels that it needs."""

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
"""How far the margins of a net's training data and of its input may differ, as shares of the side.

One pixel of 64: margins of whole pixels cannot be equal shares on squares of every side.
"""


def start_from(net: nn.Module, path: str, info: DataInfo) -> tuple[str, ...]:
    """Load the weights of a finished run into ``net``; returns what the run was trained on.

    Of a run that knows more characters, only ours are taken; of a wider or deeper ResNet, the strongest channels
    (:mod:`hanmo.nets.pruning`). Raises what :func:`load_fitting` raises, and :class:`CheckpointError` if the nets are
    of another make.
    """
    trained = load_fitting(path, info, "net")
    given = trained.net.state_dict()
    # From a net of the same shape all channels are kept, which is a plain copy; and new attention is possible.
    if isinstance(net, ResNet) and can_prune_to(net, given):
        prune_to(net, given)
    else:
        load_into(net, given, path)
    return trained.trained_on


def load_fitting(path: str, info: DataInfo, role: str) -> TrainedNet:
    """The net of a run, reduced to the data's characters; ``role`` is its name in errors.

    Raises :class:`CheckpointError` for a run without weights, :class:`CharsetError` when it lacks characters of the
    data, :class:`ConfigError` when it reads squares of another normalisation (another side is allowed).
    """
    trained = load_trained(path)
    if trained.charset != info.charset:
        unknown = [c for c in info.charset if c not in trained.charset]
        if unknown:
            raise CharsetError(
                f"{path}: the {role} knows {len(trained.charset)} characters, but {len(unknown)} of the data's "
                f"{len(info.charset)} are not among them ({list_characters(unknown, shown=5)}); use one that knows them"
            )
        select_classes(trained.net, torch.from_numpy(trained.charset.encode(info.charset.characters)))
    # Squares of another side are resized for the net, so the sides need not agree.
    own, given = trained.normalization, info.normalization
    if own.method != given.method or abs(own.margin / own.side - given.margin / given.side) > MARGINS_APART:
        raise ConfigError(
            f"{path}: the {role} reads {own}, the data is {given}; pack the data as the {role}'s was, "
            "the side alone may differ"
        )
    return trained
