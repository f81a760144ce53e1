"""Characters from both sources behind one call: drawn from strokes, or from the glyphs of fonts, chosen by weight."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files

import torch
from torch import Tensor

from hanmo.charset import Charset
from hanmo.errors import ConfigError
from hanmo.medians import load_medians, medians_for
from hanmo.synth.fonts.bank import FontRecord, GlyphBank
from hanmo.synth.fonts.glyphs import Glyphs
from hanmo.synth.fonts.layouts import read_layouts
from hanmo.synth.noise import Keys, derive, uniform
from hanmo.synth.strokes.hand import StyleConfig
from hanmo.synth.strokes.writer import StrokeBank

DRAWING_VERSION = 7
"""Increased with every change of the code that changes pictures, so that --resume does not mix old and new ones."""

_TABLES = ("medians.bin", "synth/data/abbreviations.toml")
_FURTHER_TABLE = "medians-wide.bin"
"""Read only for charsets beyond GB2312 level 1, so only these depend on it."""


@dataclass(frozen=True, kw_only=True)
class MixConfig:
    """How often characters are drawn from strokes and how often from glyphs of fonts: weights, of any sum.

    Raises :class:`ConfigError` for impossible values.
    """

    strokes: float = 1.0
    fonts: float = 0.0
    bank: str | None = None
    """Path of the bank of glyphs, made by ``hanmo glyphs``."""
    names: tuple[str, ...] = ()
    """Names of the bank's fonts to use; empty: all."""

    def __post_init__(self) -> None:
        for name in ("strokes", "fonts"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} = {getattr(self, name)} is impossible; 0 or more")
        if self.strokes + self.fonts == 0:
            raise ConfigError("strokes and fonts are both 0, so nothing would be drawn; give one a weight")
        if self.fonts and not self.bank:
            raise ConfigError("fonts have a weight but no bank; make one with `hanmo glyphs` and name it")


class Mix:
    """Draws the characters of a charset on a device.

    Raises what :class:`StrokeBank` and :class:`Glyphs` raise, and :class:`ConfigError` when the style wants layouts but
    there is no bank that has them.
    """

    def __init__(
        self, config: MixConfig, charset: Charset, style: StyleConfig, device: torch.device | str = "cpu"
    ) -> None:
        self.style = style
        self.strokes = _strokes(charset, str(device))
        self.glyphs = self.layouts = None
        bank, used = None, []
        if config.bank and (config.fonts or style.layouts):
            bank = GlyphBank.open(config.bank)
            self.glyphs = Glyphs(bank, charset, config.names, device) if config.fonts else None
            self.layouts = read_layouts(bank, charset, config.names, device) if style.layouts else None
            used = [font for font, weight in zip(bank.fonts, bank.weights(config.names), strict=True) if weight]
        if style.layouts and not self.layouts:
            without = f"{config.bank} has none" if config.bank else "no bank is named that has any"
            raise ConfigError(
                f"style layouts = {style.layouts}, but {without}; name a bank that `hanmo glyphs` made, or set it to 0"
            )
        self.share = config.fonts / (config.strokes + config.fonts)
        further = medians_for(charset) is not load_medians()
        self.sources = tuple(_sources(further, used, "glyphs" if self.glyphs else "layouts of strokes"))
        """The sources drawn from, one line each, with licences."""
        self.digest = "-".join([str(DRAWING_VERSION), _packaged(further), *([bank.digest] if bank else [])])
        """Identifies what decides the pictures beside the recipe: this code, its tables and the bank of glyphs."""

    def write(self, classes: Tensor, keys: Keys, side: int, margin: int = 2) -> Tensor:
        """Draw ``classes``, int64 (N,), as uint8 (N, side, side), 0 = paper, 255 = ink; ``margin`` pixels stay paper.

        The keys decide everything: the same keys give the same pictures. Characters that no font has are drawn from
        strokes, whatever the weights.
        """
        if self.glyphs is None:
            return self.strokes.write(classes, keys, self.style, side, margin, layouts=self.layouts)
        by_font = (uniform(derive(keys.habit, -10), 1)[:, 0] < self.share) & self.glyphs.covers(classes)
        pictures = torch.empty(len(classes), side, side, dtype=torch.uint8, device=classes.device)
        for rows, source in (
            (~by_font, partial(self.strokes.write, layouts=self.layouts)),
            (by_font, self.glyphs.write),
        ):
            some = rows.nonzero()[:, 0]
            here = Keys(keys.sample[some], keys.habit[some])
            pictures[some] = source(classes[some], here, self.style, side, margin)
        return pictures


@cache
def _strokes(charset: Charset, device: str) -> StrokeBank:
    """Kept, since making a bank of strokes takes seconds; it does not depend on the style."""
    return StrokeBank(charset, device=device)


@cache
def _packaged(further: bool) -> str:
    """The first 16 digits of the SHA-256 of the packaged tables that are read."""
    data, names = files("hanmo"), (*_TABLES, _FURTHER_TABLE) if further else _TABLES
    return hashlib.sha256(b"".join(data.joinpath(name).read_bytes() for name in names)).hexdigest()[:16]


def _sources(further: bool, fonts: Sequence[FontRecord], what: str) -> Iterator[str]:
    yield "drawn strokes: hanzi-writer-data 2.0.1 (Arphic-1999)"
    if further:
        yield "drawn strokes: AnimCJK, and compositions (Arphic-1999)"
    for font in fonts:
        yield f"drawn {what}: {font.name}, {font.package} {font.version} ({font.licence})"
