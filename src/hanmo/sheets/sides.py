"""The sides of boxes in a plane view: how much of them is marked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hanmo.sheets.light import Map, Ridges
from hanmo.sheets.rows import Evidence

Values = NDArray[np.float64]

POINTS = 24
"""Points at which a side of a box is sampled."""


def transposed(quads: Values) -> Values:
    """Cells (C, R, 4, 2) of a transposed picture as cells (R, C, 4, 2) of the picture."""
    return quads.transpose(1, 0, 2, 3)[:, :, [0, 3, 2, 1], ::-1]


def sides(quads: Values, evidence: Evidence) -> Values:
    """The marked share of the upper, right, lower and left side of each box, (R, C, 4)."""
    return _sides(quads, evidence.across_marks, evidence.down_marks)


def tones(quads: Values, evidence: Evidence) -> Values:
    """The darkness of the upper, right, lower and left side of each box, (R, C, 4)."""
    return _sides(quads, evidence.across, evidence.down)


def merit(quads: Values, evidence: Evidence) -> float:
    """How clear a lattice is: the area of its boxes, each by the marks and the darkness of its weakest side."""
    marked = np.maximum(2 * sides(quads, evidence).min(axis=-1) - 1, 0)
    tone = tones(quads, evidence).min(axis=-1)
    return float((areas(quads) * marked * tone).sum())


def areas(quads: Values) -> Values:
    """The area of each box in square pixels, (R, C)."""
    one, other = quads[:, :, 2] - quads[:, :, 0], quads[:, :, 3] - quads[:, :, 1]
    area: Values = np.abs(one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]) / 2
    return area


def _sides(quads: Values, across: Ridges | Map, down: Ridges | Map) -> Values:
    upper, lower = (side(quads[:, :, a], quads[:, :, b], across) for a, b in ((0, 1), (3, 2)))
    right, left = (side(quads[:, :, a, ::-1], quads[:, :, b, ::-1], down.T) for a, b in ((1, 2), (0, 3)))
    return np.stack([upper, right, lower, left], axis=-1)


def side(start: Values, end: Values, values: Ridges | Map) -> Values:
    """The mean over points from ``start`` to ``end``, both (..., 2), of the greatest value within two pixels.

    The sides run across; for those that run down, everything is transposed.
    """
    share = np.linspace(0.04, 0.96, POINTS)
    points = start[..., None, :] + (end - start)[..., None, :] * share[:, None]
    height, width = values.shape
    # Nothing is marked at the edges of a view, so that sides beyond them may lie on them.
    rows = np.rint(points[..., 1]).astype(int).clip(2, height - 3)
    columns = np.rint(points[..., 0]).astype(int).clip(0, width - 1)
    best = values[rows, columns]
    for shift in (-2, -1, 1, 2):
        np.maximum(best, values[rows + shift, columns], out=best)
    mean: Values = best.mean(axis=-1, dtype=np.float64)
    return mean
