"""Path signatures: pen strokes -> planes that show how the pen moves at each of their points.

The signature of a path is the sequence of its iterated integrals. Level 0 is 1, level 1 is the displacement, and level
k has the 2^k integrals over all points in order, t1 < ... < tk, of dx or dy at each::

    S(i1, ..., ik) = integral over t1 < ... < tk of dp_i1(t1) ... dp_ik(tk)

It depends on the curve and its direction, not on the place or on the pen's speed. The symmetric part of level 2 follows
from the displacement; the antisymmetric part is the area between the path and its chord, so it tells a left bend from a
right one. Chen, "Integration of paths", Annals of Mathematics 65, 1957.

For reading characters: Graham, "Sparse arrays of signatures for online character recognition", 2013; Lai, Jin, Yang,
"Toward high-performance online HCCR: a CNN approach with DropDistortion, path signature and spatial stochastic
max-pooling", Pattern Recognition Letters 89, 2017.

Shapes: n points, k levels; level j of many signatures is float64 (n, 2^j), the last index changing fastest.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hanmo.errors import ArgumentError
from hanmo.strokes import Strokes, checked

MAX_LEVEL = 3
"""Each level doubles the planes of the one before; published readers stop at 2 or 3."""

Floats = NDArray[np.float64]


def plane_count(level: int) -> int:
    """The planes of all levels up to ``level``: 1, 3, 7 or 15."""
    return (2 << level) - 1


def signature(path: ArrayLike, level: int = 2) -> Floats:
    """The signature of the straight lines through the points (n, 2) of a path: (1 + 2 + 4 + ...,), level by level."""
    points = np.asarray(path, np.float64)
    return np.concatenate([values[-1] for values in _running(np.diff(points, axis=0), level)])


def signature_planes(
    strokes: Strokes, side: int = 64, *, level: int = 2, window: int = 4, margin: int = 2
) -> NDArray[np.float32]:
    """The signature of the pen's path around each pixel that it crosses, as planes (C, side, side).

    The strokes' box is scaled and centred within the margin, aspect kept; each stroke gets points about a pixel apart.
    The signature at a point is that of its stroke from ``window`` points before it to ``window`` points after it, or as
    far as the stroke reaches. A pixel has the mean over the points in it, others are 0.

    Plane 0 is level 0, the picture: 1 where the pen passes. Then come x, y; xx, xy, yx, yy; and so on. Level k is in
    units of the largest value that it can have, (2 window)^k / k!: all values lie between -1 and 1. In a straight line
    level 1 is the direction, as a vector of length 1.

    Raises :class:`ArgumentError` for an impossible side, level, window or margin, and what
    :func:`hanmo.strokes.draw` raises for strokes.
    """
    if not (0 <= level <= MAX_LEVEL and window >= 1 and 0 <= margin < side / 2 - 1):
        raise ArgumentError(
            f"side {side}, level {level}, window {window}, margin {margin}: level 0 to {MAX_LEVEL}, window 1 or more, "
            "margin under half of the side less 1"
        )
    points, first, last = _resampled(*_fitted(checked(strokes), side, margin))
    here = np.arange(len(points))
    running = _running(np.diff(points, axis=0), level)
    values = _between(running, np.maximum(here - window, first), np.minimum(here + window, last))
    units = [math.factorial(k) / (2 * window) ** k for k in range(level + 1)]
    return _drawn(points, np.concatenate([v * unit for v, unit in zip(values, units, strict=True)], 1), side)


def _times(a: Floats, b: Floats) -> Floats:
    """The tensor product of levels (n, A) and (n, B), row by row: (n, A B)."""
    return (a[:, :, None] * b[:, None, :]).reshape(len(a), a.shape[1] * b.shape[1])


def _running(steps: Floats, level: int) -> list[Floats]:
    """The signatures of a path's beginnings, from its first point to each of its points; ``steps`` is (n - 1, 2)."""
    straight = [np.ones((len(steps), 1))]  # the signature of a straight line d: level k is d x ... x d / k!
    running = [np.ones((len(steps) + 1, 1))]
    for k in range(1, level + 1):
        straight.append(_times(straight[-1], steps) / k)
        # Chen's identity for one line more: level k grows by the products of what was before it with the line.
        grown = sum(_times(running[j][:-1], straight[k - j]) for j in range(k))
        running.append(np.concatenate([np.zeros((1, 2**k)), np.cumsum(grown, 0)]))
    return running


def _between(running: list[Floats], first: NDArray[np.int64], last: NDArray[np.int64]) -> list[Floats]:
    """The signatures of the pieces from each point ``first`` (m,) to the point ``last`` (m,).

    Chen's identity, S(0, last) = S(0, first) x S(first, last), solved for the second factor, level by level: so any
    window costs the same.
    """
    before = [level[first] for level in running]
    pieces: list[Floats] = []
    for k, level in enumerate(running):
        known = sum(_times(before[j], pieces[k - j]) for j in range(1, k + 1))
        pieces.append(level[last] - known)
    return pieces


def _fitted(strokes: list[Floats], side: int, margin: int) -> tuple[Floats, NDArray[np.int64]]:
    """All points (n, 2) in pixels, and the number of the stroke that each belongs to."""
    points = np.concatenate([stroke[:, :2] for stroke in strokes])
    low, high = points.min(0), points.max(0)
    # From the middle of a pixel to the middle of another: points on the rim stay out of the margin.
    room = side - 2 * margin - 1
    # Halved and divided before anything is multiplied: the largest and the smallest spans would overflow.
    unit = (high / 2 - low / 2).max() or 1.0
    points = (points / 2 - (low / 4 + high / 4)) / unit * room + side / 2
    return points, np.repeat(np.arange(len(strokes)), [len(stroke) for stroke in strokes])


def _resampled(points: Floats, stroke: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Points at even distances of at most a pixel along each stroke, the ends included: (n, 2).

    For each of them also the first and the last point of its stroke, (n,) both.
    """
    step = np.hypot(*np.diff(points, axis=0).T)
    step[np.diff(stroke) > 0] = 1  # any length but 0, so that a stroke's end and the next one's begin differ
    way = np.concatenate([[0], np.cumsum(step)])
    begin = way[np.searchsorted(stroke, np.arange(stroke[-1] + 1))]
    length = way[np.searchsorted(stroke, np.arange(stroke[-1] + 1), "right") - 1] - begin
    # Without the small difference, rounding would decide whether a line of 10 pixels has 10 steps or 11.
    steps = np.ceil(length - 1e-6).clip(min=0).astype(np.int64)
    first = np.cumsum(steps + 1) - steps - 1
    nth = np.arange(first[-1] + steps[-1] + 1)
    owner = np.repeat(np.arange(len(steps)), steps + 1)
    nth -= first[owner]
    at = begin[owner] + length[owner] * nth / steps[owner].clip(min=1)
    even = np.stack([np.interp(at, way, points[:, axis]) for axis in (0, 1)], 1)
    return even, first[owner], (first + steps)[owner]


def _drawn(points: Floats, values: Floats, side: int) -> NDArray[np.float32]:
    """Values (n, C) at points (n, 2) -> planes (C, side, side)."""
    column, row = np.floor(points).astype(np.int64).T
    pixel = row * side + column
    count = values.shape[1]
    slot = pixel[:, None] * count + np.arange(count)
    # Rounding may have left a point a little more than a pixel from the next.
    values = values.clip(-1, 1)
    planes = np.bincount(slot.ravel(), values.ravel(), side * side * count).reshape(-1, count)
    planes = planes / np.bincount(pixel, minlength=side * side).clip(min=1)[:, None]
    return np.ascontiguousarray(planes.T, np.float32).reshape(count, side, side)
