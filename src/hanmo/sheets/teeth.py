"""Vertical rules between two horizontal ones: lines that reach from one to the other, at a regular pitch.

Lines down are the teeth of a comb. Among all lines, strokes and middle lines included, the chain of teeth with the
greatest value is found by dynamic programming: dark teeth that cover the whole height add to it; passing over a line as
dark as they are, bridging a missing one, and changes of the pitch take away from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hanmo.sheets.light import Map, Ridges

Values = NDArray[np.float64]

NARROWEST, WIDEST = 0.6, 1.65
"""Width of a box as a share of its height: boxes of characters are nearly square, also seen from the side."""

RIVAL = 0.75
"""Share of the darkness of a box's sides from which a line between them is as strong, so that it divides the box.

Dashed and dotted middle lines have half of it."""

SAMPLES = 19
"""Heights at which a row is sampled for vertical rules."""

_SHARES = np.linspace(0.05, 0.95, SAMPLES)

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

SHORT = 0.1
"""Share of the height that a line must cover less than the rules beside it to be surely a stroke."""

SOLID = 0.6
"""Gain of rules, at most 1, beside which missing ones are bridged; a stroke has less."""


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


def find_chains(
    down: Ridges, down_marks: Map, span: slice, top: Values, bottom: Values, cap: float
) -> list[list[Tooth]]:
    """The chains of teeth over ``span`` between two curves (W,), from left to right, by the maps (H, W) of lines down.

    What is darker than ``cap`` counts as so dark.
    """
    height = float(np.mean(bottom[span] - top[span]))
    return _chains(_teeth(_lines(down, down_marks, span, top, bottom, cap), height), height)


@dataclass(frozen=True)
class _Lines:
    """Candidates of vertical rules in a row, from left to right: place, cover, tone and slant, (N,)."""

    x: Values
    cover: Values
    tone: Values
    slant: Values


def _lines(down: Ridges, down_marks: Map, span: slice, top: Values, bottom: Values, cap: float) -> _Lines:
    """The lines down that cover most of the height between two curves over ``span``."""
    height, width = down.shape
    tall = float(np.mean(bottom[span] - top[span]))
    shifts = np.rint(np.array(SLANTS)[:, None] * tall * (_SHARES - 0.5)).astype(int)
    # The row is made level, with a margin as wide as the greatest shift: there slanted lines are shifts of its parts.
    margin = int(shifts.max())
    x = np.arange(span.start - margin, span.stop + margin).clip(0, width - 1)
    y = np.rint(top[x] + (bottom - top)[x] * _SHARES[:, None]).astype(int).clip(0, height - 1)
    places = y * width + x
    covers = _covers(down_marks.ravel()[places], shifts, margin)
    # Of equally good slants the smallest counts.
    best = (covers - 0.01 * np.abs(np.array(SLANTS, np.float32))[:, None]).argmax(axis=0)
    cover = covers.max(axis=0)
    peaks = _peaks(cover, max(3, round(0.06 * tall)))
    seen = places[np.arange(SAMPLES), (margin + peaks)[:, None] + shifts[best[peaks]]]
    tone = np.minimum(down.ravel()[seen], cap).mean(axis=1)
    return _Lines((span.start + peaks).astype(float), cover[peaks], tone, np.array(SLANTS)[best[peaks]] * tall)


def _covers(level: Map, shifts: NDArray[np.int64], margin: int) -> Map:
    """The marked share of slanted lines, (slants, L), in a level row (SAMPLES, margin + L + margin).

    ``shifts`` (slants, SAMPLES) are those of the lines in each line of the row.
    """
    length = level.shape[1] - 2 * margin
    sums = np.zeros((SAMPLES + 1, level.shape[1]), np.float32)
    np.cumsum(level, axis=0, out=sums[1:])
    covers = np.zeros((len(shifts), length), np.float32)
    for cover, shift in zip(covers, shifts.tolist(), strict=True):
        first = 0
        # Lines of the row with the same shift are added at once.
        for by, same in groupby(shift):
            last = first + len(list(same))
            cover += (sums[last] - sums[first])[margin + by : margin + by + length]
            first = last
    covers /= SAMPLES
    return covers


def _peaks(cover: Map, reach: int) -> NDArray[np.int64]:
    """The places of the local maxima of (L,) that reach REACHING, the middle ones of plateaus."""
    (candidates,) = np.nonzero(cover >= REACHING)
    order = candidates[np.argsort(-cover[candidates], kind="stable")]
    rest = np.where(cover >= REACHING, cover, 0).tolist()
    places = []
    for k in order.tolist():
        if rest[k] == 0:
            continue
        end = k
        while end + 1 < len(rest) and rest[end + 1] == rest[k]:
            end += 1
        middle = (k + end) // 2
        places.append(middle)
        for taken in range(min(max(middle - reach, 0), k), min(max(middle + reach, end) + 1, len(rest))):
            rest[taken] = 0
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
            # Two lines are sides of neighbours; more of them at such distances are a table's.
            if both and last.left == last.right:
                merged = (max(last.cover, cover), max(last.tone, tone), (last.slant + slant) / 2)
                teeth[-1] = Tooth(last.left, x, *map(float, merged))
                continue
        teeth.append(tooth)
    return teeth


def _chains(teeth: list[Tooth], height: float) -> list[list[Tooth]]:
    """The regular rows of at least two boxes that teeth form: the best one, then those to its left and right.

    Parts that handwriting divides, as dark as rules, are put together: they share a tooth and have the same pitch.
    """
    chain = _best_chain(teeth, height)
    if len(chain) < 3:
        return []
    before = _chains(teeth[: teeth.index(chain[0]) + 1], height)
    after = _chains(teeth[teeth.index(chain[-1]) :], height)
    whole = _bridged(chain, height)
    if before and before[-1][-1] == whole[0] and _alike(before[-1], whole):
        whole = before.pop() + whole[1:]
    if after and after[0][0] == whole[-1] and _alike(whole, after[0]):
        whole = whole + after.pop(0)[1:]
    return [*before, whole, *after]


def _alike(one: list[Tooth], other: list[Tooth]) -> bool:
    """Whether boxes of two chains are equally wide."""
    widths = [float(np.median([b.left - a.right for a, b in pairwise(chain)])) for chain in (one, other)]
    return max(widths) < 1.2 * min(widths)


def _best_chain(teeth: list[Tooth], height: float) -> list[Tooth]:
    """The chain of teeth with the greatest value, by dynamic programming over pairs of successive teeth."""
    tone = max((tooth.tone for tooth in teeth), default=0.0)
    if len(teeth) < 3 or tone == 0:
        return []
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
    rival, cover = min(teeth[0].tone, teeth[-1].tone), min(teeth[0].cover, teeth[-1].cover)
    for tooth in teeth[1:-1]:
        cost += 0.05
        if tooth.tone > RIVAL * rival and tooth.left > left and tooth.right < right:
            # A stroke may reach nearly from rule to rule, a rule does so entirely.
            cost += 1.45 * min(max(1 - (cover - tooth.cover) / SHORT, 0), 1)
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
