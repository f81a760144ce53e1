"""Orders of reading: of the grids on a picture, and of the cells in a grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from hanmo.sheets.grid import Grid

Direction = Literal["rows", "columns", "columns-right-to-left"]
"""Row by row from the left, column by column from the left, or column by column from the right."""


def order_of_grids(grids: Sequence[Grid], direction: Direction) -> list[int]:
    """The numbers of the grids in reading order: from the top; those beside each other as the direction says."""
    boxes = [(grid.quads.min(axis=(0, 1, 2)), grid.quads.max(axis=(0, 1, 2))) for grid in grids]
    rest = sorted(range(len(grids)), key=lambda n: float(boxes[n][0][1]))
    ordered: list[int] = []
    while rest:
        # Beside each other are grids whose middle is no lower than the end of the highest one.
        end = boxes[rest[0]][1][1]
        beside = [n for n in rest if float(np.mean([low_high[1] for low_high in boxes[n]])) <= end]
        sign = -1 if direction == "columns-right-to-left" else 1
        ordered += sorted(beside, key=lambda n: sign * float(boxes[n][0][0]))
        rest = [n for n in rest if n not in beside]
    return ordered


def order_of_cells(rows: int, columns: int, direction: Direction) -> Iterable[tuple[int, int]]:
    """The rows and columns of all cells of a grid in reading order."""
    if direction == "rows":
        return ((row, column) for row in range(rows) for column in range(columns))
    order = range(columns) if direction == "columns" else range(columns - 1, -1, -1)
    return ((row, column) for column in order for row in range(rows))
