"""Training data that is drawn during the training: no character is seen twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hanmo.charset import Charset, named_charset
from hanmo.config import dump_toml, load_toml
from hanmo.errors import ConfigError
from hanmo.synth.mix import Mix
from hanmo.synth.noise import derive, keys_of
from hanmo.synth.recipe import SynthRecipe
from hanmo.train.batches import shuffled
from hanmo.train.parallel import Processes
from hanmo.train.squares import finer

_AT_ONCE = {"cpu": 512, "cuda": 8192}
"""Samples drawn together, by kind of device: enough to keep it busy, few enough for a quick first step."""


class DrawnData:
    """Training data (:class:`TrainingData`) that draws the samples of a recipe on the device.

    An epoch has ``per_character`` samples of each class, each in another handwriting; for characters of the sets in
    ``oversample`` (a name as in :data:`hanmo.charset.SETS` -> a number) that many times as much. Sample n of epoch e
    depends on the recipe's seed, the training's seed, e and n alone. The squares have the normalisation ``drawn``. For
    a recipe with a ``[page]`` section these are the larger ones of :func:`finer`, to be put on pages
    (:class:`hanmo.train.pages.Pages`); ``side`` is that of the net's input in any case. Raises :class:`ConfigError` for
    a normalisation other than ``fit``, since drawn characters are placed in this way, and what :class:`Mix` raises.
    """

    def __init__(
        self, path: str | Path, device: torch.device, oversample: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        self.recipe = recipe = load_toml(path, SynthRecipe, kind="synth")
        self.charset, self.normalization, self.members = recipe.charset(), recipe.normalization, recipe.members()
        if self.normalization.method != "fit":
            raise ConfigError(f"{path}: drawn into training as fit, not {self.normalization.method}; draw a pack of it")
        self.side, self.device = self.normalization.side, device
        self.drawn = finer(self.normalization) if recipe.page else self.normalization
        self.mix = Mix(recipe.mix, self.charset, recipe.style, device, self.members)
        self.turns = torch.from_numpy(_turns(self.charset, oversample)).to(device)
        self.sources = self.mix.sources
        # The recipe alone is not enough: the drawing code, its tables and the bank may change under the same recipe.
        identity = f"{dump_toml(recipe)} {self.mix.digest}{_described(oversample)}"
        self.digest = hashlib.sha256(identity.encode()).hexdigest()

    def __len__(self) -> int:
        return self.recipe.per_character * len(self.turns)

    def epoch(
        self, epoch: int, batch: int, seed: int, processes: Processes, start: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """This process' share of each batch of an epoch, from batch number ``start``: squares and labels."""
        base = derive(derive(torch.tensor(self.recipe.seed, device=self.device), seed), epoch)
        ahead = max(1, _AT_ONCE[self.device.type] * processes.world // batch)
        shares = shuffled(len(self), epoch, batch, seed, processes, start, self.device)
        # Several batches are drawn in one call, since drawing a few characters keeps a GPU waiting.
        while group := list(islice(shares, ahead)):
            numbers = torch.cat(group)
            # Every class has its turn, oversampled ones several times, per_character times an epoch.
            classes = self.turns[numbers % len(self.turns)]
            pictures = self.mix.write(classes, keys_of(base, numbers), self.drawn.side, self.drawn.margin)
            share = len(group[0])
            yield from zip(torch.split(pictures, share), torch.split(classes, share), strict=True)


def _turns(charset: Charset, oversample: Mapping[str, int]) -> NDArray[np.int64]:
    """The classes in the order of their turns: all once, then again those of the oversampled sets, as often as asked.

    A class in several of the sets gets the largest of their numbers.
    """
    times = np.ones(len(charset), np.int64)
    for names, number in oversample.items():
        classes = charset.encode([c for c in named_charset(names) if c in charset])
        times[classes] = np.maximum(times[classes], number)
    return np.concatenate([np.flatnonzero(times > turn) for turn in range(times.max())])


def _described(oversample: Mapping[str, int]) -> str:
    """For the digest; empty where nothing is oversampled, so that runs of before keep theirs."""
    return "".join(f" {names}={number}" for names, number in sorted(oversample.items()))
