"""Two banks of glyphs to one, such as a bank of GB2312 level 1 and one of the other characters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hanmo.charset import Charset, list_characters
from hanmo.errors import ArgumentError
from hanmo.synth.fonts.bank import Fits, FontRecord, GlyphBank, write_bank


def join_banks(first: GlyphBank, second: GlyphBank, out: str | Path) -> GlyphBank:
    """Write a bank with the glyphs of both, and open it. A font that is in both becomes one font.

    The characters of ``first`` come first. Layouts are kept if both banks have them. Raises :class:`ArgumentError` when
    the banks have pictures of different sizes, the same glyph of the same font, or different versions of a font;
    :class:`StorageError`.
    """
    if (first.side, first.margin) != (second.side, second.margin):
        raise ArgumentError(
            f"{second.path}: pictures of {second.side} pixels and margin {second.margin}, those of {first.path} have "
            f"{first.side} and {first.margin}; make both with the same side and margin"
        )
    banks = (first, second)
    charset = Charset(dict.fromkeys((*first.charset, *second.charset)))
    names = list(dict.fromkeys(font.name for bank in banks for font in bank.fonts))
    font = np.concatenate([np.array([names.index(f.name) for f in bank.fonts])[bank.font] for bank in banks])
    label = np.concatenate([charset.encode(bank.charset.characters)[bank.label] for bank in banks])
    packed = np.concatenate([bank.packed for bank in banks])
    order = np.lexsort((label, font))
    font, label = font[order], label[order]
    if (twice := (np.diff(font) == 0) & (np.diff(label) == 0)).any():
        name = font[:-1][twice][0]
        same = [charset[c] for c in label[:-1][twice & (font[:-1] == name)]]
        raise ArgumentError(
            f"{second.path}: {first.path} has the same glyphs of {names[name]}: {list_characters(same, shown=5)}; "
            "leave them out of one"
        )
    counts = np.bincount(font, minlength=len(names))
    records = [_record(name, banks, int(n), len(charset)) for name, n in zip(names, counts, strict=True)]
    cuts = counts.cumsum()[:-1]
    glyphs = list(zip(np.split(label, cuts), np.split(packed[order], cuts), strict=True))
    return write_bank(out, charset, records, glyphs, side=first.side, margin=first.margin, layouts=_fits(banks, order))


def _record(name: str, banks: tuple[GlyphBank, ...], glyphs: int, wanted: int) -> FontRecord:
    same = [font for bank in banks for font in bank.fonts if font.name == name]
    if len({(font.package, font.version, font.licence) for font in same}) > 1:
        raise ArgumentError(f"{name}: the banks have different versions of this font; make both of the same one")
    variants = sum(font.variants for font in same)
    return replace(same[0], glyphs=glyphs, variants=variants, missing=wanted - glyphs - variants)


def _fits(banks: tuple[GlyphBank, ...], order: NDArray[np.int64]) -> Fits | None:
    """The layouts of both banks' glyphs in the new ``order``; None if a bank has none."""
    every = [bank.layouts for bank in banks if bank.layouts]
    if len(every) < len(banks):
        return None
    strokes, error, moved = (np.concatenate(columns) for columns in zip(*every, strict=True))
    # Of each glyph, in the new order, all rows of ``moved``: first row + 0, 1, 2 ...
    count = strokes[order]
    start = (strokes.cumsum() - strokes)[order]
    rows = np.repeat(start - (count.cumsum() - count), count) + np.arange(count.sum())
    return Fits(count, error[order], moved[rows])
