"""Characters from both sources behind one call: drawn from strokes, or from the glyphs of fonts, chosen by weight."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hanmo.charset import Charset, list_characters
from hanmo.errors import CharsetError, ConfigError
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

    ``members`` are the characters of each class that stands for several (:meth:`SynthRecipe.members`). Its glyphs are
    those of all members, its strokes those of the first member that has some.

    Raises :class:`CharsetError` naming every class that cannot be drawn, what :class:`Glyphs` raises, and
    :class:`ConfigError` when the style wants layouts but there is no bank that has them.
    """

    def __init__(
        self,
        config: MixConfig,
        charset: Charset,
        style: StyleConfig,
        device: torch.device | str = "cpu",
        members: Mapping[str, str] | None = None,
    ) -> None:
        self.style = style
        members = members or {}
        written = _written(charset, members)
        self.glyphs = self.layouts = None
        bank, used = None, []
        if config.bank and (config.fonts or style.layouts):
            bank = GlyphBank.open(config.bank)
            self.glyphs = Glyphs(bank, charset, config.names, device, members) if config.fonts else None
            if style.layouts and written:
                self.layouts = read_layouts(bank, Charset(written.values()), config.names, device)
            used = [font for font, weight in zip(bank.fonts, bank.weights(config.names), strict=True) if weight]
        if style.layouts and written and not self.layouts:
            without = f"{config.bank} has none" if config.bank else "no bank is named that has any"
            raise ConfigError(
                f"style layouts = {style.layouts}, but {without}; name a bank that `hanmo glyphs` made, or set it to 0"
            )
        self._require_drawable(charset, written)
        self.strokes = _strokes(Charset(written.values()), str(device)) if written else None
        place = {c: i for i, c in enumerate(written)}
        self.stroke_class = torch.tensor([place.get(c, -1) for c in charset], device=device)
        """int64 (C,): the class of ``strokes`` with the strokes of a class, -1 where it has none."""
        self.share = config.fonts / (config.strokes + config.fonts)
        further = medians_for(charset) is not load_medians()
        self.sources = tuple(_sources(further, used, "glyphs" if self.glyphs else "layouts of strokes"))
        """The sources drawn from, one line each, with licences."""
        self.digest = "-".join([str(DRAWING_VERSION), _packaged(further), *([bank.digest] if bank else [])])
        """Identifies what decides the pictures beside the recipe: this code, its tables and the bank of glyphs."""

    def write(self, classes: Tensor, keys: Keys, side: int, margin: int = 2) -> Tensor:
        """Draw ``classes``, int64 (N,), as uint8 (N, side, side), 0 = paper, 255 = ink; ``margin`` pixels stay paper.

        The keys decide everything: the same keys give the same pictures. Characters that no font has are drawn from
        strokes, and those without strokes from fonts, whatever the weights.
        """
        written = self.stroke_class[classes]
        if self.glyphs is None:
            return self._write_strokes(written, keys, self.style, side, margin)
        by_font = (uniform(derive(keys.habit, -10), 1)[:, 0] < self.share) & self.glyphs.covers(classes)
        by_font |= written < 0
        pictures = torch.empty(len(classes), side, side, dtype=torch.uint8, device=classes.device)
        for rows, source, numbers in (
            (~by_font, self._write_strokes, written),
            (by_font, self.glyphs.write, classes),
        ):
            some = rows.nonzero()[:, 0]
            here = Keys(keys.sample[some], keys.habit[some])
            if len(some):
                pictures[some] = source(numbers[some], here, self.style, side, margin)
        return pictures

    def trace(self, classes: Tensor, keys: Keys, side: int) -> list[list[NDArray[np.float32]]]:
        """The pen strokes of ``classes``, each (n, 2) within 0 to ``side``, as :meth:`write` draws them from strokes.

        Only for a mix without glyphs of fonts.
        """
        assert self.strokes is not None  # checked when made: without glyphs every class has strokes
        return self.strokes.trace(self.stroke_class[classes], keys, self.style, side, self.layouts)

    def _write_strokes(self, classes: Tensor, keys: Keys, style: StyleConfig, side: int, margin: int = 2) -> Tensor:
        """Draw classes of ``strokes`` as :meth:`write`."""
        assert self.strokes is not None  # checked when made: without strokes and glyphs nothing can be drawn
        return self.strokes.write(classes, keys, style, side, margin, layouts=self.layouts)

    def write_neat(self, classes: Tensor, keys: Keys, side: int) -> Tensor:
        """Draw the strokes of ``classes`` without variation, as :meth:`write`; nothing for those without strokes."""
        pictures = torch.zeros(len(classes), side, side, dtype=torch.uint8, device=classes.device)
        some = (self.stroke_class[classes] >= 0).nonzero()[:, 0]
        here = Keys(keys.sample[some], keys.habit[some])
        if len(some):
            neat = StyleConfig.neat()
            pictures[some] = self._write_strokes(self.stroke_class[classes[some]], here, neat, side)
        return pictures

    def _require_drawable(self, charset: Charset, written: Mapping[str, str]) -> None:
        """Raise :class:`CharsetError` for classes that have neither strokes nor glyphs."""
        covered = self.glyphs.of_class.size.tolist() if self.glyphs else [0] * len(charset)
        missing = [c for c, glyphs in zip(charset, covered, strict=True) if not glyphs and c not in written]
        if missing:
            remedy = "and no font of the bank has them" if self.glyphs else "add fonts that have them (see [mix])"
            raise CharsetError(
                f"no strokes are packaged for {len(missing)} character(s): {list_characters(sorted(missing))}; {remedy}"
            )


def _written(charset: Charset, members: Mapping[str, str]) -> dict[str, str]:
    """The character with packaged strokes that is written for each class; classes without one are left out."""
    medians = medians_for(charset)
    choices = ((c, next((m for m in members.get(c, c) if m in medians), None)) for c in charset)
    return {c: chosen for c, chosen in choices if chosen}


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
