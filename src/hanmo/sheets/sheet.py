"""A photograph of a sheet -> its cells, read: :func:`read_sheet`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from hanmo.colour import to_grey
from hanmo.errors import ArgumentError, SheetError
from hanmo.image import Source, load_colours
from hanmo.prediction import Prediction
from hanmo.recognizer import Recognizer
from hanmo.sheets.cells import cut, inside
from hanmo.sheets.context import in_context
from hanmo.sheets.find import find_grids
from hanmo.sheets.grid import Grid
from hanmo.sheets.order import Direction, order_of_cells, order_of_grids
from hanmo.sheets.reading import Read, Reader, read_cells
from hanmo.sheets.turn import find_turn, turned_grid
from hanmo.sheets.written import Writing, find_writing

UNREAD = "□"
"""Stands in the text for a cell with ink that shows no known character, or was corrected."""
BLANK = "\u3000"
"""Stands in the text for an empty cell between others: the ideographic space is as wide as a character."""

_ORNAMENT, _WELL = 0.25, 0.6
"""Mean probability of a grid's cells below which it may be an ornament, and from which another one is read well."""
_SMALL = 0.1
"""An ornament has at most this share of the cells of the largest grid."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell of a sheet.

    ``grid`` is the number of its grid, ``row`` and ``column`` its place there, all from 0. ``quadrilateral`` float64
    (4, 2): its corners (x, y) in pixels of the upright picture, from top left clockwise. ``picture`` uint8 (S, S): the
    cell alone, straightened. ``prediction`` is None where the cell is ``empty``; a cell that was ``corrected``, so
    crossed out or written over, is not read. ``in_context`` is the candidate that fits the neighbouring cells, None
    where no context was asked for or no character is named.
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
    def probability(self) -> float:
        """The reader's probability of :attr:`character`, 0 where there is none."""
        candidates = self.prediction.candidates if self.prediction else ()
        return next((c.probability for c in candidates if c.character == self.character), 0.0)

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
    context: bool = False
    """Whether choices in context were asked for."""

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

    @property
    def by_itself(self) -> Sheet:
        """The same sheet as the reader alone reads it, without choices in context."""
        return replace(self, cells=tuple(replace(cell, in_context=None) for cell in self.cells))

    def text(self) -> str:
        """The text, a line for each row or column, without empty cells at the ends of lines and of the text.

        A line between two grids is left empty, but not between rows without boxes, each of which may be a grid.
        """
        written: list[str] = []
        grid = 0
        for line in self.lines:
            if line[0].grid != grid:
                if not (self._is_free_row(grid) and self._is_free_row(line[0].grid)):
                    written.append("")
                grid = line[0].grid
            written.append("".join(cell.text for cell in line).rstrip(BLANK))
        return "\n".join(written).strip("\n")

    def _is_free_row(self, grid: int) -> bool:
        return not self.grids[grid].ruled and self.grids[grid].rows == 1


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
    grids = find_grids(pixels)
    return read_grids(pixels, grids, reader, direction=direction, context=context, among=among, top=top)


def read_grids(
    pixels: NDArray[np.uint8],
    grids: Sequence[Grid],
    reader: Recognizer,
    *,
    direction: Direction = "rows",
    context: bool = False,
    among: Collection[str] | None = None,
    top: int = 10,
) -> Sheet:
    """Read the cells of ``grids`` on a picture, uint8 (H, W, 3), which is turned where it is not upright."""
    size = pixels.shape[1], pixels.shape[0]
    parts = [_Part.of(pixels, grid) for grid in grids]
    once = Reader(reader, top)
    turn = find_turn([part.written for part in parts], once.read)
    parts = [part.turned(turn, size) for part in parts]
    parts = [parts[n] for n in order_of_grids([part.grid for part in parts], direction)]
    reads = [read_cells(part.flat, part.writing, once, top=top, among=among) for part in parts]
    parts, reads = _without_ornaments(parts, reads)
    cells: list[Cell] = []
    for number, (part, read) in enumerate(zip(parts, reads, strict=True)):
        cells += part.cells(number, read, direction)
    if context:
        cells = _with_context(cells)
    upright = size if turn % 2 == 0 else (size[1], size[0])
    return Sheet(tuple(cells), tuple(part.grid for part in parts), direction, upright, 90 * turn, context)


@dataclass(frozen=True, eq=False)
class _Part:
    """A grid with the pictures of its cells, uint8 (R, C, S, S), and the writing on them."""

    grid: Grid
    pictures: NDArray[np.uint8]
    writing: Writing

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], grid: Grid) -> _Part:
        left, top = grid.quads.min(axis=(0, 1, 2)).clip(0).astype(int)
        right, bottom = grid.quads.max(axis=(0, 1, 2)).clip(1).astype(int) + 1
        region = pixels[top:bottom, left:right]
        if not region.size:
            raise SheetError("a grid lies outside of its picture; give the picture in which it was found")
        here = replace(grid, quads=grid.quads - (left, top))
        # Coloured print is sought in the cells alone: a desk around the sheet has colours, too.
        pictures = cut(to_grey(region, inside(region, here)), here)
        return cls(grid, pictures, find_writing(pictures.reshape(-1, *pictures.shape[2:])))

    @property
    def flat(self) -> NDArray[np.uint8]:
        """The pictures row by row, (R * C, S, S)."""
        return self.pictures.reshape(-1, *self.pictures.shape[2:])

    @property
    def written(self) -> NDArray[np.uint8]:
        """The pictures of cells that are not empty, (N, S, S)."""
        return self.flat[~self.writing.empty]

    def turned(self, turn: int, size: tuple[int, int]) -> _Part:
        """The same on the picture of ``size`` (width, height) after so many quarter turns anticlockwise."""
        if not turn:
            return self
        rows, columns = self.pictures.shape[:2]
        pictures = np.rot90(np.rot90(self.pictures, turn, axes=(0, 1)), turn, axes=(2, 3))
        writing = self.writing.turned(turn, (rows, columns))
        return _Part(turned_grid(self.grid, turn, size), np.ascontiguousarray(pictures), writing)

    def cells(self, number: int, read: Sequence[Read], direction: Direction) -> list[Cell]:
        """The cells in reading order; ``read`` holds them row by row, ``number`` is that of the grid."""
        rows, columns = self.pictures.shape[:2]
        cells = []
        for row, column in order_of_cells(rows, columns, direction):
            prediction, corrected = read[row * columns + column]
            place = self.grid.quads[row, column], self.pictures[row, column]
            cells.append(Cell(number, row, column, *place, prediction is None, corrected, prediction))
        return cells


def _without_ornaments(parts: list[_Part], reads: list[list[Read]]) -> tuple[list[_Part], list[list[Read]]]:
    """The grids without those that hold no characters: a row of printed stars may look like a row of boxes.

    A grid is only left out where another one is read well and far larger, never when it is empty or has no rules.
    """
    sureness = [_sureness(read) for read in reads]
    if max(sureness, default=0) < _WELL:
        return parts, reads
    few = _SMALL * max(len(read) for read in reads)
    kept = [n for n, sure in enumerate(sureness) if sure >= _ORNAMENT or len(reads[n]) > few or not parts[n].grid.ruled]
    return [parts[n] for n in kept], [reads[n] for n in kept]


def _sureness(read: Sequence[Read]) -> float:
    """The mean probability of the cells with ink, of which those not read count 0; 1 where there is no ink."""
    seen = [0.0 if p.refused else p.probability for p, _ in read if p is not None]
    return sum(seen) / len(seen) if seen else 1.0


def _with_context(cells: Sequence[Cell]) -> list[Cell]:
    """The cells with :attr:`Cell.in_context`. Empty and corrected cells separate what is read together.

    A cell that was refused speaks for its neighbours, but stays unread: of such cells on drawn sheets, only 9 of 30
    are read right in context.
    """
    found: list[Cell] = []
    for together, run in groupby(cells, lambda cell: not (cell.prediction is None or cell.corrected)):
        if not together:
            found += run
            continue
        read = [(cell, cell.prediction) for cell in run if cell.prediction is not None]
        best = in_context([prediction for _, prediction in read])
        for (cell, prediction), character in zip(read, best, strict=True):
            found.append(cell if prediction.refused else replace(cell, in_context=character))
    return found
