"""Rows of boxes: between two horizontal rules, vertical rules at a regular pitch that reach from one to the other.

Strokes seldom reach from rule to rule, and never at a regular pitch; so each row of boxes is found by itself, and rows
may stand apart, be of several widths, or lie on several pages. Every pair of rules with nothing as strong between them
is tried, except where a clear row of at least that size was found; and the row with the best sides wins where two rows
overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hanmo.sheets.light import Dark, Map, Ridges, marks, ridges
from hanmo.sheets.rules import STRIP, Rule, find_rules
from hanmo.sheets.teeth import NARROWEST, RIVAL, Tooth, find_chains

Values = NDArray[np.float64]
Places = NDArray[np.int64]
_Number = TypeVar("_Number", bound=np.number)

LOWEST = 14
"""Pixels of the height of the lowest row of boxes: a character in a lower box could not be read."""

DARKEST = 1.3
"""How many times as dark as the horizontal rules of a row its vertical ones may be."""

GOOD = 0.5
"""Share of each of its four sides that must be marked for a box to be one."""

OVERLAP = 1 / 6
"""Share of the height and width of the smaller one of two rows from which only one of them can be right."""

CLEAR, ENOUGH = 0.8, 3
"""Quality of all boxes of a row, and their number, from which it is clear: nothing less is sought where it lies."""

HIGHER = 1.05
"""How many times as high or as large as a clear row another one may be that is less: rules are thick."""


@dataclass(frozen=True)
class Evidence:
    """The evidence of rules in a plane view (H, W): how dark lines are across and down, and how surely they are any."""

    across: Ridges
    down: Ridges
    across_marks: Map
    down_marks: Map

    @property
    def transposed(self) -> Evidence:
        """The evidence of the transposed view."""
        return Evidence(self.down.T, self.across.T, self.down_marks.T, self.across_marks.T)

    @property
    def mirrored(self) -> Evidence:
        """The evidence of the view flipped top to bottom."""
        return Evidence(self.across[::-1], self.down[::-1], self.across_marks[::-1], self.down_marks[::-1])


def evidence_of(dark: Dark) -> Evidence:
    """The evidence of rules in a picture of darkness (H, W)."""
    across, down = ridges(dark), np.ascontiguousarray(ridges(dark.T).T)
    return Evidence(across, down, marks(across), marks(down))


@dataclass(frozen=True, eq=False)
class Row:
    """Boxes between two rules, with one tooth more than boxes; ``quality``, one for each box, is 0 to 1."""

    top: Rule
    bottom: Rule
    teeth: list[Tooth]
    quality: Values
    score: float

    @cached_property
    def span(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the row."""
        left, right = self.teeth[0].right, self.teeth[-1].left
        middle = (left + right) / 2
        return left, float(self.top.at(middle)), right, float(self.bottom.at(middle))

    @property
    def height(self) -> float:
        """The height of the row at its middle."""
        _, top, _, bottom = self.span
        return bottom - top


def find_rows(evidence: Evidence) -> list[Row]:
    """The rows of boxes of a plane view that do not overlap, the best ones first."""
    finder = _Finder(evidence, find_rules(evidence.across_marks))
    found: list[Row] = []
    clear: list[_Pair] = []
    for pair in finder.pairs():
        if any(finder.beaten(pair, other) for other in clear) or finder.divided(pair):
            continue
        for row in finder.rows(pair):
            found.append(row)
            if len(row.quality) >= ENOUGH and row.quality.min() >= CLEAR:
                clear.append(_Pair(pair.top, pair.bottom, int(row.span[0]), int(row.span[2]), pair.height))
    rows: list[Row] = []
    for row in sorted(found, key=lambda row: -row.score):
        if not any(_overlap(row, other) for other in rows):
            rows.append(row)
    return rows


def _overlap(one: Row, other: Row) -> bool:
    """Whether two rows share more than OVERLAP of the height and of the width of the smaller one."""
    a, b = one.span, other.span
    shares = [(min(a[k + 2], b[k + 2]) - max(a[k], b[k])) / min(a[k + 2] - a[k], b[k + 2] - b[k]) for k in (0, 1)]
    return min(shares) > OVERLAP


class _Pair(NamedTuple):
    """Two rules, by their numbers, that may bound a row of boxes: the abscissas they share, and their distance."""

    top: int
    bottom: int
    start: int
    stop: int
    height: float

    @property
    def area(self) -> float:
        """The area between the rules."""
        return (self.stop - self.start) * self.height


class _Finder:
    """Finds the rows between two rules of a view."""

    def __init__(self, evidence: Evidence, rules: list[Rule]) -> None:
        self.rules = rules
        height, self.width = evidence.across.shape
        x = np.arange(self.width)
        self.curves = np.array([rule.at(x) for rule in rules]).reshape(len(rules), self.width)
        self.tones = _along(evidence.across, self.curves)
        self.heights, self.tone = _Means(self.curves), _Means(self.tones)
        self.marked = _Means(_along(evidence.across_marks, self.curves))
        self.left, self.right = np.array([(rule.left, rule.right) for rule in rules]).reshape(-1, 2).T
        self.down, self.down_marks = _widened(evidence.down), _widened(evidence.down_marks)
        self.tallest = 0.5 * max(height, self.width)

    def pairs(self) -> list[_Pair]:
        """The pairs of rules between which boxes have room, the highest first: whole boxes come before their halves."""
        top, bottom = np.triu_indices(len(self.rules), 1)
        start, stop = self.common(top, bottom)
        near = stop - start >= STRIP
        top, bottom, start, stop = (values[near] for values in (top, bottom, start, stop))
        height = self.heights(bottom, start, stop) - self.heights(top, start, stop)
        fits = (height >= LOWEST) & (height <= self.tallest) & (stop - start > 1.5 * NARROWEST * height)
        columns = (values[fits].tolist() for values in (top, bottom, start, stop, height))
        return sorted(map(_Pair, *columns), key=lambda pair: -pair.height)

    def common(self, i: Places, j: Places, more: float = 0) -> tuple[Places, Places]:
        """Begin and end of the abscissas that rules ``i`` share with rules ``j``, ``more`` to both sides."""
        left = np.maximum(self.left[i], self.left[j]) - more
        right = np.minimum(self.right[i], self.right[j]) + more
        return np.maximum(left, 0).astype(int), np.minimum(right, self.width).astype(int)

    def beaten(self, pair: _Pair, clear: _Pair) -> bool:
        """Whether a clear row takes the place of all rows that a pair may have, since they overlap it and are less."""
        if not clear.start - clear.height <= pair.start < pair.stop <= clear.stop + clear.height:
            return False
        if pair.height > HIGHER * clear.height or pair.area > HIGHER * clear.area:
            return False
        (top, bottom), (above, below) = (
            self.curves[[p.top, p.bottom], (pair.start + pair.stop) // 2].tolist() for p in (pair, clear)
        )
        return bool(min(bottom, below) - max(top, above) > OVERLAP * min(pair.height, clear.height))

    def divided(self, pair: _Pair) -> bool:
        """Whether a rule between two rules is about as dark as they are, on average over their span."""
        heights = self.curves[:, (pair.start + pair.stop) // 2]
        (between,) = np.nonzero((heights > heights[pair.top] + 3) & (heights < heights[pair.bottom] - 3))
        if not len(between):
            return False
        values = self.tones[[pair.top, pair.bottom, *between.tolist()], pair.start : pair.stop]
        # Handwriting is darker than rules; capped at their tone it cannot make up for gaps.
        values = np.minimum(values, _ranked(values[:2], 0.7).min())
        # Handwriting on a middle line makes it as dark as the sides in some boxes, so the fainter boxes count.
        boxes = max(1, round(values.shape[1] / pair.height))
        each = values.shape[1] // boxes
        sums = values[:, : boxes * each].reshape(len(values), boxes, each).sum(axis=2, dtype=np.int32)
        typical = _ranked(sums, 0.33)
        sides, rival = typical[:2].min(), typical[2:].max()
        return bool(rival > RIVAL * sides)

    def rows(self, pair: _Pair) -> list[Row]:
        """The rows of boxes between two rules."""
        i, j, start, stop, height = pair
        # Rules across and down are about equally dark; strokes are often darker.
        cap = DARKEST * float(_ranked(self.tones[[i, j], start:stop], 0.7).max())
        # Where a rule's end is covered by handwriting it was traced too short, by a box at most.
        span = slice(*map(int, self.common(np.array(i), np.array(j), height + STRIP)))
        found = find_chains(self.down, self.down_marks, span, self.curves[i], self.curves[j], cap)
        parts = [part for teeth in found for part in self.ruled_parts(i, j, teeth)]
        rows = [self.row(i, j, teeth) for teeth in parts]
        return [row for row in rows if row is not None]

    def ruled_parts(self, i: int, j: int, teeth: list[Tooth]) -> list[list[Tooth]]:
        """The parts of a chain of teeth between which neither rule is marked, as between two pages."""
        marked = self.marked(_pair(i, j), *self.boxes(teeth)).max(axis=0)
        (ends,) = np.nonzero(marked < GOOD)
        edges = [0, *(ends + 1).tolist(), len(teeth)]
        return [teeth[a:b] for a, b in pairwise(edges) if b - a > 1]

    def row(self, i: int, j: int, teeth: list[Tooth]) -> Row | None:
        """The row with given teeth, without boxes at its ends that the rules do not reach; None if none is left.

        Its score is the sum of the boxes' areas, each by its quality and the darkness of its sides.
        """
        span = self.boxes(teeth)
        cover, tone = np.array([(tooth.cover or 0.5, tooth.tone) for tooth in teeth]).T
        quality = np.minimum(self.marked(_pair(i, j), *span).min(axis=0), np.minimum(cover[:-1], cover[1:]))
        (good,) = np.nonzero(quality >= GOOD)
        if not len(good):
            return None
        top, bottom = self.heights(_pair(i, j), *span)
        width = np.array([b.left - a.right for a, b in pairwise(teeth)])
        tones = self.tone(_pair(i, j), *span).sum(axis=0) + tone[:-1] + tone[1:]
        scores = width * (bottom - top) * np.maximum(2 * quality - 1, 0) * tones
        first, last = int(good[0]), int(good[-1]) + 1
        kept = teeth[first : last + 1]
        return Row(self.rules[i], self.rules[j], kept, quality[first:last], float(scores[first:last].sum()))

    def boxes(self, teeth: list[Tooth]) -> tuple[Places, Places]:
        """Begin and end of the abscissas of each box between teeth, one at least."""
        start = np.array([tooth.right for tooth in teeth[:-1]]).astype(int).clip(0, self.width - 1)
        stop = np.array([tooth.left for tooth in teeth[1:]]).astype(int).clip(0, self.width)
        return start, np.maximum(stop, start + 1)


class _Means:
    """Means of (N, W) over any parts of its rows, from sums that are made once."""

    def __init__(self, values: NDArray[np.generic]) -> None:
        self._sums = np.zeros((len(values), values.shape[1] + 1))
        np.cumsum(values, axis=1, out=self._sums[:, 1:])

    def __call__(self, row: Places | int, start: Places | int, stop: Places | int) -> Values:
        means: Values = (self._sums[row, stop] - self._sums[row, start]) / (stop - start)
        return means


def _pair(i: int, j: int) -> Places:
    """Two rules as a column, to be combined with a row of boxes."""
    return np.array([[i], [j]])


def _ranked(values: NDArray[_Number], share: float) -> NDArray[_Number]:
    """The value of each row of (N, L) that so great a share of its values does not exceed."""
    place = int(share * (values.shape[1] - 1))
    ranked: NDArray[_Number] = np.partition(values, place, axis=1)[:, place]
    return ranked


def _along(values: NDArray[_Number], curves: Values) -> NDArray[_Number]:
    """The greatest value within two pixels of each curve (N, W) at every abscissa."""
    height, width = values.shape
    # Nothing is marked at the edges, so that curves beyond them may lie on them.
    rows = np.rint(curves).astype(int).clip(2, height - 3)
    x = np.arange(width)
    best: NDArray[_Number] = values[rows, x]
    for shift in (-2, -1, 1, 2):
        np.maximum(best, values[rows + shift, x], out=best)
    return best


def _widened(values: NDArray[_Number]) -> NDArray[_Number]:
    """The greatest value of each pixel of (H, W) and its left and right neighbour."""
    wide = values.copy()
    np.maximum(wide[:, 1:], values[:, :-1], out=wide[:, 1:])
    np.maximum(wide[:, :-1], values[:, 1:], out=wide[:, :-1])
    return wide
