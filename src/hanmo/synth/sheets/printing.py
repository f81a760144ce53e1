"""Print drawn in pixels: lines, circles and texts on the colour of the paper."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

from hanmo.medians import medians_for
from hanmo.synth.sheets.geometry import Circle, Colour, Line, Mark, Paper, Text

_FINER = 2  # print is drawn so many times as large and reduced, as Pillow's lines are not antialiased
_THICK, _THIN = 0.11, 0.045  # half widths of upright and level strokes, as parts of a character: those of Song type
_FINE = 96  # side of the picture of a printed character, which is then scaled to its size


def print_paper(paper: Paper, scale: float, ground: Colour) -> Image.Image:
    """The printed sheet as RGB, ``scale`` pixels a millimetre; ``ground`` is the colour of the paper."""
    width, height = (round(side * scale) for side in paper.page)
    sheet = Image.new("RGB", (width * _FINER, height * _FINER), ground)
    pen = ImageDraw.Draw(sheet)
    for mark in paper.marks:
        _print(sheet, pen, mark, scale * _FINER, ground)
    return sheet.reduce(_FINER)


def _print(sheet: Image.Image, pen: ImageDraw.ImageDraw, mark: Mark, scale: float, ground: Colour) -> None:
    if isinstance(mark, Line):
        width, colour = _width(mark.width * scale, mark.colour, ground)
        for start, end in dashes(mark):
            pen.line([(x * scale, y * scale) for x, y in (start, end)], colour, width)
    elif isinstance(mark, Circle):
        width, colour = _width(mark.width * scale, mark.colour, ground)
        (x, y), radius = mark.centre, mark.radius
        pen.ellipse(
            [(v * scale) for v in (x - radius, y - radius, x + radius, y + radius)], outline=colour, width=width
        )
    else:
        _write(sheet, mark, scale)


def _width(width: float, colour: Colour, ground: Colour) -> tuple[int, Colour]:
    """A whole width in pixels, at least 1; a line that is thinner becomes paler instead."""
    if width >= 1:
        return round(width), colour
    red, green, blue = (round(g + (c - g) * width) for c, g in zip(colour, ground, strict=True))
    return 1, (red, green, blue)


def dashes(line: Line) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The dashes of a line, in millimetres: as many as fit, symmetric about its middle; itself if it is solid."""
    on, off = line.dash
    (x, y), (right, below) = line.start, line.end
    length = math.hypot(right - x, below - y)
    if not on or length <= on:
        return [(line.start, line.end)]
    count = int((length + off) // (on + off))
    first = (length - count * on - (count - 1) * off) / 2
    ends = [((first + n * (on + off)) / length, (first + n * (on + off) + on) / length) for n in range(count)]
    return [((x + (right - x) * a, y + (below - y) * a), (x + (right - x) * b, y + (below - y) * b)) for a, b in ends]


def _write(sheet: Image.Image, text: Text, scale: float) -> None:
    size = max(4, round(text.size * scale))
    mask = _line_of_text(text.text, size)
    x = text.place[0] * scale - mask.width * {"l": 0.0, "m": 0.5, "r": 1.0}[text.anchor]
    sheet.paste(text.colour, (round(x), round(text.place[1] * scale - size / 2)), mask)


def _line_of_text(text: str, size: int) -> Image.Image:
    """A line of print as a mask, ``size`` high: Chinese from the packaged strokes, the rest in Pillow's own font.

    No font of the system is used, so that a sheet is the same everywhere.
    """
    table = medians_for("")
    step = round(size * 1.08)
    latin = ImageFont.load_default(size * 0.9)
    widths = [step if c in table else math.ceil(latin.getlength(c)) for c in text]
    mask, x = Image.new("L", (max(1, sum(widths)), size), 0), 0
    for character, width in zip(text, widths, strict=True):
        if character in table:
            mask.paste(_character(character).resize((size, size), Image.Resampling.BOX), (x, 0))
        else:
            ImageDraw.Draw(mask).text((x, size / 2), character, 255, latin, anchor="lm")
        x += width
    return mask


@lru_cache(maxsize=512)
def _character(character: str) -> Image.Image:
    """A printed character as a mask of 96 x 96: level strokes are thin and upright ones thick, as in Song type."""
    large = Image.new("L", (_FINE * 2, _FINE * 2), 0)
    pen, side = ImageDraw.Draw(large), _FINE * 2
    for stroke in medians_for(character).of(character):
        points = [(float(x), float(y)) for x, y in stroke]
        for (x, y), (right, below) in pairwise(points):
            steep = abs(below - y) / max(math.hypot(right - x, below - y), 1e-6)
            radius = (_THIN + (_THICK - _THIN) * steep) / 2 * side
            pen.line((x * side, y * side, right * side, below * side), 255, round(2 * radius))
            for at_x, at_y in ((x, y), (right, below)):
                at_x, at_y = at_x * side, at_y * side
                pen.ellipse((at_x - radius, at_y - radius, at_x + radius, at_y + radius), fill=255)
    return large.reduce(2)
