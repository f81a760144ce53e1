"""What to draw, as a small TOML file, and the pack made from it::

    characters = "level1"     # GB2312 level 1; or the characters themselves; or a number: so many common ones
    per_character = 200       # and so many writers, each of whom writes every character once
    seed = 1

    [style]                   # optional: how much hands differ, see StyleConfig
    links = 0.2

    [mix]                     # optional: glyphs of fonts beside strokes, see MixConfig
    fonts = 0.3
    strokes = 0.7
    bank = "fonts.glyphs"

    [normalization]           # optional: the squares of the pack
    side = 64

Every key of the tables has a default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hanmo.charset import Charset
from hanmo.data.pack import Pack, write_pack
from hanmo.data.sample import Sample
from hanmo.errors import ConfigError
from hanmo.normalize import Normalization
from hanmo.synth.hand import StyleConfig
from hanmo.synth.mix import Mix, MixConfig
from hanmo.synth.noise import keys_of

_MOST_WRITERS = 65_535  # a pack numbers its writers with 16 bits
_BATCH = 1024


@dataclass(frozen=True, kw_only=True)
class SynthRecipe:
    """A drawn data set; loaded by :func:`hanmo.config.load_toml`. Raises :class:`ConfigError` for impossible values."""

    characters: str | int
    """``"level1"``, the characters themselves, or a number N: the N most common ones (then level 1 in code order)."""
    per_character: int = 200
    """Samples of every character, which is the number of writers."""
    seed: int = 0
    side: int = 96
    """Pixels of the pictures drawn; the pack's squares are normalised from them as from real ones."""
    style: StyleConfig = field(default_factory=StyleConfig)
    mix: MixConfig = field(default_factory=MixConfig)
    normalization: Normalization = field(default_factory=Normalization)

    def __post_init__(self) -> None:
        if not 1 <= self.per_character <= _MOST_WRITERS:
            raise ConfigError(f"per_character = {self.per_character} is impossible; 1 to {_MOST_WRITERS:,}")
        if not 16 <= self.side <= 512:
            raise ConfigError(f"side = {self.side} is impossible; 16 to 512 pixels")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed = {self.seed} is impossible; 0 to 2^63 - 1")
        if isinstance(self.characters, int) and not 1 <= self.characters <= len(by_use()):
            raise ConfigError(f"characters = {self.characters} is impossible; 1 to {len(by_use()):,}")

    def charset(self) -> Charset:
        """The characters to draw, in the order of the recipe; raises :class:`CharsetError` for a repeated one."""
        if isinstance(self.characters, int):
            return Charset(by_use()[: self.characters])
        return Charset.level1() if self.characters == "level1" else Charset(self.characters)

    def __len__(self) -> int:
        """The number of samples."""
        return self.per_character * len(self.charset())


@cache
def by_use() -> str:
    """All of GB2312 level 1: 320 common ones, roughly by use (a list of our own), then the others in code order."""
    common = files("hanmo.synth").joinpath("data", "common.txt").read_text(encoding="utf-8").strip()
    return common + "".join(c for c in Charset.level1() if c not in common)


def draw_samples(recipe: SynthRecipe) -> Iterator[Sample]:
    """The samples of a recipe, writer by writer, dark on white paper like a scan; same recipe, same samples."""
    charset = recipe.charset()
    mix, seed = Mix(recipe.mix, charset, recipe.style), torch.tensor(recipe.seed)
    for numbers in torch.split(torch.arange(len(recipe)), _BATCH):
        classes, writers = numbers % len(charset), numbers // len(charset)
        pictures = 255 - mix.write(classes, keys_of(seed, numbers, writers), recipe.side).numpy()
        for label, writer, picture in zip(classes.tolist(), writers.tolist(), pictures, strict=True):
            yield Sample(charset[label], picture, source="synth", writer=f"w{writer + 1:04d}")


def draw_sheet(recipe: SynthRecipe, writers: int) -> NDArray[np.uint8]:
    """One grey picture, ink dark: a row a character, a neat drawing first, then one by each of ``writers``."""
    charset, side = recipe.charset(), recipe.side
    mix, seed = Mix(recipe.mix, charset, recipe.style), torch.tensor(recipe.seed)
    numbers = torch.arange(len(charset) * writers)
    classes = torch.arange(len(charset))
    neat = mix.strokes.write(classes, keys_of(seed, classes), StyleConfig.neat(), side)
    drawn = mix.write(numbers % len(charset), keys_of(seed, numbers, numbers // len(charset)), side)
    rows = torch.cat([neat, drawn]).view(writers + 1, len(charset), side, side).permute(1, 2, 0, 3)
    return 255 - rows.reshape(len(charset) * side, -1).numpy()


def synthesize(
    recipe: SynthRecipe,
    out: str | Path,
    *,
    on_progress: Callable[[int], None] | None = None,
    overwrite: bool = False,
) -> Pack:
    """Draw a recipe into a new pack at ``out``, whose classes are in the recipe's order.

    ``on_progress`` is told the number of samples written so far. Raises :class:`CharsetError` naming every character
    that cannot be drawn, :class:`PackError` when ``out`` is taken, :class:`StorageError`.
    """
    return write_pack(
        out,
        draw_samples(recipe),
        normalization=recipe.normalization,
        charset=recipe.charset(),
        on_blank="error",
        on_progress=on_progress,
        overwrite=overwrite,
    )
