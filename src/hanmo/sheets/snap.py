"""The sides of boxes moved to the rules: first to the middles, at the end to the inner edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hanmo.sheets.light import Map, Ridges
from hanmo.sheets.rows import Evidence
from hanmo.sheets.sides import POINTS, side, transposed

Values = NDArray[np.float64]

SNAP = 0.08
"""Share of a box's height by which a side may move to a rule."""

MARKED = 0.6
"""Share of a side that must be marked for it to move to a rule."""

THICKEST = 0.1
"""Half of the width of the thickest rule, as a share of a box's height."""


def snapped(quads: Values, evidence: Evidence) -> Values:
    """A lattice whose sides have moved to the middles of the rules, by SNAP of a box's side at most."""
    quads = _snapped_across(quads, evidence.across, evidence.across_marks)
    return transposed(_snapped_across(transposed(quads), evidence.down.T, evidence.down_marks.T))


def _snapped_across(quads: Values, across: Ridges, marks: Map) -> Values:
    """A lattice whose upper and lower sides have moved up or down to the middles of horizontal rules."""
    height = float(np.median(quads[:, :, 3, 1] - quads[:, :, 0, 1]))
    reach = max(2, round(SNAP * height))
    moved = quads.copy()
    for a, b in ((0, 1), (3, 2)):
        shift, weight = _offsets(quads[:, :, a], quads[:, :, b], across, reach)
        # Where nothing marks the whole side, as where a rule is missing, the side is no rule but strokes.
        by = np.stack([np.zeros_like(shift), shift], axis=-1)
        marked = side(quads[:, :, a] + by, quads[:, :, b] + by, marks) >= MARKED
        shift = np.where(marked, shift, 0)
        # Neighbours tell where a side is hidden; a shift that differs much from the others' is that of a stroke.
        typical = np.median(shift, axis=1, keepdims=True)
        weight = marked * weight / (1 + ((shift - typical) / (0.04 * height)) ** 4) + 1e-6
        columns = shift.shape[1]
        distance = np.abs(np.arange(columns) + 0.5 - np.arange(columns + 1)[:, None])
        near = np.exp(-(distance**2)) + 1e-4
        at_corners = (weight * shift) @ near.T / (weight @ near.T)
        moved[:, :, a, 1] += at_corners[:, :-1]
        moved[:, :, b, 1] += at_corners[:, 1:]
    return moved


def _offsets(start: Values, end: Values, across: Ridges, reach: int) -> tuple[Values, Values]:
    """How far sides from ``start`` to ``end``, (R, C, 2), are from the darkest line near them, and its darkness."""
    shifts = np.arange(-reach - 1, reach + 2)
    line = _profile(start, end, across, shifts)
    best = (line - 0.1 * line.max(axis=-1, keepdims=True) * np.abs(shifts) / reach)[..., 1:-1].argmax(axis=-1) + 1
    around = [np.take_along_axis(line, (best + k)[..., None], -1)[..., 0] for k in (-1, 0, 1)]
    low = np.minimum(np.minimum(*around[::2]), around[1])
    left, middle, right = (part - low for part in around)
    offset = (right - left) / np.maximum(left + middle + right, 1e-6)
    # Points were rounded to whole pixels; on average over a side the rounding does not shift it.
    return shifts[best] + offset, around[1]


def inner(quads: Values, evidence: Evidence) -> Values:
    """A lattice on the middles of rules, moved to their inner edges."""
    quads = _inner_across(quads, evidence.across)
    return transposed(_inner_across(transposed(quads), evidence.down.T))


def _inner_across(quads: Values, across: Ridges) -> Values:
    """A lattice whose upper and lower sides have moved from the middles of the horizontal rules to the inner edges."""
    height = float(np.median(quads[:, :, 3, 1] - quads[:, :, 0, 1]))
    reach = max(2, round(THICKEST * height))
    moved = quads.copy()
    for a, b, inwards in ((0, 1, 1), (3, 2, -1)):
        line = _profile(quads[:, :, a], quads[:, :, b], across, inwards * np.arange(reach + 1))
        # The rule of a row has the same width everywhere; strokes that touch it do not count in the median.
        typical = np.median(line, axis=1)
        below = typical < 0.5 * typical[:, :1]
        edge = np.where(below.any(axis=1), below.argmax(axis=1), 1)
        before, after = (np.take_along_axis(typical, (edge - k)[:, None], 1)[:, 0] for k in (1, 0))
        # The half of the darkness lies between two pixels.
        part = np.clip((before - 0.5 * typical[:, 0]) / np.maximum(before - after, 1e-6), 0, 1)
        moved[:, :, [a, b], 1] += inwards * (edge - 1 + part)[:, None, None]
    return moved


def _profile(start: Values, end: Values, across: Ridges, shifts: NDArray[np.int64]) -> Values:
    """The darkness along sides from ``start`` to ``end``, (R, C, 2), moved down by every shift: (R, C, shifts)."""
    share = np.linspace(0.06, 0.94, POINTS)
    points = start[..., None, :] + (end - start)[..., None, :] * share[:, None]
    height, width = across.shape
    columns = np.clip(np.rint(points[..., 0]).astype(int), 0, width - 1)
    rows = np.rint(points[..., 1]).astype(int)
    values = across[np.clip(rows[..., None] + shifts, 0, height - 1), columns[..., None]]
    # Strokes are darker than rules; what a side has at most points counts, and what most sides have.
    cap = np.median(values.max(axis=-1), axis=-1)
    cap = np.minimum(cap, 1.3 * np.median(cap))[..., None, None]
    mean: Values = np.minimum(values, cap).mean(axis=-2)
    return mean
