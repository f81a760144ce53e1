"""Tiny fonts to test with, drawn from the packaged medians."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from hanmo.medians import load_medians

MakeFont = Callable[..., None]


@pytest.fixture
def make_font() -> MakeFont:
    """``make_font(path, glyphs, flavor=…, thick=…)``: a font whose character ``key`` of ``glyphs`` shows ``value``.

    That is a character, ``"tofu"`` for the box of missing ones, or ``""`` for nothing.
    """
    return _make


def _make(path: Path, glyphs: Mapping[str, str], *, flavor: str | None = None, thick: int = 20) -> None:
    names = {c: f"uni{ord(c):04X}" for c in glyphs}
    builder = FontBuilder(1024)
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap({ord(c): name for c, name in names.items()})
    drawn = {names[c]: _box() if shown == "tofu" else _strokes(shown, thick) for c, shown in glyphs.items()}
    builder.setupGlyf({".notdef": _box()} | drawn)
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *names.values()], (1024, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-124)
    builder.setupNameTable({"familyName": "Test", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.font.flavor = flavor
    path.parent.mkdir(parents=True, exist_ok=True)
    builder.save(path)


def _box() -> object:
    pen = TTGlyphPen(None)
    _polygon(pen, [(100, 0), (100, 700), (600, 700), (600, 0)])
    return pen.glyph()


def _strokes(character: str, thick: int) -> object:
    """Every step of the medians as a small bar; TrueType adds up what overlaps."""
    pen = TTGlyphPen(None)
    for stroke in load_medians().of(character) if character else []:
        for (x0, y0), (x1, y1) in zip(stroke[:-1] * 1000, stroke[1:] * 1000, strict=True):
            length = max(1.0, float((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5)
            a, b = (x1 - x0) / length * thick, (y1 - y0) / length * thick
            corners = (
                (x0 - a - b, y0 - b + a),
                (x1 + a - b, y1 + b + a),
                (x1 + a + b, y1 + b - a),
                (x0 - a + b, y0 - b - a),
            )
            _polygon(pen, [(round(x), round(900 - y)) for x, y in corners])
    return pen.glyph()


def _polygon(pen: TTGlyphPen, corners: list[tuple[int, int]]) -> None:
    pen.moveTo(corners[0])
    for corner in corners[1:]:
        pen.lineTo(corner)
    pen.closePath()
