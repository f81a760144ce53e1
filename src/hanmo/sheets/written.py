"""Which cells of a grid hold writing, and what is printed in all of them.

Printed crosses and diagonals (田字格, 米字格) lie at the same place in every cell, handwriting does not. So the print
is a low quantile over all cells, pixel by pixel, and the writing is the ink beyond it. An empty cell is told from faint
pencil by comparing it with the other cells of the sheet: what is far lighter than their strokes is no writing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hanmo.bitboard import board_of
from hanmo.neighbours import ring

Grey = NDArray[np.uint8]
Levels = NDArray[np.float32]
Mask = NDArray[np.bool_]

SIDE = 48
"""Pixels of a cell's side in this module: a fine pen stroke is one of them wide."""

PAPER = 0.8
"""The paper's level is this quantile of a cell: even a dense character leaves a quarter of its cell free."""
_PRINT = 0.25
"""The print's level is this quantile over the cells: half of them may be empty, half full, and strokes seldom lie in
three quarters of all cells at the same place."""
_FEWEST = 8
"""With fewer cells chance decides what they have in common, so nothing is taken for print."""
_BEYOND = 1.2
"""Ink begins at so many times the print's level: a cell may be printed a little darker than most."""
_NOISE = 0.02
"""Darkness, of 1, that is subtracted everywhere: the grain of paper, and a camera's noise after averaging."""
_FAINTEST = 0.02
"""Darkness beyond the noise, as a mean over 3 x 3 pixels, below which a cell is empty even where all are as faint."""
_FAINT = 0.3
_FAINT_AT_ALL = 0.1
"""Shares of the usual darkness: from the first on, a cell's darkest stroke is writing; below the second, it is the
shadow of the page behind, or what a rubber left."""
_INSET = 3
"""Pixels along the edges that are not looked at: remains of the rules."""
_DEEP = 12
"""Pixels, a quarter of the side, up to which ink from a neighbouring cell reaches in."""


@dataclass(frozen=True, eq=False)
class Writing:
    """The writing in N cells: ``ink`` float32 (N, SIDE, SIDE), 0 = paper or print, 1 = black.

    ``strength`` float32 (N,): the darkness of each cell's darkest stroke. ``foreign`` bool (N, SIDE, SIDE): the edge of
    the cell, where remains of rules are, and strokes that come in from neighbouring cells.
    """

    ink: Levels
    strength: Levels
    foreign: Mask

    @property
    def pen(self) -> float:
        """The usual strength of the cells that hold writing."""
        seen = self.strength[self.strength >= _FAINTEST]
        return float(np.median(seen)) if seen.size else 0.0

    @property
    def empty(self) -> Mask:
        """Whether each cell is empty, or so much fainter than most that only reading it can tell; bool (N,)."""
        return self.strength < max(_FAINTEST, _FAINT * self.pen)

    @property
    def faint(self) -> Mask:
        """Whether each cell is one of these: empty, or written very faintly; bool (N,)."""
        return self.empty & (self.strength >= max(_FAINTEST, _FAINT_AT_ALL * self.pen))

    def turned(self, turn: int, shape: tuple[int, int]) -> Writing:
        """The writing in the cells of a grid of ``shape`` (R, C), turned by so many quarters anticlockwise."""
        places = np.rot90(np.arange(len(self.ink)).reshape(shape), turn).ravel()
        ink, foreign = (np.rot90(x[places], turn, axes=(1, 2)) for x in (self.ink, self.foreign))
        return Writing(np.ascontiguousarray(ink), self.strength[places], np.ascontiguousarray(foreign))

    def of(self, places: NDArray[np.intp]) -> Writing:
        """The writing in some of the cells."""
        return Writing(self.ink[places], self.strength[places], self.foreign[places])


def find_writing(pictures: Grey) -> Writing:
    """The writing in the cells of one grid, uint8 (N, S, S), ink dark."""
    small = np.stack([np.asarray(Image.fromarray(p).resize((SIDE, SIDE), Image.Resampling.BOX)) for p in pictures])
    dark = darkness(small)
    ink = np.maximum(dark - _BEYOND * print_of(dark) - _NOISE, 0)
    foreign = np.repeat(ring(SIDE, SIDE, _INSET)[None], len(ink), axis=0)
    ink[foreign] = 0
    parts = np.stack([_parts(cell > _NOISE) for cell in ink])
    ink[parts] = 0
    strength = _mean(ink).max(axis=(1, 2))
    return Writing(ink, strength, foreign | (spread(parts.astype(np.float32)) > 0))


def darkness(pictures: Grey) -> Levels:
    """(N, S, S): 0 = the cell's paper, 1 = black."""
    brightness = np.float32(1) / np.maximum(paper_of(pictures), np.float32(1))
    dark: Levels = np.maximum(1 - pictures * brightness, 0)
    return dark


def paper_of(pictures: Grey) -> Levels:
    """The level of the paper in each of (N, S, S), (N, 1, 1)."""
    # A histogram takes a tenth of the time of np.quantile.
    counts = np.array([Image.fromarray(picture).histogram() for picture in pictures]).reshape(-1, 256)
    below = counts.cumsum(axis=1) > PAPER * (pictures[0].size - 1)
    paper: Levels = below.argmax(axis=1).astype(np.float32)[:, None, None]
    return paper


def print_of(dark: Levels) -> Levels:
    """What is printed in the cells of a grid, (S, S), from their :func:`darkness` (N, S, S); 0 where it is unknown."""
    if len(dark) < _FEWEST:
        return np.zeros(dark.shape[1:], np.float32)
    # Cells are cut a pixel off now and then, and dashes lie elsewhere in each: the darkest pixel around counts.
    place = round(_PRINT * (len(dark) - 1))
    printed: Levels = np.partition(spread(dark), place, axis=0)[place]
    return printed


def _parts(seen: Mask) -> Mask:
    """Of the inked pixels of a cell (SIDE, SIDE), those of strokes that come in from the neighbouring cells."""
    board = board_of(SIDE, SIDE)
    inked = board.pack(seen)
    rim, outer = board.pack(ring(SIDE, SIDE, _INSET + 1)), board.pack(ring(SIDE, SIDE, _DEEP))
    reaching = board.flood(inked & rim, inked)
    # Components that touch the rim and lie in the outer quarter altogether.
    return board.unpack(reaching & ~board.flood(reaching & ~outer, inked))


def spread(levels: Levels) -> Levels:
    """The greatest of each pixel and its eight neighbours, (N, H, W)."""
    edged = np.pad(levels, ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = np.maximum(np.maximum(edged[:, :-2], edged[:, 1:-1]), edged[:, 2:])
    return np.maximum(np.maximum(down[:, :, :-2], down[:, :, 1:-1]), down[:, :, 2:])


def _mean(levels: Levels) -> Levels:
    """The mean of each pixel and its eight neighbours, (N, H - 2, W - 2)."""
    down = levels[:, :-2] + levels[:, 1:-1] + levels[:, 2:]
    return np.asarray((down[:, :, :-2] + down[:, :, 1:-1] + down[:, :, 2:]) / 9)
