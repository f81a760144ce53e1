"""Model glyphs: how a character is written, from the packaged stroke medians."""

from __future__ import annotations

from hanmo.medians import medians_for

Glyph = list[list[list[float]]]
"""Strokes in writing order, each a list of points [x, y] in the unit square, y growing downwards."""


def model_glyph(character: str) -> Glyph:
    """The strokes of a character; none where the package has no strokes for it. The first call takes 0.3 s."""
    medians = medians_for(character)
    if character not in medians:
        return []
    # The table's grid has 1,024 steps: four digits keep them apart.
    return [[[round(x, 4), round(y, 4)] for x, y in stroke.tolist()] for stroke in medians.of(character)]
