"""Rules on a sheet: nearly horizontal lines, straight or slightly bent, solid or dashed, traced from strip to strip.

The picture is cut into vertical strips. In each strip the evidence of rules (:func:`hanmo.sheets.light.marks`) is added
up along short slanted lines; peaks of these sums are pieces of rules. Pieces of neighbouring strips that continue each
other are joined to a rule. Vertical rules are the horizontal ones of the transposed picture.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hanmo.sheets.light import Map

Curve = NDArray[np.float64]

STRIP = 32
"""Pixels of a strip's width: longer than the period of dashes, shorter than a cell."""

STEEPEST = 5
"""Pixels by which a piece may rise or fall across its strip: 9 degrees."""

PRESENT = 0.3
"""Share of a strip's width that must be marked for a piece of a rule, so that dotted rules count."""

ABREAST = 3
"""Pixels up and down within which only the best piece of a strip counts."""

NEAR = 2.5
"""Pixels by which a piece may miss the continuation of a rule in the next strip."""

SKIPPED = 4
"""Strips without a piece that a rule may bridge while it is traced."""

BRIDGED = 12
"""Strips that may lie between two parts of one rule when the parts are joined afterwards."""

SHORTEST = 3
"""Pieces of the shortest rule."""


@dataclass(frozen=True)
class Rule:
    """A rule: its height ``y`` at the abscissas ``x``, both (N,), ascending in x; ``evidence`` is its marked share."""

    x: Curve
    y: Curve
    evidence: float

    def at(self, x: NDArray[np.floating] | NDArray[np.integer] | float) -> Curve:
        """The height of the rule at ``x``; beyond its ends it goes on straight."""
        y = np.interp(x, self.x, self.y)
        for end, inner in ((0, min(4, len(self.x) - 1)), (-1, max(-5, -len(self.x)))):
            slope = (self.y[end] - self.y[inner]) / (self.x[end] - self.x[inner])
            beyond = x < self.x[0] if end == 0 else x > self.x[-1]
            y = np.where(beyond, self.y[end] + slope * (x - self.x[end]), y)
        return np.asarray(y, np.float64)

    @property
    def left(self) -> float:
        """The abscissa where the rule's first strip begins."""
        return float(self.x[0]) - STRIP / 2

    @property
    def right(self) -> float:
        """The abscissa where the rule's last strip ends."""
        return float(self.x[-1]) + STRIP / 2


@dataclass
class _Pieces:
    """Pieces of rules in one strip, from top to bottom: heights, slopes (pixels per strip) and shares marked.

    Lists, since there are few, and single ones are asked for often.
    """

    y: list[float]
    slope: list[float]
    share: list[float]
    used: list[bool]


def find_rules(marked: Map) -> list[Rule]:
    """The rules on a map (H, W) of evidence, 0 to 1, ordered by height."""
    strips = _pieces(marked)
    order = sorted(((-share, s, k) for s, strip in enumerate(strips) for k, share in enumerate(strip.share)))
    traced = []
    for _, s, k in order:
        if not strips[s].used[k]:
            path = _trace(strips, s, k)
            if len(path) >= SHORTEST:
                traced.append(path)
    rules = [_rule(strips, path) for path in _joined(strips, traced)]
    return sorted((rule for rule in rules if rule.evidence >= 0.4), key=lambda rule: float(rule.y.mean()))


def _pieces(marked: Map) -> list[_Pieces]:
    """The pieces of rules in each strip."""
    shares = _shares(marked)
    best = shares.max(axis=0)
    # Along a thick or dark rule several slopes are equally good; their middle is the rule's.
    weight = np.maximum(shares - 0.85 * best, 0)
    rises = np.arange(-STEEPEST, STEEPEST + 1, dtype=np.float32)
    slope = np.tensordot(rises, weight, 1) / np.maximum(weight.sum(axis=0), 1e-9)
    # Ties are broken towards the centre of a thick rule.
    smooth = best + 0.1 * (np.pad(best, ((1, 1), (0, 0)))[:-2] + np.pad(best, ((1, 1), (0, 0)))[2:])
    highest = smooth.copy()
    for shift in range(1, ABREAST + 1):
        highest[shift:] = np.maximum(highest[shift:], smooth[:-shift])
        highest[:-shift] = np.maximum(highest[:-shift], smooth[shift:])
    peaks = (best >= PRESENT) & (smooth >= highest)
    peaks[1:] &= ~peaks[:-1]
    return [_strip(best[:, s], slope[:, s], np.flatnonzero(peaks[:, s])) for s in range(best.shape[1])]


def _strip(best: Map, slope: Map, rows: NDArray[np.int64]) -> _Pieces:
    """The pieces of one strip at the peaks ``rows``; their heights are centroids of the sums around."""
    height = len(best)
    around = rows[:, None] + np.arange(-2, 3)
    weight = best[np.clip(around, 0, height - 1)] ** 2
    y = (weight * around).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)
    return _Pieces(y.tolist(), slope[rows].tolist(), best[rows].tolist(), [False] * len(rows))


def _shares(marked: Map) -> Map:
    """The marked share of slanted lines across each strip, (2 * STEEPEST + 1, H, strips), by rise and height."""
    height, strips = len(marked), marked.shape[1] // STRIP
    pieces = marked[:, : strips * STRIP].reshape(height * strips, STRIP)
    sums = (pieces @ _SEGMENTS.T / STRIP).reshape(height, strips, len(_SEGMENTS))
    shares: Map = np.zeros((2 * STEEPEST + 1, height, strips), np.float32)
    for (rise, shift), part in zip(_SHIFTS, np.moveaxis(sums, 2, 0), strict=True):
        # A line that falls has the same segments as one that rises, shifted the other way.
        for falls, by in {(rise, shift), (-rise, -shift)}:
            if by >= 0:
                shares[falls + STEEPEST, : height - by] += part[by:]
            else:
                shares[falls + STEEPEST, -by:] += part[:by]
    return shares


def _segments() -> tuple[list[tuple[int, int]], Map]:
    """The level segments of which slanted lines consist: the rise of the line and the segment's shift, and its pixels.

    The pixels, (segments, STRIP), are 1 on the segment; lines that rise the other way have them, too.
    """
    places = np.arange(STRIP) - (STRIP - 1) / 2
    shifts, segments = [], []
    for rise in range(STEEPEST + 1):
        offset = np.rint(rise * places / STRIP).astype(int)
        for shift in np.unique(offset).tolist():
            shifts.append((rise, shift))
            segments.append(offset == shift)
    return shifts, np.array(segments, np.float32)


_SHIFTS, _SEGMENTS = _segments()


Path = list[tuple[int, int]]
"""A rule as pairs (strip, piece), from left to right."""


def _trace(strips: list[_Pieces], s: int, k: int) -> Path:
    """The pieces that continue piece ``k`` of strip ``s`` to both sides; they are marked as used."""
    strips[s].used[k] = True
    path = [(s, k)]
    for step in (1, -1):
        path = path if step == 1 else path[::-1]
        while (following := _next(strips, path, step)) is not None:
            path.append(following)
            strips[following[0]].used[following[1]] = True
    return path[::-1]


def _next(strips: list[_Pieces], path: Path, step: int) -> tuple[int, int] | None:
    """The unused piece that continues a path in direction ``step``, at most SKIPPED strips on; None at its end."""
    s, _ = path[-1]
    y, slope = _heading(strips, path[-5:])
    for away in range(1, SKIPPED + 2):
        n = s + step * away
        if not 0 <= n < len(strips):
            return None
        k = _nearest(strips[n], y + slope * step * away, NEAR + 0.7 * (away - 1))
        if k is not None:
            return n, k
    return None


def _nearest(strip: _Pieces, y: float, reach: float) -> int | None:
    """The unused piece of a strip within ``reach`` of ``y`` that is near and well marked; None if there is none."""
    best, most = None, -np.inf
    for k in range(bisect_left(strip.y, y - reach), bisect_right(strip.y, y + reach)):
        score = strip.share[k] - 0.15 * abs(strip.y[k] - y)
        if not strip.used[k] and score > most:
            best, most = k, score
    return best


def _heading(strips: list[_Pieces], path: Path) -> tuple[float, float]:
    """The height at the last piece of a path and its slope in pixels per strip, fitted to the given pieces."""
    count, last = len(path), path[-1][0]
    # Places are counted from the last piece. One loop over a few numbers is faster than numpy, or than a loop for each.
    own = places = heights = products = squares = 0.0
    for s, k in path:
        place, y = s - last, strips[s].y[k]
        own += strips[s].slope[k]
        places += place
        heights += y
        products += place * y
        squares += place * place
    middle, height = places / count, heights / count
    # The slopes of the pieces themselves count as one more, distant pair of points.
    slope = (own / count + products - middle * heights) / (1 + squares - middle * places)
    return height - slope * middle, slope


def _joined(strips: list[_Pieces], paths: list[Path]) -> list[Path]:
    """Paths of which one continues the other beyond a gap become one."""
    rest = [_Ends.of(strips, path) for path in sorted(paths, key=len, reverse=True)]
    done: list[Path] = []
    while rest:
        ends = rest.pop(0)
        while (other := _continuation(ends, rest)) is not None:
            ends = _Ends.of(strips, sorted(ends.path + rest.pop(other).path))
        done.append(ends.path)
    return done


@dataclass(frozen=True)
class _Ends:
    """A path with its :func:`_heading` at the left and at the right end."""

    path: Path
    left: tuple[float, float]
    right: tuple[float, float]

    @classmethod
    def of(cls, strips: list[_Pieces], path: Path) -> _Ends:
        return cls(path, _heading(strips, path[7::-1]), _heading(strips, path[-8:]))


def _continuation(ends: _Ends, others: list[_Ends]) -> int | None:
    """The index of the nearest path that begins where a path would go on, or ends where it came from."""
    best, nearest = None, BRIDGED + 1
    for n, other in enumerate(others):
        for before, after in ((ends, other), (other, ends)):
            gap = after.path[0][0] - before.path[-1][0]
            if not 0 < gap < nearest:
                continue
            (y, slope), (next_y, next_slope) = before.right, after.left
            # Both extrapolations meet in the middle of the gap.
            miss = abs(y + slope * gap / 2 - (next_y - next_slope * gap / 2))
            if miss <= NEAR + 0.25 * gap and abs(slope - next_slope) <= 1.5:
                best, nearest = n, gap
    return best


def _rule(strips: list[_Pieces], path: Path) -> Rule:
    """The smoothed curve of a path."""
    s = np.array([place for place, _ in path], float)
    y = np.array([strips[place].y[k] for place, k in path])
    share = sum(strips[place].share[k] for place, k in path)
    smooth = y.copy()
    if len(y) > 2:
        weights = np.array([s[2:] - s[1:-1], s[1:-1] - s[:-2]])
        between = (y[:-2] * weights[0] + y[2:] * weights[1]) / weights.sum(axis=0)
        smooth[1:-1] = (y[1:-1] + between) / 2
    return Rule(s * STRIP + (STRIP - 1) / 2, smooth, float(share / (s[-1] - s[0] + 1)))
