"""The structure of strokes and characters: corners, hooks, and the parts of a character that move together.

It is measured from the medians once, when a bank is made. Shapes: S strokes, P points a stroke, L levels of parts.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVELS = 3
"""Parts within parts: 湖 is 氵 and 胡, 胡 is 古 and 月, 古 is 十 and 口."""

_CORNER = math.radians(48)  # a stroke has a corner where it turns by more than this
_REACH = 0.08  # the turn at a place is measured between so far before and so far after it
_PLACES = 49  # places along a stroke at which its turn is measured
_LONGEST_HOOK = 0.17  # of the square's side; what follows a corner for longer is no hook
_BALANCE = 0.35  # advantage of a cut in halves over one that leaves a single stroke, in units of the gap
_TOUCH, _APART = 0.04, 0.3  # strokes so near touch; advantage of a cut across which none do, in units of the gap
_LEAST_GAP = -0.12  # the boxes of two parts may overlap by this share of their extent ...
_LEAST_GAP_APART = -0.25  # ... or by this, if no strokes touch across the cut


Floats = NDArray[np.float32]


class Shape(NamedTuple):
    """Measures of S strokes."""

    along: Floats
    """(S, P): the arc length up to each point, as a share of the whole, 0 to 1."""
    length: Floats
    """(S,): the arc length of the whole stroke."""
    corners: Floats
    """(S,): the number of corners."""
    hook: NDArray[np.int64]
    """(S,): the point at which the final hook begins; the last point if there is none."""


def shape_of(points: Floats) -> Shape:
    """Measure strokes (S, P, 2)."""
    steps = np.diff(points, axis=1)
    arc = np.concatenate([np.zeros((len(points), 1)), np.hypot(steps[..., 0], steps[..., 1]).cumsum(1)], 1)
    length = np.maximum(arc[:, -1], 1e-6)
    turn, at = _turns(points, arc / length[:, None], length)
    peak = (turn > _CORNER) & (turn >= np.roll(turn, 1, 1)) & (turn > np.roll(turn, -1, 1))
    rest = (1 - at) * length[:, None]
    hooked = peak & (rest < np.minimum(_LONGEST_HOOK, 0.4 * length[:, None]))
    # The hook begins at the point nearest to the last sharp turn.
    place = at[0, np.where(hooked.any(1), hooked.shape[1] - 1 - hooked[:, ::-1].argmax(1), -1)]
    hook = np.abs(arc / length[:, None] - place[:, None]).argmin(1)
    return Shape(
        (arc / length[:, None]).astype(np.float32),
        length.astype(np.float32),
        peak.sum(1).astype(np.float32),
        np.where(hooked.any(1), hook, points.shape[1] - 1),
    )


def _turns(points: Floats, along: NDArray[np.float64], length: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """The turn of each stroke at M evenly spread places, in radians, and these places, 0 to 1; both (S, M)."""
    row = np.arange(len(points))[:, None]
    even = np.linspace(0, 1, _PLACES)
    flat = (along + 2 * row).ravel()  # one ascending axis for all strokes, so that one interpolation does for all
    x, y = (np.interp((even + 2 * row).ravel(), flat, points[..., i].ravel()).reshape(len(points), -1) for i in (0, 1))
    reach = np.clip(np.rint(_REACH / length * (_PLACES - 1)), 1, (_PLACES - 1) // 3).astype(np.int64)[:, None]
    place = np.arange(_PLACES)
    before, after = np.maximum(place - reach, 0), np.minimum(place + reach, _PLACES - 1)
    into = np.arctan2(y - y[row, before], x - x[row, before])
    out = np.arctan2(y[row, after] - y, x[row, after] - x)
    turn = np.abs((out - into + math.pi) % (2 * math.pi) - math.pi)
    turn[(place < reach) | (place > _PLACES - 1 - reach)] = 0
    return turn, np.broadcast_to(even, turn.shape)


class StrokeGroups(NamedTuple):
    """The parts that each of S strokes belongs to, at L levels, the largest part first."""

    number: NDArray[np.int64]
    """(S, L): the part, numbered within the character; -1 where the part of the level above is not divided."""
    centre: Floats
    """(S, L, 2): the centre of the part's box."""
    size: Floats
    """(S, L, 2): the width and height of the box."""


def group_strokes(strokes: Floats) -> StrokeGroups:
    """Divide a character, strokes (S, P, 2) in writing order, into parts, and these again, three levels deep.

    Characters are written part by part, so that a part is a run of successive strokes, and a cut is a number of
    strokes. The best cut is where the strokes before it stand apart from those after it. Frames (国) and parts that are
    wrapped around others (这) are not divided.
    """
    count = len(strokes)
    number = np.full((count, LEVELS), -1)
    centre, size = np.zeros((count, LEVELS, 2), np.float32), np.zeros((count, LEVELS, 2), np.float32)
    low, high = strokes.min(1), strokes.max(1)
    touching = _touching(strokes)
    waiting, named = [(0, count, 0)], 0
    while waiting:
        first, stop, level = waiting.pop()
        these = slice(first, stop)
        cut = _best_cut(low[these], high[these], touching[these, these]) if level < LEVELS else 0
        if not cut:
            continue
        for a, b in ((first, first + cut), (first + cut, stop)):
            here, there = low[a:b].min(0), high[a:b].max(0)
            number[a:b, level], centre[a:b, level], size[a:b, level] = named, (here + there) / 2, there - here
            named += 1
            waiting.append((a, b, level + 1))
    return StrokeGroups(number, centre, size)


def _touching(strokes: Floats) -> NDArray[np.bool_]:
    """Which of S strokes (S, P, 2) touch each other, bool (S, S)."""
    some = strokes[:, ::2], strokes  # every second point of one with all points of the other: exact enough
    apart = np.square(some[0][:, None, :, None] - some[1][None, :, None, :]).sum(4).min((2, 3))
    near: NDArray[np.bool_] = np.minimum(apart, apart.T) < _TOUCH**2
    return near


def _best_cut(low: Floats, high: Floats, touching: NDArray[np.bool_]) -> int:
    """The number of strokes in the first of two parts, from the corners (n, 2) of their boxes; 0: only one part."""
    count = len(low)
    if count < 4:  # a part has two strokes at least, as one stroke moves on its own anyway
        return 0
    before_low, before_high = np.minimum.accumulate(low)[:-1], np.maximum.accumulate(high)[:-1]
    after_low = np.minimum.accumulate(low[::-1])[::-1][1:]
    after_high = np.maximum.accumulate(high[::-1])[::-1][1:]
    whole = np.maximum(high.max(0) - low.min(0), 1e-6)
    # The gap between the boxes before and after each cut, as a share of the whole, across or down, whichever is larger.
    # The later part usually lies to the right or below; parts around others (廴, 戈) overlap them, whatever the order.
    gap = (np.maximum(after_low - before_high, before_low - after_high) / whole).max(1)
    strokes = np.arange(2, count - 1)
    gap = gap[strokes - 1]
    halves = np.minimum(strokes, count - strokes) / count
    apart = np.array([not touching[:cut, cut:].any() for cut in strokes])
    cut = int((gap + _BALANCE * halves + _APART * apart).argmax())
    return int(strokes[cut]) if gap[cut] > (_LEAST_GAP_APART if apart[cut] else _LEAST_GAP) else 0
