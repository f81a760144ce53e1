"""A photograph of a sheet -> its cells, read: :func:`read_sheet`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hanmo.colour import to_grey
from hanmo.errors import ArgumentError
from hanmo.image import Source, load_colours
from hanmo.prediction import Prediction
from hanmo.recognizer import Recognizer
from hanmo.sheets.cells import cut
from hanmo.sheets.find import find_grids
from hanmo.sheets.grid import Grid
from hanmo.sheets.reading import read_cells
from hanmo.sheets.turn import find_turn, turned_grids
from hanmo.sheets.written import find_writing

Direction = Literal["rows", "columns", "columns-right-to-left"]
"""The order of reading: row by row from the left, column by column from the left, or from the right."""

UNREAD = "□"
"""Stands in the text for a cell with ink that shows no known character, or was corrected."""
BLANK = "\u3000"
"""Stands in the text for an empty cell between others: the ideographic space is as wide as a character."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell of a sheet.

    ``grid`` is the number of its grid, ``row`` and ``column`` its place there, all from 0. ``quadrilateral`` float64
    (4, 2): its corners (x, y) in pixels of the upright picture, from top left clockwise. ``picture`` uint8 (S, S): the
    cell alone, straightened. ``prediction`` is None where the cell is ``empty``; a cell that was ``corrected``, so
    crossed out or written over, is refused. ``in_context`` is the character that the neighbouring cells speak for,
    None where no context was asked for or nothing was read.
    """

    grid: int
    row: int
    column: int
    quadrilateral: NDArray[np.float64]
    picture: NDArray[np.uint8]
    empty: bool
    corrected: bool
    prediction: Prediction | None
    in_context: str | None = None

    @property
    def character(self) -> str | None:
        """The character in context where context was asked for, else the reader's; None where there is none."""
        if self.in_context is not None:
            return self.in_context
        return None if self.corrected or self.prediction is None else self.prediction.character

    @property
    def text(self) -> str:
        """The character, :data:`BLANK` for an empty cell, :data:`UNREAD` where ink was not read."""
        return BLANK if self.empty else self.character or UNREAD


@dataclass(frozen=True, eq=False)
class Sheet:
    """What was read of a sheet.

    ``cells`` are in reading order. ``size`` is the width and height in pixels of the upright picture, in which the
    ``grids`` lie; the picture was turned by ``rotation`` degrees anticlockwise to be upright: 0, 90, 180 or 270.
    """

    cells: tuple[Cell, ...]
    grids: tuple[Grid, ...]
    direction: Direction
    size: tuple[int, int]
    rotation: int = 0

    @property
    def upside_down(self) -> bool:
        """Whether the picture was turned by 180 degrees to be read."""
        return self.rotation == 180

    @property
    def lines(self) -> list[list[Cell]]:
        """The cells of each row, or of each column where the direction is one by columns, in reading order."""
        across = self.direction == "rows"
        lines = groupby(self.cells, lambda cell: (cell.grid, cell.row if across else cell.column))
        return [list(cells) for _, cells in lines]

    def text(self) -> str:
        """The text, a line for each row or column, without empty cells at the ends of lines and of the text.

        A line between two grids is left empty.
        """
        written: list[str] = []
        grid = 0
        for line in self.lines:
            if line[0].grid != grid:
                written.append("")
                grid = line[0].grid
            written.append("".join(cell.text for cell in line).rstrip(BLANK))
        return "\n".join(written).strip("\n")


def read_sheet(
    image: Source,
    recognizer: Recognizer | None = None,
    *,
    direction: Direction = "rows",
    context: bool = False,
    among: Collection[str] | None = None,
    top: int = 10,
) -> Sheet:
    """Find the cells of a sheet on a picture, and read them.

    ``image`` is what :func:`hanmo.image.load_colours` takes. ``recognizer`` None means ``Recognizer()``. ``among`` and
    ``top`` are those of :meth:`Recognizer.recognize`. With ``context`` neighbouring cells help to choose among the
    candidates: :attr:`Cell.in_context`.

    Raises :class:`SheetError` where no grid of cells is found, :class:`ImageError` for an unusable picture, and the
    errors of :meth:`Recognizer.recognize` for ``among`` and ``top``.
    """
    if direction not in get_args(Direction):
        raise ArgumentError(f"direction is {direction!r}; one of {', '.join(get_args(Direction))}")
    reader = recognizer or Recognizer()
    pixels = load_colours(image)
    return read_grids(pixels, find_grids(pixels), reader, direction=direction, among=among, top=top)


def read_grids(
    pixels: NDArray[np.uint8],
    grids: Sequence[Grid],
    reader: Recognizer,
    *,
    direction: Direction = "rows",
    among: Collection[str] | None = None,
    top: int = 10,
) -> Sheet:
    """Read the cells of ``grids`` on a picture, uint8 (H, W, 3), which is turned where it is not upright."""
    grey = to_grey(pixels)
    size = pixels.shape[1], pixels.shape[0]
    cuts = [cut(grey, grid) for grid in grids]
    writings = [find_writing(_flat(pictures)) for pictures in cuts]
    turn = find_turn([_flat(p)[~w.empty] for p, w in zip(cuts, writings, strict=True)], reader, among=among)
    grids = turned_grids(grids, turn, size)
    cells: list[Cell] = []
    for number, (grid, pictures, writing) in enumerate(zip(grids, cuts, writings, strict=True)):
        shown = np.rot90(np.rot90(pictures, turn, axes=(0, 1)), turn, axes=(2, 3))
        read = read_cells(_flat(shown), writing.turned(turn, pictures.shape[:2]), reader, top=top, among=among)
        rows, columns = shown.shape[:2]
        for row, column in _places(rows, columns, direction):
            prediction, corrected = read[row * columns + column]
            picture, quad = shown[row, column], grid.quads[row, column]
            cells.append(Cell(number, row, column, quad, picture, prediction is None, corrected, prediction))
    return Sheet(tuple(cells), tuple(grids), direction, size if turn % 2 == 0 else size[::-1], 90 * turn)


def _flat(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(R, C, S, S) as (R * C, S, S)."""
    return pictures.reshape(-1, *pictures.shape[2:])


def _places(rows: int, columns: int, direction: Direction) -> Iterable[tuple[int, int]]:
    """The rows and columns of all cells in reading order."""
    if direction == "rows":
        return ((row, column) for row in range(rows) for column in range(columns))
    order = range(columns) if direction == "columns" else range(columns - 1, -1, -1)
    return ((row, column) for column in order for row in range(rows))
