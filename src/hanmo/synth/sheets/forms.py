"""Parts that several papers share: rules, guides in a cell, frames, titles and captions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from hanmo.synth.sheets.geometry import Boxes, Circle, Colour, Line, Mark, Text

Random = np.random.Generator

PAGES = ((210.0, 297.0), (182.0, 257.0), (148.0, 210.0))
"""A4, B5 and A5."""

TITLES = (
    "练字本",
    "每日一练",
    "硬笔书法练习",
    "语文练习纸",
    "生字抄写",
    "钢笔字帖",
    "小学生练习册",
    "默写纸",
    "古诗抄写",
)
CAPTIONS = ("姓名", "班级", "学号", "日期", "得分", "家长签名", "老师评语")
NOTES = ("请用黑色签字笔书写", "保持卷面整洁", "第一页", "坐姿端正", "一笔一画写好字", "本页共一百分")


def place_boxes(
    page: tuple[float, float],
    cell: float,
    gap: tuple[float, float] = (0.0, 0.0),
    *,
    margin: float = 14.0,
    head: float = 32.0,
    foot: float = 24.0,
    most: tuple[int, int] = (99, 99),
) -> Boxes:
    """As many square cells as the page has room for, at most ``most`` rows and columns, in the middle of its width.

    ``head`` and ``foot`` are left free above and below.
    """
    columns = int((page[0] - 2 * margin + gap[0]) // (cell + gap[0]))
    rows = int((page[1] - head - foot + gap[1]) // (cell + gap[1]))
    rows, columns = min(rows, most[0]), min(columns, most[1])
    width = columns * cell + (columns - 1) * gap[0]
    return Boxes((page[0] - width) / 2, head, rows, columns, (cell, cell), gap)


def rules(boxes: Boxes, width: float, colour: Colour, dash: tuple[float, float] = (0.0, 0.0)) -> Iterator[Line]:
    """The four sides of every cell; a side that two cells share is drawn once."""
    seen = set()
    for quad in boxes.quads().reshape(-1, 4, 2).round(3):
        corners = [(float(x), float(y)) for x, y in quad]
        for start, end in zip(corners, (*corners[1:], corners[0]), strict=True):
            side = (min(start, end), max(start, end))
            if side not in seen:
                seen.add(side)
                yield Line(*side, width, colour, dash)


def outline(boxes: Boxes, width: float, colour: Colour, away: float = 0.0) -> Iterator[Line]:
    """A rectangle around the whole grid, ``away`` outside of it."""
    yield from rectangle((boxes.left - away, boxes.top - away, boxes.right + away, boxes.bottom + away), width, colour)


def rectangle(
    box: tuple[float, float, float, float], width: float, colour: Colour, dash: tuple[float, float] = (0.0, 0.0)
) -> Iterator[Line]:
    """The sides of ``box`` (left, top, right, bottom)."""
    left, top, right, bottom = box
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    for start, end in zip(corners, (*corners[1:], corners[0]), strict=True):
        yield Line(start, end, width, colour, dash)


def guides(
    boxes: Boxes,
    kinds: Sequence[str],
    width: float,
    colour: Colour,
    dash: tuple[float, float] = (0.0, 0.0),
    reach: float = 1.0,
) -> Iterator[Mark]:
    """Lines that help to place strokes, in every cell: ``cross``, ``diagonals``, ``ring``, ``inner``.

    ``reach`` is how far from the middle to the rules they go.
    """
    for quad in boxes.quads().reshape(-1, 4, 2):
        middle, half = quad.mean(0), (quad[2] - quad[0]) / 2 * reach
        ways = [(half[0], 0.0), (0.0, half[1])] if "cross" in kinds else []
        ways += [(half[0], half[1]), (half[0], -half[1])] if "diagonals" in kinds else []
        for x, y in ways:
            yield Line((middle[0] - x, middle[1] - y), (middle[0] + x, middle[1] + y), width, colour, dash)
        if "ring" in kinds:
            yield Circle((middle[0], middle[1]), half[0] * 0.86, width, colour)
        if "inner" in kinds:
            inner = half * (0.52, 0.66)
            yield from rectangle((*(middle - inner), *(middle + inner)), width, colour, dash)


def title(rng: Random, page: tuple[float, float], colour: Colour, y: float = 15.0) -> Iterator[Mark]:
    """A heading in the middle, at the left or at the right."""
    place, anchor = ((page[0] / 2, "m"), (20.0, "l"), (page[0] - 20.0, "r"))[rng.integers(3)]
    size = float(rng.uniform(5, 8))
    yield Text((place, y), size, str(rng.choice(TITLES)), colour, anchor)


def captions(rng: Random, page: tuple[float, float], colour: Colour, y: float, count: int = 3) -> Iterator[Mark]:
    """Words with a line to write on after each, side by side."""
    room = (page[0] - 36) / count
    for number, word in enumerate(rng.choice(CAPTIONS, count, replace=False)):
        x = 18 + number * room
        yield Text((x, y), 3.6, f"{word}", colour)
        after = x + 3.9 * len(word) + 2
        yield Line((after, y + 2.2), (x + room - 6, y + 2.2), 0.2, colour)


def entries(marks: Sequence[Mark]) -> Iterator[Boxes]:
    """Room for handwriting on the lines after captions: boxes of one row each."""
    for caption, line in pairwise(marks):
        if isinstance(caption, Text) and isinstance(line, Line) and line.end[0] > line.start[0] > caption.place[0]:
            side = float(caption.size * 1.7)
            count = int((line.end[0] - line.start[0]) // side)
            if count and 0 < line.start[1] - caption.place[1] < side and line.start[1] == line.end[1]:
                yield Boxes(line.start[0], line.start[1] - side, 1, count, (side, side))


def note(rng: Random, page: tuple[float, float], colour: Colour, y: float) -> Iterator[Mark]:
    """Small print below."""
    yield Text((page[0] / 2, y), float(rng.uniform(2.6, 3.4)), str(rng.choice(NOTES)), colour, "m")


def stars(page: tuple[float, float], colour: Colour, y: float, count: int = 5, size: float = 2.4) -> Iterator[Mark]:
    """Hollow five-pointed stars in a row, as practice sheets have them to be coloured in."""
    for number in range(count):
        x = page[0] / 2 + (number - (count - 1) / 2) * size * 2.6
        turn = np.arange(11) * np.pi / 5 - np.pi / 2
        radius = np.where(np.arange(11) % 2, 0.42, 1.0) * size
        points = [(x + r * np.cos(t), y + r * np.sin(t)) for r, t in zip(radius, turn, strict=True)]
        for start, end in pairwise(points):
            yield Line(start, end, 0.25, colour)


def ornament(page: tuple[float, float], colour: Colour, margin: float) -> Iterator[Mark]:
    """A double frame near the edge of the page with a meander in each corner."""
    for away in (margin, margin + 2.0):
        yield from rectangle((away, away, page[0] - away, page[1] - away), 0.35, colour)
    steps = ((0, 0), (9, 0), (9, 9), (3, 9), (3, 3), (6, 3), (6, 6))
    for right in (False, True):
        for below in (False, True):
            points = [
                (
                    page[0] - margin + 2 - x if right else margin - 2 + x,
                    page[1] - margin + 2 - y if below else margin - 2 + y,
                )
                for x, y in steps
            ]
            for start, end in pairwise(points):
                yield Line(start, end, 0.5, colour)
