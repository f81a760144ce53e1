"""The heat map of HWDB-C, drawn with Pillow alone.

Each row is a corruption, each column a severity; a cell shows the accuracy as a number and as a colour.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hanmo.errors import ArgumentError
from hanmo.evaluate.corrupt_result import CorruptionReport
from hanmo.evaluate.corruptions import SEVERITIES

_SCALE = 2
"""Device pixels of a point: crisp on a dense screen."""
_NAME, _CELL_WIDTH, _CELL_HEIGHT, _TITLE, _GAP, _MARGIN = 132, 58, 24, 50, 8, 20
_PAPER, _TEXT, _QUIET = (255, 255, 255), (28, 28, 28), (96, 96, 96)
_STOPS = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], np.float64)
"""Colours of accuracies 0, 25, ... 100 %: the scale "viridis", whose lightness rises evenly. It also reads in grey."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Colour = tuple[int, int, int]


def heat_map(reports: Sequence[CorruptionReport]) -> Image.Image:
    """An RGB picture with one panel a report, below each other. Raises :class:`ArgumentError` when there is none."""
    if not reports:
        raise ArgumentError("a heat map needs at least one report")
    panels = [_panel(report) for report in reports]
    picture = Image.new("RGB", (max(p.width for p in panels), sum(p.height for p in panels)), _PAPER)
    top = 0
    for panel in panels:
        picture.paste(panel, (0, top))
        top += panel.height
    return picture


def _panel(report: CorruptionReport) -> Image.Image:
    names = list(report.corruptions)
    columns = len(SEVERITIES) + 1
    # One more column for the mean of a row, set off by a gap; below, a row of heads and one of means are added.
    width = 2 * _MARGIN + _NAME + columns * _CELL_WIDTH + _GAP
    height = 2 * _MARGIN + _TITLE + (len(names) + 2) * _CELL_HEIGHT + _GAP
    picture = Image.new("RGB", (width * _SCALE, height * _SCALE), _PAPER)
    pen, large, small = ImageDraw.Draw(picture), _font(14), _font(11)
    title = f"{report.reader}: mCA {report.mca:.1f} %, clean {report.clean.accuracy:.1f} %"
    pen.text(_at(_MARGIN, _MARGIN), _plain(title), _TEXT, large)
    # Windows paths have backslashes (chr(92)); only the file's name is shown.
    where = f"{report.file.replace(chr(92), '/').rsplit('/', 1)[-1]}, n = {report.n:,}; accuracy in % by severity"
    pen.text(_at(_MARGIN, _MARGIN + 22), _plain(where), _QUIET, small)
    top = _MARGIN + _TITLE
    for column, head in enumerate((*map(str, SEVERITIES), "mean")):
        pen.text(_middle(column, top), head, _QUIET, small, anchor="mm")
    for row, name in enumerate(names, 1):
        y = top + row * _CELL_HEIGHT
        pen.text(_at(_MARGIN, y + _CELL_HEIGHT / 2), name, _TEXT, small, anchor="lm")
        _cells(pen, y, [*(score.accuracy for score in report.corruptions[name]), report.mean(name)], small)
    y = top + (len(names) + 1) * _CELL_HEIGHT + _GAP
    pen.text(_at(_MARGIN, y + _CELL_HEIGHT / 2), "mean", _TEXT, small, anchor="lm")
    _cells(pen, y, [*(score.accuracy for score in report.severities), report.mca], small)
    return picture


def _cells(pen: ImageDraw.ImageDraw, top: float, values: Sequence[float], font: Font) -> None:
    for column, value in enumerate(values):
        left, colour = _left(column), _colour(value / 100)
        pen.rectangle((*_at(left, top), *_at(left + _CELL_WIDTH - 1, top + _CELL_HEIGHT - 1)), colour)
        # Brightness as the eye sees it (ITU-R BT.601): dark digits on cells lighter than 120 of 255, else white ones.
        luminance = np.dot(colour, (0.299, 0.587, 0.114))
        pen.text(_middle(column, top), f"{value:.1f}", _TEXT if luminance > 120 else _PAPER, font, anchor="mm")


def _left(column: int) -> float:
    return _MARGIN + _NAME + column * _CELL_WIDTH + (_GAP if column == len(SEVERITIES) else 0)


def _middle(column: int, top: float) -> tuple[float, float]:
    return _at(_left(column) + _CELL_WIDTH / 2, top + _CELL_HEIGHT / 2)


def _at(x: float, y: float) -> tuple[float, float]:
    return x * _SCALE, y * _SCALE


def _colour(share: float) -> Colour:
    places = np.linspace(0, 1, len(_STOPS))
    red, green, blue = (round(float(np.interp(share, places, channel))) for channel in _STOPS.T)
    return red, green, blue


def _font(points: int) -> Font:
    return ImageFont.load_default(points * _SCALE)


def _plain(text: str) -> str:
    """Pillow's own font draws Latin letters only; others would all look alike."""
    return text.encode("latin-1", "replace").decode("latin-1")
