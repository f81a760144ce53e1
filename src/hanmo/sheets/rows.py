"""Rows of boxes: between two horizontal rules, vertical rules at a regular pitch that reach from one to the other.

Strokes seldom reach from rule to rule, and never at a regular pitch; so each row of boxes is found by itself, and rows
may stand apart, be of several widths, or lie on several pages. Every pair of rules with nothing as strong between them
is tried, and the row with the best sides wins where two rows overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hanmo.sheets.light import Dark, Map, Ridges, marks, ridges
from hanmo.sheets.rules import STRIP, Rule, find_rules
from hanmo.sheets.teeth import NARROWEST, RIVAL, Tooth, find_chains

Values = NDArray[np.float64]

LOWEST = 14
"""Pixels of the height of the lowest row of boxes: a character in a lower box could not be read."""

DARKEST = 1.3
"""How many times as dark as the horizontal rules of a row its vertical ones may be."""

GOOD = 0.5
"""Share of each of its four sides that must be marked for a box to be one."""


@dataclass(frozen=True)
class Evidence:
    """The evidence of rules in a plane view (H, W): how dark lines are across and down, and how surely they are any."""

    across: Ridges
    down: Ridges
    across_marks: Map
    down_marks: Map

    @property
    def maps(self) -> tuple[Ridges, Ridges, Map, Map]:
        """All maps, in the order in which they are given."""
        return self.across, self.down, self.across_marks, self.down_marks

    @property
    def transposed(self) -> Evidence:
        """The evidence of the transposed view."""
        return Evidence(self.down.T, self.across.T, self.down_marks.T, self.across_marks.T)


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
    rules = find_rules(evidence.across_marks)
    finder = _Finder(evidence, rules)
    found = [row for i in range(len(rules)) for j in finder.partners(i) for row in finder.rows(i, j)]
    rows: list[Row] = []
    for row in sorted(found, key=lambda row: -row.score):
        if not any(_overlap(row, other) for other in rows):
            rows.append(row)
    return rows


def _overlap(one: Row, other: Row) -> bool:
    """Whether two rows share more than a sixth of the height and of the width of the smaller one."""
    a, b = one.span, other.span
    shares = [(min(a[k + 2], b[k + 2]) - max(a[k], b[k])) / min(a[k + 2] - a[k], b[k + 2] - b[k]) for k in (0, 1)]
    return min(shares) > 1 / 6


class _Finder:
    """Finds the rows between two rules of a view."""

    def __init__(self, evidence: Evidence, rules: list[Rule]) -> None:
        self.rules = rules
        height, width = evidence.across.shape
        self.x = np.arange(width)
        curves = [rule.at(self.x) for rule in rules]
        self.curves = np.array(curves) if rules else np.zeros((0, width))
        self.tones = _along(evidence.across, self.curves)
        self.marked = _along(evidence.across_marks, self.curves)
        self.down, self.down_marks = _widened(evidence.down), _widened(evidence.down_marks)
        self.tallest = 0.5 * max(height, width)

    def partners(self, i: int) -> list[int]:
        """The rules below rule ``i`` that may be the bottom of a row whose top it is."""
        partners = []
        for j in range(i + 1, len(self.rules)):
            span = self.common(i, j)
            height = float(np.mean(self.curves[j, span] - self.curves[i, span])) if span else 0.0
            if span is None or height < LOWEST:
                continue
            if (
                height <= self.tallest
                and (span.stop - span.start) > 1.5 * NARROWEST * height
                and not self.divided(i, j, span)
            ):
                partners.append(j)
        return partners

    def common(self, i: int, j: int, more: float = 0) -> slice | None:
        """The abscissas that two rules share, ``more`` to both sides; None where they share none."""
        one, other = self.rules[i], self.rules[j]
        left, right = max(one.left, other.left), min(one.right, other.right)
        if right - left < STRIP:
            return None
        return slice(max(int(left - more), 0), min(int(right + more), len(self.x)))

    def divided(self, i: int, j: int, span: slice) -> bool:
        """Whether a rule between two rules is about as dark as they are, on average over ``span``."""
        heights = self.curves[:, (span.start + span.stop) // 2]
        between = np.flatnonzero((heights > heights[i] + 3) & (heights < heights[j] - 3))
        if not len(between):
            return False
        values = self.tones[[i, j, *between], span]
        # Handwriting is darker than rules; capped at their tone it cannot make up for gaps.
        values = np.minimum(values, _ranked(values[:2], 0.7).min())
        # Handwriting on a middle line makes it as dark as the sides in some boxes, so the fainter boxes count.
        boxes = max(1, round(values.shape[1] / float(np.mean(self.curves[j, span] - self.curves[i, span]))))
        each = values.shape[1] // boxes
        means = values[:, : boxes * each].reshape(len(values), boxes, each).mean(axis=2)
        typical = _ranked(means, 0.33)
        sides, rival = typical[:2].min(), typical[2:].max()
        return bool(rival > RIVAL * sides)

    def rows(self, i: int, j: int) -> list[Row]:
        """The rows of boxes between rules ``i`` and ``j``."""
        span = self.common(i, j)
        assert span is not None
        height = float(np.mean(self.curves[j, span] - self.curves[i, span]))
        # Rules across and down are about equally dark; strokes are often darker.
        cap = DARKEST * float(_ranked(self.tones[[i, j], span], 0.7).max())
        # Where a rule's end is covered by handwriting it was traced too short, by a box at most.
        span = self.common(i, j, height + STRIP)
        assert span is not None
        top, bottom = self.curves[i, span], self.curves[j, span]
        found = find_chains(self.down, self.down_marks, span, top, bottom, cap)
        parts = [part for teeth in found for part in self.ruled_parts(i, j, teeth)]
        rows = [self.row(i, j, teeth) for teeth in parts]
        return [row for row in rows if row is not None]

    def ruled_parts(self, i: int, j: int, teeth: list[Tooth]) -> list[list[Tooth]]:
        """The parts of a chain of teeth between which neither rule is marked, as between two pages."""
        parts = [teeth[:1]]
        for a, b in pairwise(teeth):
            if self.marked[[i, j], _between(a, b)].mean(axis=1).max() < GOOD:
                parts.append([])
            parts[-1].append(b)
        return [part for part in parts if len(part) > 1]

    def row(self, i: int, j: int, teeth: list[Tooth]) -> Row | None:
        """The row with given teeth, without boxes at its ends that the rules do not reach; None if none is left.

        Its score is the sum of the boxes' areas, each by its quality and the darkness of its sides.
        """
        quality, scores = [], []
        for a, b in pairwise(teeth):
            span = _between(a, b)
            sides = [float(self.marked[k, span].mean()) for k in (i, j)]
            tones = [float(self.tones[k, span].mean()) for k in (i, j)]
            cover = [a.cover, b.cover]
            quality.append(min(*sides, *(c if c else 0.5 for c in cover)))
            area = (b.left - a.right) * float(np.mean(self.curves[j, span] - self.curves[i, span]))
            scores.append(area * max(2 * quality[-1] - 1, 0) * (sum(tones) + a.tone + b.tone))
        good = np.flatnonzero(np.array(quality) >= GOOD)
        if not len(good):
            return None
        first, last = int(good[0]), int(good[-1]) + 1
        kept = teeth[first : last + 1]
        return Row(self.rules[i], self.rules[j], kept, np.array(quality[first:last]), sum(scores[first:last]))


def _between(a: Tooth, b: Tooth) -> slice:
    """The abscissas between two teeth, one at least."""
    return slice(max(int(a.right), 0), max(int(b.left), int(a.right) + 1))


def _ranked(values: Map, share: float) -> Map:
    """The value of each row of (N, L) that so great a share of its values does not exceed."""
    place = int(share * (values.shape[1] - 1))
    return np.partition(values, place, axis=1)[:, place]


def _along(values: Map, curves: Values) -> Map:
    """The greatest value within two pixels of each curve (N, W) at every abscissa."""
    height, width = values.shape
    rows = np.rint(curves).astype(int)
    best = np.zeros(curves.shape, np.float32)
    for shift in range(-2, 3):
        inside = (rows + shift >= 0) & (rows + shift < height)
        here = values[np.clip(rows + shift, 0, height - 1), np.arange(width)]
        np.maximum(best, np.where(inside, here, 0), out=best)
    return best


def _widened(values: Map) -> Map:
    """The greatest value of each pixel of (H, W) and its left and right neighbour."""
    wide = values.copy()
    np.maximum(wide[:, 1:], values[:, :-1], out=wide[:, 1:])
    np.maximum(wide[:, :-1], values[:, 1:], out=wide[:, :-1])
    return wide
