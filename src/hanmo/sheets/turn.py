"""Whether a sheet lies upside down or on its side, decided by reading some of its cells in all positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hanmo.prediction import Prediction
from hanmo.sheets.grid import Grid

Grey = NDArray[np.uint8]

SAMPLE = 24
"""Cells that are read in other positions; their mean probability tells the positions apart by far."""
_UPRIGHT = 0.75
"""Mean probability from which a sheet is upright without a look at the other positions."""
_BETTER = 0.15
"""How much surer another position must be: a sheet that is hard to read in all of them stays as it is."""


def find_turn(pictures: Sequence[Grey], read: Callable[[list[Grey]], Sequence[Prediction]]) -> int:
    """Quarter turns anticlockwise, 0 to 3, after which the sheet can be read.

    ``pictures`` are the cells with writing of each grid, uint8 (N, S, S). ``read`` reads among all characters: among
    few of them, one is probable in every position.
    """
    cells = [picture for grid in pictures for picture in grid]
    sample = cells[:: max(1, len(cells) // SAMPLE)][:SAMPLE]
    if not sample:
        return 0

    def sureness(turn: int) -> float:
        seen = read([np.rot90(picture, turn) for picture in sample])
        return sum(prediction.probability for prediction in seen) / len(seen)

    as_it_is = sureness(0)
    if as_it_is >= _UPRIGHT:
        return 0
    others = {turn: sureness(turn) for turn in (2, 1, 3)}
    best = max(others, key=lambda turn: others[turn])
    return best if others[best] > as_it_is + _BETTER else 0


def turned_grid(grid: Grid, turn: int, size: tuple[int, int]) -> Grid:
    """A grid of a picture of ``size`` (width, height), as it lies on the picture turned by so many quarters."""
    for quarter in range(turn):
        grid = _quarter(grid, size[quarter % 2])
    return grid


def _quarter(grid: Grid, width: int) -> Grid:
    """The grid on its picture turned by 90 degrees anticlockwise; ``width`` is that of the picture before."""
    x, y = grid.quads[..., 0], grid.quads[..., 1]
    quads = np.stack([y, width - 1 - x], axis=-1)
    # What was the last column is now the first row, and each upper right corner an upper left one.
    return replace(grid, quads=np.roll(np.rot90(quads), -1, axis=2))
