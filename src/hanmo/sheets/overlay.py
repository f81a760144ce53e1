"""The photograph of a sheet with its cells outlined and their characters written in small beside the writing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hanmo.data.fonts import CaptionFont
from hanmo.sheets.cells import side_of
from hanmo.sheets.sheet import UNREAD, Cell, Sheet

LONGEST = 2_000
"""Pixels of the picture's longer side at most."""
_FINER = 2
"""Outlines and characters are drawn so many times as large and reduced, as Pillow's lines are not antialiased."""
_FADED = 0.18
"""How far the photograph is mixed with white, so that the outlines stand out."""
_TAG = 0.28
"""Side of the tag with the character, as a share of the cell's side."""
_LINE = 0.016
"""Width of an outline, as a share of the cell's side."""
_INSIDE = 0.03
"""Distance of an outline from the cell's edge, so that neighbouring ones do not touch."""

SURE = 0.9
"""Probability from which a cell counts as read for sure."""

_COLOURS = {
    "sure": "#0f766e",
    "unsure": "#d97706",
    "not read": "#b91c1c",
    "empty": "#94a3b8",
    "different": "#a21caf",
}
"""The kinds of cells, in the order of the legend."""
_INK = "#1c1c1c"


def draw_overlay(pixels: NDArray[np.uint8], sheet: Sheet, different: Collection[Cell] = ()) -> Image.Image:
    """Draw what was read of ``sheet`` over its picture ``pixels``, uint8 (H, W, 3), which is turned upright.

    The picture is reduced to at most :data:`LONGEST` pixels. Each cell is outlined in the colour of its kind, with the
    character in its upper left corner; the legend below counts the kinds. ``different`` are cells that differ from a
    given text.
    """
    photo = Image.fromarray(np.ascontiguousarray(np.rot90(pixels, sheet.rotation // 90)))
    scale = min(1.0, LONGEST / max(photo.size))
    photo = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.LANCZOS)
    photo = Image.blend(photo, Image.new("RGB", photo.size, "white"), _FADED)
    layer = Image.new("RGBA", (photo.width * _FINER, photo.height * _FINER), (255, 255, 255, 0))
    pen = ImageDraw.Draw(layer)
    marked = {id(cell) for cell in different}
    kinds = [kind_of(cell, different=id(cell) in marked) for cell in sheet.cells]
    for number, grid in enumerate(sheet.grids):
        brush = _Brush(pen, scale * _FINER, side_of(grid))
        for cell, kind in zip(sheet.cells, kinds, strict=True):
            if cell.grid == number:
                brush.draw(cell, kind)
    photo.paste(layer.reduce(_FINER), mask=layer.getchannel("A").reduce(_FINER))
    return _with_legend(photo, Counter(kinds))


def kind_of(cell: Cell, *, different: bool = False) -> str:
    """How a cell is shown: "sure", "unsure", "not read", "empty" or "different"."""
    if different:
        return "different"
    if cell.empty:
        return "empty"
    if cell.character is None:
        return "not read"
    return "sure" if cell.probability >= SURE else "unsure"


class _Brush:
    """Draws the cells of one grid, whose usual ``side`` in pixels of the photograph becomes ``scale`` times as long."""

    def __init__(self, pen: ImageDraw.ImageDraw, scale: float, side: float) -> None:
        self.pen, self.scale, self.side = pen, scale, side * scale
        self.tag = max(10.0, _TAG * self.side)
        self.line = max(1, round(_LINE * self.side))
        self.font = CaptionFont(0.8 * self.tag)

    def draw(self, cell: Cell, kind: str) -> None:
        corners = (cell.quadrilateral + 0.5) * self.scale
        middle = corners.mean(axis=0)
        corners = middle + (corners - middle) * (1 - 2 * _INSIDE)
        colour = _COLOURS[kind]
        outline = [(float(x), float(y)) for x, y in (*corners, corners[0], corners[1])]
        self.pen.line(outline, colour, max(1, self.line // 2) if kind == "empty" else self.line, joint="curve")
        if kind != "empty":
            self._label(corners[0], cell.character or UNREAD, colour)

    def _label(self, corner: NDArray[np.float64], text: str, colour: str) -> None:
        """A tag with white writing, whose upper left corner is that of the outline."""
        x, y = (float(value) - self.line / 2 for value in corner)
        self.pen.rounded_rectangle(
            (x, y, x + self.tag, y + self.tag), self.tag / 6, colour, corners=(False, False, True, False)
        )
        self.font.write(self.pen, (x + self.tag / 2, y + self.tag * 0.8), text, "#ffffff", "ms")


def _with_legend(photo: Image.Image, counts: Counter[str]) -> Image.Image:
    """The picture above a line that names the colours, with the number of cells of each."""
    size = max(12, round(max(photo.size) / 70))
    font = CaptionFont(size)
    whole = Image.new("RGB", (photo.width, photo.height + round(2.4 * size)), "#ffffff")
    whole.paste(photo)
    pen = ImageDraw.Draw(whole)
    x, y = float(size), photo.height + 1.2 * size
    for kind, colour in _COLOURS.items():
        if counts[kind]:
            pen.rounded_rectangle((x, y - size / 2, x + size, y + size / 2), size / 5, colour)
            label = f"{kind} {counts[kind]}"
            font.write(pen, (x + 1.5 * size, y + 0.36 * size), label, _INK, "ls")
            x += 3 * size + font.width(label)
    return whole
