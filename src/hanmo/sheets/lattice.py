"""From rows of boxes to lattices: rows with the same columns become one lattice, without holes.

A lattice holds, for every row, the places of its vertical rules and the heights of its two horizontal ones there. Where
a rule was not found, its neighbours tell where it should be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hanmo.sheets.bands import runs_of
from hanmo.sheets.light import Map
from hanmo.sheets.mend import filled, mended
from hanmo.sheets.rows import GOOD, Evidence, Row
from hanmo.sheets.sides import sides

Values = NDArray[np.float64]

SAME = 0.22
"""Share of a box's width by which the vertical rules of two rows of one lattice may miss each other."""

ALIKE = 1.3
"""Greatest ratio of the heights of two rows of one lattice, and of the widths of their boxes."""

APART = 1.1
"""Heights of a row that may lie blank between two rows of one lattice, such as lines for Pinyin."""

BESIDE = 0.15
"""Share of a row's height between two rows from which they stand apart, so that they may have different lengths."""

LOST = 3.4
"""Heights of a row that may lie between two rows of one lattice when horizontal rules between them are missing."""

REACHED = 0.6
"""Share of such a gap that the vertical rules must cover, for it to hold rows."""

FEWEST = 4
"""Boxes of the smallest lattice: ornaments and logos have fewer."""


@dataclass(frozen=True)
class Lattice:
    """R rows of C boxes in the plane view.

    ``left`` and ``right``, (R, C + 1): where the boxes before and after each vertical rule end and begin, at middle
    height; ``top`` and ``bottom``, (R, C + 1): the heights of the horizontal rules there. ``quality`` (R, C) is the
    marked share of each box's weakest side. ``slant``: the shift of vertical rules over a row's height, for one row.
    """

    left: Values
    right: Values
    top: Values
    bottom: Values
    quality: Values
    slant: float = 0.0

    def part(self, rows: NDArray[np.int64], columns: slice) -> Lattice:
        """The lattice of some rows and of a run of columns."""
        edges = slice(columns.start, columns.stop + 1)
        left, right, top, bottom = (values[rows][:, edges] for values in (self.left, self.right, self.top, self.bottom))
        return Lattice(left, right, top, bottom, self.quality[rows][:, columns], self.slant)

    @property
    def quads(self) -> Values:
        """The corners of the boxes, (R, C, 4, 2), from top left clockwise."""
        corners = np.zeros((*self.quality.shape, 4, 2))
        begins, ends = self._slanted(self.right), self._slanted(self.left)
        for corner, (x, y, side) in enumerate(
            [(begins[0], self.top, 0), (ends[0], self.top, 1), (ends[1], self.bottom, 1), (begins[1], self.bottom, 0)]
        ):
            columns = slice(1, None) if side else slice(0, -1)
            corners[:, :, corner, 0], corners[:, :, corner, 1] = x[:, columns], y[:, columns]
        return corners

    def _slanted(self, x: Values) -> tuple[Values, Values]:
        """The places (R, C + 1) of vertical rules at the top and the bottom of each row, from those at its middle."""
        if len(x) == 1:
            return x - self.slant / 2, x + self.slant / 2
        middle = (self.top + self.bottom) / 2
        slope = np.gradient(x, axis=0) / np.gradient(middle, axis=0)
        half = (self.bottom - self.top) / 2
        return x - slope * half, x + slope * half


def find_lattices(rows: list[Row], evidence: Evidence) -> list[Lattice]:
    """The lattices that rows of boxes form, those with most boxes first."""
    found = []
    for group in _groups(rows):
        for block in _blocks(_table(group), evidence):
            for part in _parts(block):
                found += _divided(part, evidence.down_marks)
    found = [lattice for lattice in found if lattice.quality.size >= FEWEST]
    return sorted(found, key=lambda lattice: -lattice.quality.size)


Placed = list[tuple[Row, int]]
"""Rows from top to bottom, each with the number of the column in which it begins."""


def _groups(rows: list[Row]) -> list[Placed]:
    """Rows that continue each other's columns, from top to bottom."""
    rest = sorted(rows, key=lambda row: row.span[1])
    groups: list[Placed] = []
    while rest:
        group = [(rest.pop(0), 0)]
        grown = True
        while grown:
            grown = False
            for row in rest:
                column = _column(row, group)
                if column is not None:
                    group.append((row, column))
                    rest.remove(row)
                    grown = True
                    break
        groups.append(sorted(group, key=lambda placed: placed[0].span[1]))
    return groups


def _column(row: Row, group: Placed) -> int | None:
    """The number of a group's column in which a row begins; None if it does not belong there."""
    for other, first in sorted(group, key=lambda placed: abs(placed[0].span[1] - row.span[1])):
        above, below = sorted((row, other), key=lambda r: r.span[1])
        gap = below.span[1] - above.span[3]
        height = (row.height + other.height) / 2
        if -0.3 * height <= gap <= LOST * height and max(row.height, other.height) < ALIKE * min(
            row.height, other.height
        ):
            shift = _shift(row, other)
            if shift is not None:
                return first + shift
    return None


def _shift(row: Row, other: Row) -> int | None:
    """By how many columns a row begins right of another one; None if their vertical rules do not match."""
    x, y = (np.array([tooth.middle for tooth in r.teeth]) for r in (row, other))
    width = float(np.median(np.diff(x)))
    ratio = width / float(np.median(np.diff(y)))
    if not 1 / ALIKE < ratio < ALIKE:
        return None
    miss = np.abs(x[:, None] - y[None, :])
    near = miss.min(axis=1) < SAME * width
    inside = (x > y[0] - SAME * width) & (x < y[-1] + SAME * width)
    if near.sum() < 2 or near.sum() < 0.7 * inside.sum():
        return None
    return int(np.median((miss.argmin(axis=1) - np.arange(len(x)))[near]))


def _table(group: Placed) -> Lattice:
    """A group of rows as one lattice with the columns of all of them; boxes that a row lacks have the quality 0."""
    first = min(column for _, column in group)
    columns = max(column + len(row.quality) for row, column in group) - first
    lines = _lines_of_text(group)
    left, right, top, bottom = (np.full((len(lines), columns + 1), np.nan) for _ in range(4))
    quality = np.zeros((len(lines), columns))
    for r, line in enumerate(lines):
        for row, column in line:
            start = column - first
            for c, tooth in enumerate(row.teeth, start):
                if tooth.cover or np.isnan(left[r, c]):
                    left[r, c], right[r, c] = tooth.left, tooth.right
            quality[r, start : start + len(row.quality)] = row.quality
        x = filled(left, right, r)
        longest = max(line, key=lambda placed: len(placed[0].quality))[0]
        top[r], bottom[r] = longest.top.at(x), longest.bottom.at(x)
    slant = float(np.median([tooth.slant for row, _ in group for tooth in row.teeth]))
    return _smooth(Lattice(left, right, top, bottom, quality, slant))


def _blocks(table: Lattice, evidence: Evidence) -> list[Lattice]:
    """A lattice divided between rows that stand apart and begin or end in different columns, as on forms."""
    shares = sides(table.quads, evidence).mean(axis=-1)
    present = (shares >= 0.5) | (table.quality >= GOOD)
    ends = [(int(row.argmax()), int(row[::-1].argmax())) for row in present]
    height = np.median(table.bottom - table.top, axis=1)
    blocks, first = [], 0
    for r in range(1, len(present) + 1):
        if r < len(present):
            gap = float(np.median(table.top[r] - table.bottom[r - 1]))
            if ends[r] == ends[r - 1] or gap <= BESIDE * height[r]:
                continue
        blocks.append(table.part(np.arange(first, r), slice(0, present.shape[1])))
        first = r
    return blocks


def _parts(table: Lattice) -> list[Lattice]:
    """The lattices of a table, divided at columns that most rows lack; without rows that lack most columns."""
    parts = []
    for span in _runs((table.quality >= GOOD).mean(axis=0) >= 0.5):
        kept = np.flatnonzero((table.quality[:, span] >= GOOD).mean(axis=1) >= 0.5)
        if len(kept):
            parts.append(table.part(kept, span))
    return parts


def _lines_of_text(group: Placed) -> list[Placed]:
    """Rows of a group at the same height, such as two parts of a row with a hole, put together."""
    lines: list[Placed] = []
    for row, column in group:
        if lines and row.span[1] < (lines[-1][0][0].span[1] + lines[-1][0][0].span[3]) / 2:
            lines[-1].append((row, column))
        else:
            lines.append([(row, column)])
    return lines


def _runs(wanted: NDArray[np.bool_]) -> list[slice]:
    """The runs of successive wanted places."""
    return [slice(int(begin), int(end)) for begin, end in runs_of(wanted)]


def _smooth(lattice: Lattice) -> Lattice:
    """A lattice whose vertical rules are put in where they are missing, and put right where a stroke stood for one."""
    middle = (lattice.top + lattice.bottom) / 2
    width = float(np.nanmedian(np.diff((lattice.left + lattice.right) / 2, axis=1)))
    left, right = (
        np.stack([mended(x, middle[:, c], width) for c, x in enumerate(values.T)], axis=1)
        for values in (lattice.left, lattice.right)
    )
    # A rule that no row has stands at a regular distance from the others.
    for r in range(len(middle)):
        left[r], right[r] = filled(left, left, r), filled(right, right, r)
    return Lattice(left, right, lattice.top, lattice.bottom, lattice.quality, lattice.slant)


def _divided(lattice: Lattice, down_marks: Map) -> list[Lattice]:
    """A lattice with the rows that missing horizontal rules hide, or parts of it where there are none between."""
    step = _step(lattice)
    parts: list[list[int | float]] = [[0]]
    for r in range(1, len(lattice.quality)):
        height = float(np.median(lattice.bottom[r] - lattice.top[r]))
        gap = float(np.median(lattice.top[r] - lattice.bottom[r - 1]))
        lost = max(round(float(np.median(lattice.top[r] - lattice.top[r - 1])) / step) - 1, 0)
        if lost and gap > 0.6 * height and _reach(lattice, r, down_marks) >= REACHED:
            parts[-1] += [r - 1 + k / (lost + 1) for k in range(1, lost + 1)]
        elif gap > APART * height:
            parts.append([])
        parts[-1].append(r)
    return [_at_rows(lattice, np.array(part, float)) for part in parts]


def _step(lattice: Lattice) -> float:
    """The distance from row to row, the least that is usual."""
    heights = float(np.median(lattice.bottom - lattice.top))
    steps = np.median(np.diff(lattice.top, axis=0), axis=1)
    close = steps[steps < 1.5 * heights]
    return float(np.median(close)) if len(close) else heights


def _reach(lattice: Lattice, r: int, down_marks: Map) -> float:
    """The marked share of the vertical rules between row ``r`` and the row above, the median over the rules."""
    share = np.linspace(0.05, 0.95, 40)[:, None]
    x = (lattice.left + lattice.right) / 2
    across = x[r - 1] + (x[r] - x[r - 1]) * share
    down = lattice.bottom[r - 1] + (lattice.top[r] - lattice.bottom[r - 1]) * share
    height, width = down_marks.shape
    rows = np.clip(np.rint(down).astype(int), 0, height - 1)
    columns = np.rint(across).astype(int)
    near = [down_marks[rows, np.clip(columns + shift, 0, width - 1)] for shift in range(-2, 3)]
    return float(np.median(np.max(near, axis=0).mean(axis=0)))


def _at_rows(lattice: Lattice, rows: Values) -> Lattice:
    """The lattice at whole and broken numbers of rows; broken ones are interpolated and have the quality 0."""
    low = np.floor(rows).astype(int)
    high = np.minimum(low + 1, len(lattice.quality) - 1)
    part = (rows - low)[:, None]
    left, right, top, bottom = (
        values[low] * (1 - part) + values[high] * part
        for values in (lattice.left, lattice.right, lattice.top, lattice.bottom)
    )
    return Lattice(left, right, top, bottom, np.where(part == 0, lattice.quality[low], 0), lattice.slant)
