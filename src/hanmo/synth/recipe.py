"""What to draw, as a small TOML file::

    characters = "level1"     # names of sets joined by "+"; or characters; or a number N: the N most common ones
    per_character = 200       # samples of each character, which is the number of writers
    seed = 1

    [style]                   # optional: how much hands differ, see StyleConfig
    links = 0.2

    [mix]                     # optional: glyphs of fonts beside strokes, see MixConfig
    fonts = 0.3
    strokes = 0.7
    bank = "fonts.glyphs"

    [normalization]           # optional: the squares of the pack, see hanmo.normalize
    side = 64

    [page]                    # optional: put every character on a photographed or scanned page, see PageConfig
    cell = 0.5

Every key of the tables has a default. :mod:`hanmo.synth.packs` draws a recipe into a pack; a training can also draw
from it as it goes (:mod:`hanmo.train.drawn`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from hanmo.charset import Charset, expand, groups_within, merge_groups
from hanmo.errors import ConfigError
from hanmo.normalize import Normalization
from hanmo.synth.mix import MixConfig
from hanmo.synth.paper.page import PageConfig
from hanmo.synth.strokes.hand import StyleConfig

_MOST_WRITERS = 65_535  # a pack numbers its writers with 16 bits


@dataclass(frozen=True, kw_only=True)
class SynthRecipe:
    """A data set to draw, loaded by :func:`hanmo.config.load_toml`; :class:`ConfigError` for impossible values."""

    characters: str | int
    """Names of sets joined by "+" (:data:`hanmo.charset.SETS`), the characters themselves, or a number N: the first N
    of :func:`characters_by_use`."""
    # None and not False: it is then left out of recipes that are written, so that those of before stay the same.
    groups: bool | None = None
    """Whether characters that look the same alone are one class (:mod:`hanmo.charset.groups`)."""
    per_character: int = 200
    """Samples of each character. Each is by another writer, and every writer writes all characters."""
    seed: int = 0
    side: int = 96
    """Side of the drawn pictures in pixels; a pack's squares are normalised from them as from real pictures."""
    style: StyleConfig = field(default_factory=StyleConfig)
    mix: MixConfig = field(default_factory=MixConfig)
    normalization: Normalization = field(default_factory=Normalization)
    page: PageConfig | None = None
    """The pages that characters are put on; None: characters are dark on white."""

    def __post_init__(self) -> None:
        if not 1 <= self.per_character <= _MOST_WRITERS:
            raise ConfigError(f"per_character = {self.per_character} is impossible; 1 to {_MOST_WRITERS:,}")
        if not 16 <= self.side <= 512:
            raise ConfigError(f"side = {self.side} is impossible; 16 to 512 pixels")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed = {self.seed} is impossible; 0 to 2^63 - 1")
        if isinstance(self.characters, int) and not 1 <= self.characters <= len(characters_by_use()):
            raise ConfigError(f"characters = {self.characters} is impossible; 1 to {len(characters_by_use()):,}")

    def charset(self) -> Charset:
        """The classes in the order of the recipe; raises :class:`CharsetError` when a character is repeated."""
        return merge_groups(self._characters()) if self.groups else self._characters()

    def members(self) -> dict[str, str]:
        """The members of each class that stands for several characters, its own character first."""
        return groups_within(self.charset(), self._characters()) if self.groups else {}

    def _characters(self) -> Charset:
        if isinstance(self.characters, int):
            return Charset(characters_by_use()[: self.characters])
        return Charset(expand(self.characters))

    def __len__(self) -> int:
        """The number of samples."""
        return self.per_character * len(self.charset())


@cache
def characters_by_use() -> str:
    """GB2312 level 1: first 320 common characters, roughly by frequency (a list of our own), then the rest by code."""
    common = files("hanmo.synth").joinpath("data", "common.txt").read_text(encoding="utf-8").strip()
    return common + "".join(c for c in Charset.level1() if c not in common)
