"""Bands of ink along one axis of a picture: rows and columns of characters, and the cells around them."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]
Runs = NDArray[np.int64]
"""Begin and end, (N, 2), of successive parts of a line of pixels."""

SPECK = 0.25
"""Share of the usual height of a row below which a band of ink is dust or a stray mark."""

EVEN = 0.25
"""Share of the pitch by which characters of a grid may be out of line."""


def bands(inked: Mask) -> Runs:
    """The runs of ink of a projection; runs much smaller than the others join their neighbours or are left out."""
    runs = runs_of(inked)
    if not len(runs):
        return runs
    sizes = runs[:, 1] - runs[:, 0]
    usual = float(np.quantile(sizes, 0.7))
    joined: list[list[int]] = []
    for begin, end in runs:
        if joined and begin - joined[-1][1] < 0.25 * usual and end - joined[-1][0] < 1.25 * usual:
            joined[-1][1] = int(end)
        else:
            joined.append([int(begin), int(end)])
    merged: Runs = np.array(joined)
    return merged[(merged[:, 1] - merged[:, 0]) >= SPECK * usual]


def regular(rows: Runs, profile: Runs) -> Runs:
    """Rows at an even pitch, (N, 2), all of about the usual height.

    Rows that a teacher's circle or a crossing-out connects are parted where there is least ink. A row of low
    characters, such as 一, gets the usual height.
    """
    sizes, centres = rows[:, 1] - rows[:, 0], rows.mean(axis=1)
    height = float(np.median(sizes))
    usual = np.abs(sizes - height) < 0.4 * height
    steps = np.diff(centres)[usual[1:] & usual[:-1]]
    if len(steps) < 2 or np.ptp(steps) > 2 * EVEN * np.median(steps):
        return rows
    pitch = float(np.median(steps))
    parted = [part for row in rows for part in _parted(row, profile, height, pitch)]
    for n, (begin, end) in enumerate(parted):
        if end - begin < 0.6 * height:
            least = parted[n - 1][1] if n else 0
            most = parted[n + 1][0] if n + 1 < len(parted) else len(profile)
            middle = (begin + end) / 2
            parted[n] = max(least, round(middle - height / 2)), min(most, round(middle + height / 2))
    return np.array(parted, np.int64)


def _parted(row: Runs, profile: Runs, height: float, pitch: float) -> list[tuple[int, int]]:
    """A row, or the several rows at this pitch that it must be by its height."""
    begin, end = (int(place) for place in row)
    count = round((end - begin - height) / pitch) + 1
    if count < 2:
        return [(begin, end)]
    reach = max(1, round(0.25 * pitch))
    cuts = [begin]
    for n in range(1, count):
        expected = begin + round(n * (end - begin) / count)
        near = profile[expected - reach : expected + reach + 1]
        least = np.flatnonzero(near == near.min()) - reach
        cuts.append(expected + int(least[np.abs(least).argmin()]))
    cuts.append(end)
    return list(itertools.pairwise(cuts))


def cells_around(runs: Runs) -> Values:
    """Runs of ink as cells that reach to the middle of the gaps, by a quarter of their usual size at most."""
    usual = float(np.median(runs[:, 1] - runs[:, 0]))
    cells = runs.astype(float)
    half = np.minimum(gaps_of(runs) / 2, 0.25 * usual)
    cells[1:, 0] -= half
    cells[:-1, 1] += half
    edge = float(np.median(half)) if len(half) else 0.1 * usual
    cells[0, 0] -= edge
    cells[-1, 1] += edge
    return cells


def gaps_of(runs: Runs) -> Runs:
    """The sizes of the gaps between successive runs, (N - 1,)."""
    return runs[1:, 0] - runs[:-1, 1]


def runs_of(wanted: Mask) -> Runs:
    """The runs of True: begin and end of each, (N, 2)."""
    edges: Runs = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(int)))
    return edges.reshape(-1, 2)
