"""Orders of reading: of the grids on a picture, and of the cells in a grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hanmo.sheets.grid import Grid

Direction = Literal["rows", "columns", "columns-right-to-left"]
"""Row by row from the left, column by column from the left, or column by column from the right."""


def order_of_grids(grids: Sequence[Grid], direction: Direction) -> list[int]:
    """The numbers of the grids in reading order, by X-Y cuts: the page is cut at its widest blank, then its parts are.

    Of parts above each other the upper one comes first, of parts beside each other the left one, or the right one for
    columns from the right (Nagy, Seth and Viswanathan, "A prototype document image analysis system for technical
    journals", 1992).
    """
    boxes = [np.concatenate([grid.quads.min(axis=(0, 1, 2)), grid.quads.max(axis=(0, 1, 2))]) for grid in grids]
    return _cut(list(range(len(grids))), boxes, rightmost_first=direction == "columns-right-to-left")


def _cut(numbers: list[int], boxes: Sequence[NDArray[np.float64]], *, rightmost_first: bool) -> list[int]:
    """``numbers`` in reading order; each of ``boxes`` is (left, top, right, bottom)."""
    if len(numbers) < 2:
        return numbers
    cuts: list[tuple[float, int, list[int], list[int]]] = []
    for axis in (1, 0):
        spans = sorted((float(boxes[n][axis]), float(boxes[n][axis + 2]), n) for n in numbers)
        end = spans[0][1]
        for k in range(1, len(spans)):
            if spans[k][0] > end:
                cuts.append((spans[k][0] - end, axis, [n for *_, n in spans[:k]], [n for *_, n in spans[k:]]))
            end = max(end, spans[k][1])
    if not cuts:  # the grids overlap
        return sorted(numbers, key=lambda n: (float(boxes[n][1]), float(boxes[n][0])))
    _, axis, before, after = max(cuts, key=lambda cut: cut[0])
    if axis == 0 and rightmost_first:
        before, after = after, before
    return [n for part in (before, after) for n in _cut(part, boxes, rightmost_first=rightmost_first)]


def order_of_cells(rows: int, columns: int, direction: Direction) -> Iterable[tuple[int, int]]:
    """The rows and columns of all cells of a grid in reading order."""
    if direction == "rows":
        return ((row, column) for row in range(rows) for column in range(columns))
    order = range(columns) if direction == "columns" else range(columns - 1, -1, -1)
    return ((row, column) for column in order for row in range(rows))
