"""Initialises a net with the weights of a finished run, fitted to its own characters and channels."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hanmo.charset import Charset, list_characters
from hanmo.errors import CharsetError, ConfigError
from hanmo.nets.classifier import fit_classifier, select_classes
from hanmo.nets.pruning import can_prune_to, prune_to
from hanmo.nets.resnet import ResNet
from hanmo.train.batches import DataInfo
from hanmo.train.checkpoint import load_into
from hanmo.train.run import TrainedNet, load_trained

MARGINS_APART = 0.015
"""How far the margins of a net's training data and of its input may differ, as shares of the side.

One pixel of 64: margins of whole pixels cannot be equal shares on squares of every side.
"""


class Start(NamedTuple):
    """What a net has taken from the run that it starts from.

    ``sources`` are what the run was trained on. Of the run's characters, ``kept`` are classes of the net as well;
    ``dropped`` is the number of the others. ``new`` are the net's classes that the run does not know.
    """

    sources: tuple[str, ...]
    kept: int
    dropped: int
    new: tuple[int, ...]


def start_from(net: nn.Module, path: str, info: DataInfo, *, fine_tune: bool = False) -> Start:
    """Load the weights of a finished run into ``net``.

    Of the run's classifier, the rows of our characters are taken; those of characters that the run does not know stay
    as ``net`` was initialised. With ``fine_tune`` these are the mean of all rows that are taken instead: their logits
    are then average, so that untrained classes take no pictures from trained ones. Of a wider or deeper ResNet, the
    strongest channels are taken (:mod:`hanmo.nets.pruning`). Raises :class:`CheckpointError` for a run without weights
    and for nets of another make, :class:`CharsetError` when the run knows none of our characters,
    :class:`ConfigError` for another normalisation.
    """
    trained = load_trained(path)
    _require_normalization(path, trained, info, "net")
    rows = torch.tensor([trained.charset.index(c) if c in trained.charset else -1 for c in info.charset])
    if (rows < 0).all():
        raise CharsetError(f"{path}: the net knows none of the data's {len(info.charset)} characters; leave it out")
    given = fit_classifier(trained.net.state_dict(), rows, net.state_dict())
    if fine_tune:
        for name in ("fc.weight", "fc.bias"):
            given[name][rows < 0] = given[name][rows >= 0].mean(0)
    begin_with(net, given, path)
    kept = int((rows >= 0).sum())
    return Start(trained.trained_on, kept, len(trained.charset) - kept, tuple(torch.nonzero(rows < 0)[:, 0].tolist()))


def begin_with(net: nn.Module, given: dict[str, Tensor], path: str) -> None:
    """Load the state ``given`` into ``net``, of a wider or deeper ResNet its strongest channels.

    Raises :class:`CheckpointError`, with ``path`` as its name, for the state of a net of another make.
    """
    # From a net of the same shape all channels are kept, which is a plain copy; and new attention is possible.
    if isinstance(net, ResNet) and can_prune_to(net, given):
        prune_to(net, given)
    else:
        load_into(net, given, path)


def load_fitting(path: str, info: DataInfo, role: str, *, partly: bool = False) -> TrainedNet:
    """The net of a run, reduced to the data's characters; ``role`` is its name in errors.

    With ``partly`` the run may lack some of these; the net has the others, in the data's order. Raises
    :class:`CheckpointError` for a run without weights, :class:`CharsetError` when it lacks characters of the data
    (with ``partly``: all of them), :class:`ConfigError` when it reads squares of another normalisation (another side
    is allowed).
    """
    trained = load_trained(path)
    if trained.charset != info.charset:
        known = [c for c in info.charset if c in trained.charset]
        unknown = [c for c in info.charset if c not in trained.charset]
        if unknown and not (partly and known):
            raise CharsetError(
                f"{path}: the {role} knows {len(trained.charset)} characters, but {len(unknown)} of the data's "
                f"{len(info.charset)} are not among them ({list_characters(unknown, shown=5)}); use one that knows them"
            )
        select_classes(trained.net, torch.from_numpy(trained.charset.encode(known)))
        trained = replace(trained, charset=Charset(known))
    _require_normalization(path, trained, info, role)
    return trained


def _require_normalization(path: str, trained: TrainedNet, info: DataInfo, role: str) -> None:
    # Squares of another side are resized for the net, so the sides need not agree.
    own, given = trained.normalization, info.normalization
    if own.method != given.method or abs(own.margin / own.side - given.margin / given.side) > MARGINS_APART:
        raise ConfigError(
            f"{path}: the {role} reads {own}, the data is {given}; pack the data as the {role}'s was, "
            "the side alone may differ"
        )
