"""Rows of boxes: between two horizontal rules, vertical rules at a regular pitch that reach from one to the other.

Strokes seldom reach from rule to rule, and never at a regular pitch; so each row of boxes is found by itself, and rows
may stand apart, be of several widths, or lie on several pages. Every pair of rules with nothing as strong between them
is tried, and the row with the best sides wins where two rows overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hanmo.sheets.light import Map, marks, ridges
from hanmo.sheets.rules import STRIP, Rule, find_rules

Values = NDArray[np.float64]

LOWEST = 14
"""Pixels of the height of the lowest row of boxes: a character in a lower box could not be read."""

NARROWEST, WIDEST = 0.6, 1.65
"""Width of a box as a share of its height: boxes of characters are nearly square, also seen from the side."""

RIVAL = 0.75
"""Share of the darkness of a box's sides from which a line between them is as strong, so that it divides the box.

Dashed and dotted middle lines have half of it."""

SAMPLES = 19
"""Heights at which a row is sampled for vertical rules."""

SLANTS = (-0.06, -0.03, 0.0, 0.03, 0.06)
"""Slants of vertical rules that are tried: shifts over the row's height, as shares of it."""

REACHING = 0.55
"""Share of a row's height that a vertical line must cover to be a candidate."""

DOUBLE = 0.25
"""Two strong vertical lines closer than this share of a row's height are the sides of neighbouring boxes."""

BRIDGE = 3
"""Boxes that may lie between two vertical rules if those between are missing."""


HOPELESS = 4.0
"""Cost of passing over other rules from which no row is worth it: that of nearly three rules, which give 1 each."""

SOLID = 0.6
"""Gain of rules, at most 1, beside which missing ones are bridged; a stroke has less."""

GOOD = 0.5
"""Share of each of its four sides that must be marked for a box to be one."""


@dataclass(frozen=True)
class Evidence:
    """The evidence of rules in a plane view (H, W): how dark lines are across and down, and how surely they are any."""

    across: Map
    down: Map
    across_marks: Map
    down_marks: Map

    @property
    def maps(self) -> tuple[Map, Map, Map, Map]:
        """All maps, in the order in which they are given."""
        return self.across, self.down, self.across_marks, self.down_marks

    @property
    def transposed(self) -> Evidence:
        """The evidence of the transposed view."""
        return Evidence(self.down.T, self.across.T, self.down_marks.T, self.across_marks.T)


def evidence_of(dark: Map) -> Evidence:
    """The evidence of rules in a picture of darkness (H, W)."""
    across, down = ridges(dark), ridges(dark.T).T
    return Evidence(across, down, marks(across), marks(down.T).T)


@dataclass(frozen=True)
class Tooth:
    """A vertical rule of a row of boxes: the abscissas where the box before ends and the next one begins.

    They differ between boxes that stand apart. ``cover`` is the share of the row's height that is marked, 0 where the
    rule is missing and was bridged; ``tone`` is its darkness, ``slant`` its shift over the row's height in pixels.
    """

    left: float
    right: float
    cover: float
    tone: float
    slant: float

    @property
    def middle(self) -> float:
        """The abscissa of the rule's middle."""
        return (self.left + self.right) / 2


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
        # Where a rule's end is covered by handwriting it was traced too short, by a box at most.
        span = self.common(i, j, height + STRIP)
        assert span is not None
        top, bottom = self.curves[i, span], self.curves[j, span]
        lines = _lines(self.down, self.down_marks, span, top, bottom)
        rows = [self.row(i, j, teeth) for teeth in _chains(_teeth(lines, height), height)]
        return [row for row in rows if row is not None]

    def row(self, i: int, j: int, teeth: list[Tooth]) -> Row | None:
        """The row with given teeth, without boxes at its ends that the rules do not reach; None if none is left.

        Its score is the sum of the boxes' areas, each by its quality and the darkness of its sides.
        """
        quality, scores = [], []
        for a, b in pairwise(teeth):
            span = slice(max(int(a.right), 0), max(int(b.left), int(a.right) + 1))
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


@dataclass(frozen=True)
class _Lines:
    """Candidates of vertical rules in a row, from left to right: place, cover, tone and slant, (N,)."""

    x: Values
    cover: Values
    tone: Values
    slant: Values


def _lines(down: Map, down_marks: Map, span: slice, top: Values, bottom: Values) -> _Lines:
    """The lines down that cover most of the height between two curves over ``span``."""
    height, width = down.shape
    share = np.linspace(0.05, 0.95, SAMPLES)[:, None]
    y = np.clip(np.rint(top + (bottom - top) * share).astype(int), 0, height - 1)
    tall = float(np.mean(bottom - top))
    x = np.arange(span.start, span.stop)
    covers, columns = [], []
    for slant in SLANTS:
        columns.append(np.clip(np.rint(x + slant * tall * (share - 0.5)).astype(int), 0, width - 1))
        covers.append(down_marks[y, columns[-1]].mean(axis=0))
    stacked = np.array(covers)
    # Of equally good slants the smallest counts.
    best = (stacked - 0.01 * np.abs(np.array(SLANTS))[:, None]).argmax(axis=0)
    cover = stacked.max(axis=0)
    peaks = _peaks(cover, max(3, round(0.06 * tall)))
    tones = [down[y[:, k], columns[best[k]][:, k]] for k in peaks]
    cap = float(np.quantile(np.array(tones), 0.9)) if len(peaks) else 0.0
    tone = np.array([np.minimum(values, cap).mean() for values in tones])
    return _Lines(x[peaks].astype(float), cover[peaks], tone, np.array(SLANTS)[best[peaks]] * tall)


def _peaks(cover: Map, reach: int) -> NDArray[np.int64]:
    """The places of the local maxima of (L,) that reach REACHING, the middle ones of plateaus."""
    places = []
    rest = np.where(cover >= REACHING, cover, 0)
    while rest.size and rest.max() > 0:
        k = int(rest.argmax())
        end = k
        while end + 1 < len(rest) and rest[end + 1] == rest[k]:
            end += 1
        middle = (k + end) // 2
        places.append(middle)
        rest[max(middle - reach, 0) : middle + reach + 1] = 0
        rest[k : end + 1] = 0
    return np.array(sorted(places), np.int64)


def _teeth(lines: _Lines, height: float) -> list[Tooth]:
    """Lines as teeth; two strong ones close to each other, such as the sides of boxes apart, become one tooth."""
    strong = float(np.quantile(lines.tone, 0.8)) * RIVAL if len(lines.x) else 0.0
    teeth: list[Tooth] = []
    for x, cover, tone, slant in zip(lines.x, lines.cover, lines.tone, lines.slant, strict=True):
        tooth = Tooth(x, x, float(cover), float(tone), float(slant))
        if teeth and x - teeth[-1].right < DOUBLE * height:
            last = teeth[-1]
            both = min(last.cover, tooth.cover) > 0.85 and min(last.tone, tooth.tone) > strong
            if both and x - last.left < DOUBLE * height:
                merged = (max(last.cover, cover), max(last.tone, tone), (last.slant + slant) / 2)
                teeth[-1] = Tooth(last.left, x, *map(float, merged))
                continue
        teeth.append(tooth)
    return teeth


def _chains(teeth: list[Tooth], height: float) -> list[list[Tooth]]:
    """The regular rows of at least two boxes that teeth form: the best one, then those to its left and right."""
    chain = _best_chain(teeth, height)
    if len(chain) < 3:
        return []
    before = [tooth for tooth in teeth if tooth.right < chain[0].left]
    after = [tooth for tooth in teeth if tooth.left > chain[-1].right]
    return [*_chains(before, height), _bridged(chain, height), *_chains(after, height)]


def _best_chain(teeth: list[Tooth], height: float) -> list[Tooth]:
    """The chain of teeth with the greatest value, by dynamic programming over pairs of successive teeth."""
    if len(teeth) < 3:
        return []
    tone = max(tooth.tone for tooth in teeth)
    gain = [(2 * tooth.cover - 1) * (0.3 + 0.7 * tooth.tone / tone) for tooth in teeth]
    # For every tooth the chains that end with it, one for each tooth before: value, width of the last box, the chain.
    ending: list[list[tuple[float, float, Chain]]] = [[] for _ in teeth]
    for b, tooth in enumerate(teeth):
        for a in range(b - 1, -1, -1):
            width = tooth.left - teeth[a].right
            if width > BRIDGE * WIDEST * height:
                break
            if width < NARROWEST * height:
                continue
            passed = _passed(teeth[a : b + 1], height)
            if passed > HOPELESS:
                break
            for boxes in range(1, BRIDGE + 1 if min(gain[a], gain[b]) > SOLID else 2):
                each = width / boxes
                if NARROWEST * height <= each <= WIDEST * height:
                    step = gain[b] - passed - 0.8 * (boxes - 1)
                    ending[b].append(_longest(ending[a], gain[a], each, step, a, b))
    value, _, chain = max((option for options in ending for option in options), default=(0.0, 0.0, None))
    found = []
    while value > 0 and chain is not None:
        found.append(teeth[chain[0]])
        chain = chain[1]
    return found[::-1]


Chain = tuple[int, Any]
"""The number of the last tooth of a chain, and the chain before it, or None."""


def _longest(
    before: list[tuple[float, float, Chain]], first: float, each: float, step: float, a: int, b: int
) -> tuple[float, float, Chain]:
    """The best chain that ends with teeth ``a`` and ``b``: it goes on one of those ``before`` ``a``, or begins there.

    ``first`` is the gain of ``a``, ``step`` that of ``b``; boxes between both are ``each`` wide.
    """
    value, chain = first + step, (b, (a, None))
    for so_far, width, previous in before:
        # Widths of neighbouring boxes differ by perspective and bends only.
        change = abs(each / width - 1)
        if change < 0.2 and so_far + step - 30 * change**2 > value:
            value, chain = so_far + step - 30 * change**2, (b, previous)
    return value, each, chain


def _passed(teeth: list[Tooth], height: float) -> float:
    """The cost of passing over the teeth between the first and the last one."""
    cost = 0.0
    left, right = teeth[0].right + 0.12 * height, teeth[-1].left - 0.12 * height
    rival = RIVAL * min(teeth[0].tone, teeth[-1].tone)
    for tooth in teeth[1:-1]:
        cost += 1.5 if tooth.cover > 0.8 and tooth.tone > rival and tooth.left > left and tooth.right < right else 0.1
    return cost


def _bridged(chain: list[Tooth], height: float) -> list[Tooth]:
    """A chain with teeth put in where a rule is missing."""
    width = float(np.median([b.left - a.right for a, b in pairwise(chain)]))
    whole = [chain[0]]
    for tooth in chain[1:]:
        last = whole[-1]
        apart = tooth.left - last.right
        boxes = max(1, round(apart / min(max(width, NARROWEST * height), WIDEST * height)))
        for k in range(1, boxes):
            x = last.right + apart * k / boxes
            whole.append(Tooth(x, x, 0.0, 0.0, (last.slant + tooth.slant) / 2))
        whole.append(tooth)
    return whole
