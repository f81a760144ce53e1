"""What strokes are made of and where they stand: corners, hooks, and the parts of a character that move together.

All of it is read off the medians once, when a bank is made. Shapes: S strokes, P points a stroke, L levels of parts.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVELS = 3
"""Parts within parts: 湖 is 氵 and 胡, 胡 is 古 and 月, 古 is 十 and 口."""

_CORNER = math.radians(48)  # where a stroke turns by more it has a corner
_REACH = 0.08  # how far before and after a place its turn is measured
_PLACES = 49
_LONGEST_HOOK = 0.17  # of the square's side
_BALANCE = 0.35  # what halves are better than a single stroke and the rest, in gaps
_TOUCH, _APART = 0.04, 0.3  # strokes so near each other touch; what it is worth, in gaps, when no two across a cut do
_LEAST_GAP = -0.12  # parts may overlap by so much of the pair's extent and are parts still,
_LEAST_GAP_APART = -0.25  # and by so much when nothing touches across the cut

Floats = NDArray[np.float32]


class Shape(NamedTuple):
    """What a stroke looks like; all of S strokes."""

    along: Floats
    """(S, P), the way covered at each point, 0 to 1."""
    length: Floats
    """(S,), of the whole stroke."""
    corners: Floats
    """(S,), how many."""
    hook: NDArray[np.int64]
    """(S,), the point where the final hook begins; the last point where there is none."""


def shape_of(points: Floats) -> Shape:
    """Measure strokes (S, P, 2)."""
    steps = np.diff(points, axis=1)
    arc = np.concatenate([np.zeros((len(points), 1)), np.hypot(steps[..., 0], steps[..., 1]).cumsum(1)], 1)
    length = np.maximum(arc[:, -1], 1e-6)
    turn, at = _turns(points, arc / length[:, None], length)
    peak = (turn > _CORNER) & (turn >= np.roll(turn, 1, 1)) & (turn > np.roll(turn, -1, 1))
    rest = (1 - at) * length[:, None]
    hooked = peak & (rest < np.minimum(_LONGEST_HOOK, 0.4 * length[:, None]))
    # The hook begins at the point next to the last sharp turn.
    place = at[0, np.where(hooked.any(1), hooked.shape[1] - 1 - hooked[:, ::-1].argmax(1), -1)]
    hook = np.abs(arc / length[:, None] - place[:, None]).argmin(1)
    return Shape(
        (arc / length[:, None]).astype(np.float32),
        length.astype(np.float32),
        peak.sum(1).astype(np.float32),
        np.where(hooked.any(1), hook, points.shape[1] - 1),
    )


def _turns(points: Floats, along: NDArray[np.float64], length: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """By how much strokes turn within :data:`_REACH` before and after evenly spread places, and these, both (S, M)."""
    row = np.arange(len(points))[:, None]
    even = np.linspace(0, 1, _PLACES)
    flat = (along + 2 * row).ravel()  # one ascending axis for all strokes
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
    """The part each of S strokes belongs to, at L levels from the largest to the smallest."""

    number: NDArray[np.int64]
    """(S, L), distinct within a character; -1 where a level adds no smaller part."""
    centre: Floats
    """(S, L, 2)."""
    size: Floats
    """(S, L, 2), width and height."""


def group_strokes(strokes: Floats) -> StrokeGroups:
    """Cut a character, strokes (S, P, 2) in writing order, where what comes before stands apart from what follows.

    Characters are written part by part, so a part is a run of strokes. Frames (国) and undercut parts (这) stay whole.
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
    """Which of S strokes, (S, P, 2), touch which, (S, S)."""
    some = strokes[:, ::2], strokes  # every second point of one against all of the other: near enough
    apart = np.square(some[0][:, None, :, None] - some[1][None, :, None, :]).sum(4).min((2, 3))
    near: NDArray[np.bool_] = np.minimum(apart, apart.T) < _TOUCH**2
    return near


def _best_cut(low: Floats, high: Floats, touching: NDArray[np.bool_]) -> int:
    """How many strokes, given by their boxes' corners (n, 2), belong to the first of two parts; 0: there is but one."""
    count = len(low)
    if count < 4:  # a part of one stroke moves as that stroke does
        return 0
    before_low, before_high = np.minimum.accumulate(low)[:-1], np.maximum.accumulate(high)[:-1]
    after_low = np.minimum.accumulate(low[::-1])[::-1][1:]
    after_high = np.maximum.accumulate(high[::-1])[::-1][1:]
    whole = np.maximum(high.max(0) - low.min(0), 1e-6)
    # Apart to the right or below as usual, or (廴, 戈 and the like never) to the left or above.
    gap = (np.maximum(after_low - before_high, before_low - after_high) / whole).max(1)
    strokes = np.arange(2, count - 1)
    gap = gap[strokes - 1]
    halves = np.minimum(strokes, count - strokes) / count
    apart = np.array([not touching[:cut, cut:].any() for cut in strokes])
    cut = int((gap + _BALANCE * halves + _APART * apart).argmax())
    return int(strokes[cut]) if gap[cut] > (_LEAST_GAP_APART if apart[cut] else _LEAST_GAP) else 0
