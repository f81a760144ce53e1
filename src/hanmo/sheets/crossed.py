"""Cells that were crossed out with a cross from corner to corner, which a reader reads through as if it were not there.

A line counts as drawn where nearly all points between its ends are inked. The ends may lie a little off the corners of
the box around the ink.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float32]

CROSSES = frozenset("乂×✕xX✗✘")
"""Characters that are such a cross themselves."""

_POINTS = 40
"""Points looked at along a line: about one for each pixel of it."""
_COVERED = 0.98
"""Share of the points that must be inked; strokes that only happen to lie on a line leave gaps. With 0.95, 祝 sometimes
counts as crossed out; with 0.98, none of 2,973 drawn characters does."""
_OFF = (0.0, 0.06, 0.12, 0.18)
"""How far the ends of a line may lie inside the box's corners, in parts of its sides."""
_SMALLEST = 0.4
"""Shortest side of the box, as a share of the cell's side: in a flat box, as of 一, the stroke itself is a diagonal."""
_FULLEST = 0.5
"""Most ink in the box: a dense character by a thick pen covers any line. Crossed-out ones cover 30 to 47 %."""
_SEEN = 0.05
"""Darkness, of 1, from which a pixel counts; less is the soft edge of a stroke."""


def is_crossed(ink: Levels) -> bool:
    """Whether the ink of a cell, (H, W), 0 = paper, shows a cross over its whole box."""
    inked = ink > _SEEN
    if not inked.any():
        return False
    rows, columns = (np.flatnonzero(inked.any(axis)) for axis in (1, 0))
    box = inked[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if min(box.shape) < _SMALLEST * max(ink.shape) or box.mean() > _FULLEST:
        return False
    return _has_diagonal(box) and _has_diagonal(box[:, ::-1])


def _has_diagonal(box: NDArray[np.bool_]) -> bool:
    """Whether a straight line leads from near the upper left corner of a box (h, w) to near the lower right one."""
    height, width = box.shape
    y = (_LINES[..., 1] * (height - 1) + np.float32(0.5)).astype(np.intp)
    x = (_LINES[..., 0] * (width - 1) + np.float32(0.5)).astype(np.intp)
    covered = np.count_nonzero(box.ravel().take(y * width + x), axis=0)
    return bool(covered.max() >= _COVERED * _POINTS)


def _lines() -> Levels:
    """All lines from corner to corner with ends at these distances, (points, lines, 2), in parts of the box's sides."""
    ends = np.stack(np.meshgrid(_OFF, _OFF), axis=-1).reshape(-1, 2)
    t = np.linspace(0, 1, _POINTS)[:, None, None, None]
    lines = ends[:, None] * (1 - t) + (1 - ends[None, :]) * t
    return lines.reshape(_POINTS, -1, 2).astype(np.float32)


_LINES = _lines()
