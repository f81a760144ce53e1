"""The fonts of a bank of glyphs, as a TOML file::

characters = "level1"     # names of sets joined by "+", or the characters themselves

[[font]]
name = "long-cang"
files = "npm/long-cang/package/files/*.woff2"   # below the folder of fonts; a font may come in parts
package = "npm:@fontsource/long-cang"
version = "5.3.0"
licence = "OFL-1.1"
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from hanmo.charset import Charset, expand
from hanmo.errors import ConfigError
from hanmo.normalize import Normalization
from hanmo.synth.fonts.bank import check_side


@dataclass(frozen=True, kw_only=True)
class FontSource:
    """One font of a recipe."""

    name: str
    files: str
    """A path or pattern below the folder of fonts: every file it matches is a part of this font."""
    package: str
    version: str
    licence: str
    """An SPDX expression, as the package's own licence file says."""
    index: int = 0
    """The face in a collection (.ttc)."""
    weight: float = 1.0
    reference: bool = False
    """Whether its forms are the standard ones, which the other fonts are compared with."""
    note: str = ""
    only: str = ""
    """The characters to take, or names of sets joined by "+"; all if empty. For fonts with usable and other forms."""

    def __post_init__(self) -> None:
        pattern = PurePosixPath(self.files)
        if not self.files or pattern.is_absolute() or ".." in pattern.parts:
            raise ConfigError(f"files = {self.files!r} is impossible; a pattern below the folder of fonts")
        if not 0 <= self.index < 65_536 or not 0 < self.weight <= 1e6:
            raise ConfigError(f"index = {self.index} with weight = {self.weight} is impossible; from 0, and above 0")


@dataclass(frozen=True, kw_only=True)
class FontsRecipe:
    """The fonts of a bank; loaded by :func:`hanmo.config.load_toml`. Raises :class:`ConfigError`."""

    font: tuple[FontSource, ...]
    characters: str = "level1"
    """Names of sets joined by "+" (:data:`hanmo.charset.SETS`), or the characters themselves."""
    without: str = ""
    """What is left out of ``characters``, written in the same way."""
    side: int = 64
    margin: int = 2
    pen: float = 0.05
    """Width of lines, as a part of the side, to which heavier fonts are slimmed; 0: they stay as they are."""
    layouts: bool = True
    """Whether printed strokes are fitted to every glyph, for hands that lay characters out as fonts do."""

    def __post_init__(self) -> None:
        check_side(self.side)
        if not 0 <= self.pen <= 1:
            raise ConfigError(f"pen = {self.pen} is impossible; 0 to 1 of the side")
        Normalization(side=self.side, margin=self.margin)
        names = [font.name for font in self.font]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice or not names:
            raise ConfigError(f"every font is named once; twice: {', '.join(twice)}" if twice else "no font is named")

    def charset(self) -> Charset:
        """The characters of the bank; raises :class:`CharsetError` for a repeated one, and when none is left."""
        left_out = set(expand(self.without)) if self.without else set()
        return Charset(c for c in expand(self.characters) if c not in left_out)

    def __len__(self) -> int:
        """Glyphs there would be if every font had every character."""
        return len(self.font) * len(self.charset())

    @property
    def steps(self) -> int:
        """The number of steps that :func:`build_bank` reports as progress in the end."""
        return len(self) * (2 if self.layouts else 1)
