"""Sheets with one character in each box, drawn from the packaged strokes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hanmo.medians import medians_for
from hanmo.sheets.grid import Grid

MARGIN = 60
RULE = 3


def boxes(rows: int, columns: int, side: int = 100, at: tuple[int, int] = (MARGIN, MARGIN)) -> Grid:
    """A grid of square boxes whose rules begin at ``at`` (x, y)."""
    column, row = np.meshgrid(np.arange(columns), np.arange(rows))
    corner = np.stack([column, row], -1) * side + np.array(at)
    low, high = RULE, side - 1
    inner = np.array([(low, low), (high, low), (high, high), (low, high)])
    return Grid((corner[:, :, None] + inner).astype(np.float64))


def draw_boxes(
    rows: Sequence[str],
    side: int = 100,
    *,
    rule: str = "#d04040",
    cross: str | None = None,
    pen: str = "#202028",
    faint: Collection[tuple[int, int]] = (),
    struck: Collection[tuple[int, int]] = (),
) -> tuple[NDArray[np.uint8], Grid]:
    """Draw rows of characters, a space for an empty box: uint8 (H, W, 3) and its grid.

    ``cross`` is the colour of a printed cross in each box. ``faint`` boxes are written in pencil, ``struck`` ones are
    crossed out.
    """
    columns = len(rows[0])
    picture = Image.new("RGB", (columns * side + 2 * MARGIN, len(rows) * side + 2 * MARGIN), "#f4f2ec")
    draw = ImageDraw.Draw(picture)
    for r, row in enumerate(rows):
        for c, character in enumerate(row):
            x, y = MARGIN + c * side, MARGIN + r * side
            draw.rectangle((x, y, x + side + RULE - 1, y + side + RULE - 1), outline=rule, width=RULE)
            if cross:
                middle = side // 2
                for k in range(0, side, 8):
                    draw.line((x + k, y + middle, x + k + 4, y + middle), cross, 2)
                    draw.line((x + middle, y + k, x + middle, y + k + 4), cross, 2)
            if character != " ":
                colour = "#b4b4b8" if (r, c) in faint else pen
                _write(draw, character, (x, y), side, colour)
            if (r, c) in struck:
                low, high = 0.14 * side, 0.88 * side
                draw.line((x + low, y + low, x + high, y + high), pen, 4)
                draw.line((x + high, y + low, x + low, y + high), pen, 4)
    return np.asarray(picture), boxes(len(rows), columns, side)


def _write(draw: ImageDraw.ImageDraw, character: str, at: tuple[int, int], side: int, colour: str) -> None:
    """Write a character into the middle seven tenths of a box."""
    for stroke in medians_for(character).of(character):
        points = [(at[0] + side * (0.15 + 0.7 * x), at[1] + side * (0.15 + 0.7 * y)) for x, y in stroke.tolist()]
        draw.line(points, colour, 5, joint="curve")
