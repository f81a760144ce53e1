"""How benchmarks/sheets.py scores a read sheet, and the boxes of a reader of lines, against the truth of the cells.

A truth is a list of grids: ``cells`` (a string a row; space = empty, □ = crossed out) and ``quads`` (R, C, 4, 2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Place = tuple[int, int, int]
EMPTY, CROSSED = " ", "□"
LEAST_OVERLAP = 0.5


class ReadCell(Protocol):
    """What is used of :class:`hanmo.sheets.sheet.Cell`."""

    @property
    def grid(self) -> int: ...
    @property
    def row(self) -> int: ...
    @property
    def column(self) -> int: ...
    @property
    def quadrilateral(self) -> Floats: ...
    @property
    def empty(self) -> bool: ...
    @property
    def corrected(self) -> bool: ...
    @property
    def character(self) -> str | None: ...


class TrueGrid(NamedTuple):
    """The truth of one grid."""

    cells: Sequence[str]
    quads: Floats

    def places(self) -> Iterator[tuple[int, int, str]]:
        """Row, column and character of every cell."""
        for row, line in enumerate(self.cells):
            for column, character in enumerate(line):
                yield row, column, character


@dataclass
class Score:
    """Counts of one sheet or of many."""

    sheets: int = 0
    lattices: int = 0
    """Sheets of which every cell was found and nothing else was taken for a cell."""
    cells: int = 0
    found: int = 0
    extra: int = 0
    """Read cells that are no cell of the truth."""
    judged: int = 0
    """Found cells that are empty or hold a character, so not those crossed out ..."""
    judged_right: int = 0
    """... of which empty ones were called empty, and written ones not."""
    written: int = 0
    found_written: int = 0
    right: int = 0
    refused: int = 0
    """Found written cells without an answer."""
    crossed: int = 0
    flagged: int = 0
    """Crossed-out cells that were called corrected."""
    falsely: int = 0
    """Found written cells that were called corrected."""
    peer_right: int = 0
    seconds: list[float] = field(default_factory=list)
    context_right: int = 0
    context_seconds: list[float] = field(default_factory=list)
    peer_seconds: list[float] = field(default_factory=list)
    failures: int = 0
    """Sheets on which no grid was found."""

    def add(self, other: Score) -> None:
        """Add the counts of another score."""
        for name in (f.name for f in fields(self)):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def find_cells(truth: Sequence[TrueGrid], cells: Sequence[ReadCell]) -> tuple[dict[Place, ReadCell], int]:
    """The read cell of each cell of the truth (grid, row, column) that was found, and the number of other read cells.

    A cell is found where the nearest read cell overlaps it (intersection over union) by half or more, and stands at the
    same position: rows and columns may be counted from another start, but by the same one in the whole grid.
    """
    if not cells:
        return {}, 0
    middles = np.array([cell.quadrilateral.mean(0) for cell in cells])
    nearest: dict[Place, ReadCell] = {}
    for number, grid in enumerate(truth):
        for row, column, _ in grid.places():
            quad = grid.quads[row, column]
            cell = cells[int(np.square(middles - quad.mean(0)).sum(1).argmin())]
            if overlap(quad, cell.quadrilateral) >= LEAST_OVERLAP:
                nearest[number, row, column] = cell
    found: dict[Place, ReadCell] = {}
    for number in range(len(truth)):
        here = {place: cell for place, cell in nearest.items() if place[0] == number}
        starts = Counter(_start(place, cell) for place, cell in here.items())
        usual = starts.most_common(1)[0][0] if starts else None
        found |= {place: cell for place, cell in here.items() if _start(place, cell) == usual}
    return found, len(cells) - len({id(cell) for cell in nearest.values()})


def _start(place: Place, cell: ReadCell) -> Place:
    """Where a truth's first cell would lie in the read grid."""
    return cell.grid, cell.row - place[1], cell.column - place[2]


def overlap(a: Floats, b: Floats) -> float:
    """Intersection over union of two convex quadrilaterals (4, 2), corners clockwise on the screen."""
    common = _area(_clipped(a, b))
    return common / max(_area(a) + _area(b) - common, 1e-9)


def _clipped(shape: Floats, by: Floats) -> Floats:
    """The part of a convex shape within another one (Sutherland and Hodgman, "Reentrant polygon clipping", 1974)."""
    for start, end in zip(by, np.roll(by, -1, 0), strict=True):
        if not len(shape):
            break
        way = end - start
        inside = way[0] * (shape[:, 1] - start[1]) - way[1] * (shape[:, 0] - start[0])
        kept = []
        for i, here in enumerate(inside):
            before = inside[i - 1]
            if (here >= 0) != (before >= 0):
                kept.append(shape[i - 1] + (shape[i] - shape[i - 1]) * before / (before - here))
            if here >= 0:
                kept.append(shape[i])
        shape = np.array(kept).reshape(-1, 2)
    return shape


def _area(shape: Floats) -> float:
    if len(shape) < 3:
        return 0.0
    x, y = shape.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def score_sheet(truth: Sequence[TrueGrid], cells: Sequence[ReadCell]) -> Score:
    """Score the cells of a read sheet; seconds, context and peer are left to the caller."""
    found, extra = find_cells(truth, cells)
    score = Score(sheets=1, extra=extra, found=len(found))
    for number, grid in enumerate(truth):
        for row, column, character in grid.places():
            score.cells += 1
            _score_cell(score, character, found.get((number, row, column)))
    score.lattices = int(score.found == score.cells and not extra)
    return score


def _score_cell(score: Score, character: str, cell: ReadCell | None) -> None:
    if character == CROSSED:
        score.crossed += 1
        score.flagged += bool(cell and cell.corrected)
        return
    score.written += character != EMPTY
    if cell is None:
        return
    score.judged += 1
    score.judged_right += cell.empty == (character == EMPTY)
    if character != EMPTY:
        score.found_written += 1
        score.right += cell.character == character
        score.refused += cell.character is None
        score.falsely += cell.corrected


def peer_right(truth: Sequence[TrueGrid], lines: Sequence[tuple[Floats, str]]) -> int:
    """How many written cells a reader of lines has right: ``lines`` are its boxes (4, 2) and their texts.

    It is helped. The cells of a box are those whose middle lies in the box or within half a cell of it, in the order
    along its longer side. Its text need not have every character at its place: it is aligned with the written cells so
    that as many as possible agree (longest common subsequence). Punctuation and whatever else it reads costs nothing,
    nor do lines outside of the grid. A cell is right if any box has it right.
    """
    places, middles, sizes = [], [], []
    for number, grid in enumerate(truth):
        for row, column, character in grid.places():
            if character not in (EMPTY, CROSSED):
                quad = grid.quads[row, column]
                places.append((number, row, column, character))
                middles.append(quad.mean(0))
                sizes.append(np.sqrt(_area(quad)))
    right = set()
    for box, text in lines:
        order = _within(np.array(middles).reshape(-1, 2), box, np.array(sizes))
        right |= {places[order[i]] for i in common([places[n][3] for n in order], text)}
    return len(right)


def _within(middles: Floats, box: Floats, sizes: Floats) -> list[int]:
    """The numbers of the middles in a box widened by half a cell, along its longer side."""
    across, down = box[1] - box[0], box[3] - box[0]
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    if not min(lengths):
        return []
    centre = box.mean(0)
    along = (middles - centre) @ across / lengths[0], (middles - centre) @ down / lengths[1]
    inside = [np.abs(a) <= length / 2 + sizes / 2 for a, length in zip(along, lengths, strict=True)]
    # Half a cell to the sides of the line would take in the next line: a quarter is left there.
    narrow = int(lengths[1] < lengths[0])
    inside[narrow] = np.abs(along[narrow]) <= lengths[narrow] / 2 + sizes / 4
    chosen = np.flatnonzero(inside[0] & inside[1])
    return [int(n) for n in chosen[np.argsort(along[1 - narrow][chosen])]]


def common(cells: Sequence[str], text: str) -> list[int]:
    """The indices of ``cells`` in a longest common subsequence of the cells and the text."""
    table = np.zeros((len(cells) + 1, len(text) + 1), int)
    for i in reversed(range(len(cells))):
        for j in reversed(range(len(text))):
            same = cells[i] == text[j]
            table[i, j] = 1 + table[i + 1, j + 1] if same else max(table[i + 1, j], table[i, j + 1])
    i = j = 0
    kept = []
    while i < len(cells) and j < len(text):
        if cells[i] == text[j]:
            kept.append(i)
            i, j = i + 1, j + 1
        elif table[i + 1, j] >= table[i, j + 1]:
            i += 1
        else:
            j += 1
    return kept
