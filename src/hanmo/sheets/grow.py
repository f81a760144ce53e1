"""Lattices made whole: rows and columns of boxes that were missed at a lattice's edges, and lattices of half boxes.

All work is done on the cells of a plane view, (R, C, 4, 2), and on the evidence of rules there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hanmo.sheets.light import Map, Ridges
from hanmo.sheets.rows import Evidence
from hanmo.sheets.sides import side, sides, transposed
from hanmo.sheets.snap import inner, snapped

Values = NDArray[np.float64]

STRAY = 0.12
"""Share of a box's side by which the next rule may miss the place where the last boxes let expect it."""

SUPPORTED, SUPPORTED_ALONE = 0.6, 0.8
"""Share of every side of a new box that must be marked; more beside a single row, whose pitch nothing tells."""

MOST, MOST_ALONE = 0.6, 0.8
"""Share of the boxes of a new row that must be marked so, and beside a single row."""

APART = 0.15
"""Share of a box's height between two rows from which they count as standing apart."""

FAINTER = 0.82
"""Every second rule, across and down, is a middle line of boxes if it has less than this share of the others' tone."""


def whole(quads: Values, evidence: Evidence) -> Values:
    """A lattice (R, C, 4, 2) of a plane view, with whole boxes, all its rows and columns, inside of its rules."""
    quads = without_halves(quads, evidence)
    for _ in range(2):
        before = quads.shape
        quads = snapped(quads, evidence)
        for mirrored in (False, True):
            quads = _grown(quads, evidence, mirrored)
            quads = transposed(_grown(transposed(quads), evidence.transposed, mirrored))
        if quads.shape == before:
            break
    return inner(snapped(quads, evidence), evidence)


def without_halves(quads: Values, evidence: Evidence) -> Values:
    """A lattice in which boxes divided by fainter or dashed middle lines are whole boxes."""
    if max(quads.shape[:2]) < 4 or min(quads.shape[:2]) < 2:
        return quads
    across = _first_whole(_tones(quads, evidence.across))
    down = _first_whole(_tones(transposed(quads), evidence.down.T))
    rows, columns = quads.shape[:2]
    if across is None or down is None or across + 2 > rows or down + 2 > columns:
        return quads
    top = quads[across : rows - 1 : 2, down : columns - 1 : 2]
    corners = [
        top[:, :, 0],
        quads[across : rows - 1 : 2, down + 1 : columns : 2, 1],
        quads[across + 1 : rows : 2, down + 1 : columns : 2, 2],
        quads[across + 1 : rows : 2, down : columns - 1 : 2, 3],
    ]
    boxes: Values = np.stack(corners, axis=2)
    return boxes


def _tones(quads: Values, across: Ridges) -> Values:
    """The darkness of each horizontal rule of a lattice, (R + 1,): that of its fainter boxes, where no strokes are."""
    lines = [side(quads[:, :, 0], quads[:, :, 1], across), side(quads[:, :, 3], quads[:, :, 2], across)]
    # Strokes over a middle line make it darker in some boxes, so the fainter third counts.
    tones: Values = np.quantile(np.concatenate([lines[0], lines[1][-1:]]), 0.33, axis=1)
    return tones


def _first_whole(tones: Values) -> int | None:
    """0 or 1: the number of the rule with which whole boxes begin, if every second rule is fainter; else None."""
    inner = tones[1:-1] if len(tones) > 4 else tones  # the outermost rules are often thicker than the others
    shift = 1 if len(tones) > 4 else 0
    even, odd = inner[shift % 2 :: 2], inner[1 - shift % 2 :: 2]
    for first, strong, faint in ((0, even, odd), (1, odd, even)):
        if len(strong) and len(faint) and np.median(faint) < FAINTER * np.median(strong):
            clear = np.mean(faint[:, None] < 0.95 * strong[None, :])
            if clear > 0.85:
                return first
    return None


def _grown(quads: Values, evidence: Evidence, mirrored: bool) -> Values:
    """A lattice with the rows of boxes below it, or, if mirrored, above it."""
    if mirrored:
        return _mirrored(_grown(_mirrored(quads, evidence), evidence.mirrored, False), evidence)
    while len(quads) < 100:
        row = _next_row(quads, evidence)
        if row is None:
            return quads
        quads = np.concatenate([quads, row[None]])
    return quads


def _mirrored(quads: Values, evidence: Evidence) -> Values:
    """Cells of the picture turned upside down in a mirror."""
    turned = quads[::-1][:, :, [3, 2, 1, 0]].copy()
    turned[..., 1] = evidence.across.shape[0] - 1 - turned[..., 1]
    return turned


def _next_row(quads: Values, evidence: Evidence) -> Values | None:
    """The row of boxes (C, 4, 2) below a lattice; None if there is none."""
    last = quads[-1]
    down = last[:, [3, 2]] - last[:, [0, 1]]
    step = last - quads[-2] if len(quads) > 1 else np.concatenate([down, down[:, ::-1]], axis=1)
    height = float(np.median(down[..., 1]))
    row = last + step
    reach = max(2, round(STRAY * height))
    shifts = np.arange(-reach, reach + 1)
    gap = float(np.median(row[:, 0, 1] - last[:, 3, 1]))
    if gap > 3:
        row[:, :2, 1] += _best_shift(row[:, 0], row[:, 1], evidence.across_marks, shifts)
    else:
        row[:, :2] = last[:, [3, 2]]
    row[:, 2:, 1] += _best_shift(row[:, 3], row[:, 2], evidence.across_marks, shifts)
    row = np.asarray(snapped(row[None], evidence)[0])
    enough, most = (SUPPORTED, MOST) if len(quads) > 1 else (SUPPORTED_ALONE, MOST_ALONE)
    supported = sides(row[None], evidence)[0].min(axis=-1) >= enough
    if supported.mean() < most or (gap > APART * height and not _ends_alike(row, supported, evidence, enough)):
        return None
    return row


def _ends_alike(row: Values, supported: NDArray[np.bool_], evidence: Evidence, enough: float) -> bool:
    """Whether a row of boxes (C, 4, 2) begins and ends with its first and last box; else it belongs to another grid."""
    if len(row) < 2:
        return bool(supported.all())
    beyond = np.stack([2 * row[0] - row[1], 2 * row[-1] - row[-2]])
    more = sides(beyond[None], evidence)[0].min(axis=-1) >= enough
    return bool(supported[0] and supported[-1] and not more.any())


def _best_shift(start: Values, end: Values, across_marks: Map, shifts: NDArray[np.int64]) -> int:
    """The shift up or down with which sides are marked most; small shifts are preferred."""
    by = np.stack([np.zeros(len(shifts)), shifts], axis=-1)[:, None]
    found = side(start + by, end + by, across_marks).mean(axis=1) - 0.002 * np.abs(shifts)
    return int(shifts[int(found.argmax())])
