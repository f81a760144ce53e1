"""Training data that is drawn as it is needed: every epoch sees characters that were never drawn before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from hanmo.config import dump_toml, load_toml
from hanmo.errors import ConfigError
from hanmo.synth.mix import Mix
from hanmo.synth.noise import derive, keys_of
from hanmo.synth.recipe import SynthRecipe
from hanmo.train.batches import shuffled
from hanmo.train.parallel import Processes
from hanmo.train.squares import finer

SYNTH_PREFIX = "synth:"
"""What ``data.train`` begins with when the rest of it is a recipe to draw from, not a pack."""

_AT_ONCE = {"cpu": 512, "cuda": 8192}
"""Samples drawn in one go: enough to keep the device busy, few enough to be ready for the first step."""


class DrawnData:
    """The samples of a recipe, drawn into squares of its normalisation on the device, as :class:`TrainingData`.

    For a recipe with a ``[page]`` the squares are those of :func:`finer`, to be put on pages
    (:class:`hanmo.train.pages.Pages`); ``side`` is what the net sees in any case, ``drawn`` how batches are made.
    An epoch has ``per_character`` samples of each class, each by a hand of its own. Sample n of epoch e depends on the
    recipe's seed, the training's seed, e and n alone. Raises :class:`ConfigError` for a normalisation other than
    ``fit``, which is how the drawn are placed, and what :class:`Mix` raises.
    """

    def __init__(self, path: str | Path, device: torch.device) -> None:
        self.recipe = recipe = load_toml(path, SynthRecipe)
        self.charset, self.normalization = recipe.charset(), recipe.normalization
        if self.normalization.method != "fit":
            raise ConfigError(f"{path}: drawn into training as fit, not {self.normalization.method}; draw a pack of it")
        self.side, self.device = self.normalization.side, device
        self.drawn = finer(self.normalization) if recipe.page else self.normalization
        self.mix = Mix(recipe.mix, self.charset, recipe.style, device)
        self.sources = self.mix.sources
        told = f"{dump_toml(recipe)} {self.mix.digest}"
        self.digest = hashlib.sha256(told.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.recipe)

    def epoch(
        self, epoch: int, batch: int, seed: int, processes: Processes, start: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of one epoch from number ``start``: this process' share of images and labels."""
        base = derive(derive(torch.tensor(self.recipe.seed, device=self.device), seed), epoch)
        ahead = max(1, _AT_ONCE[self.device.type] * processes.world // batch)
        shares = shuffled(len(self), epoch, batch, seed, processes, start)
        while group := list(islice(shares, ahead)):
            numbers = torch.cat(group).to(self.device)
            classes = numbers % len(self.charset)
            pictures = self.mix.write(classes, keys_of(base, numbers), self.drawn.side, self.drawn.margin)
            share = len(group[0])
            yield from zip(torch.split(pictures, share), torch.split(classes, share), strict=True)
