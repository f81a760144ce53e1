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

SIDE = 48
"""Pixels of a cell's side in this module: a fine pen stroke is one of them wide."""

_PAPER = 0.8
"""The paper's level is this quantile of a cell: even a dense character leaves a quarter of its cell free."""
_PRINT = 0.25
"""The print's level is this quantile over the cells: half of them may be empty, half full, and strokes seldom lie in
three quarters of all cells at the same place."""
_FEWEST = 8
"""With fewer cells chance decides what they have in common, so nothing is taken for print."""
_NOISE = 0.03
"""Darkness, of 1, that is subtracted everywhere: the grain of paper, and a camera's noise after averaging."""
_FAINTEST = 0.02
"""Darkness beyond the noise, as a mean over 3 x 3 pixels, below which a cell is empty even where all are as faint."""
_FAINT = 0.3
"""A cell whose darkest stroke has less than this share of the usual darkness is empty: shadows of the back page."""
_INSET = 3
"""Pixels along the edges that are not looked at: remains of the rules."""
_EDGE = 0.25
"""Where a mask of 0 and 1 is enlarged, this level is half a pixel of the small mask outside of its edge."""
_DEEP = 12
"""Pixels, a quarter of the side, up to which ink from a neighbouring cell reaches in."""


@dataclass(frozen=True, eq=False)
class Writing:
    """The writing in N cells: ``ink`` float32 (N, SIDE, SIDE), 0 = paper or print, 1 = black, and for each cell the
    darkness of its darkest stroke, ``strength`` float32 (N,). ``printed`` float32 (SIDE, SIDE): the print's darkness.
    """

    ink: Levels
    strength: Levels
    printed: Levels

    @property
    def pen(self) -> float:
        """The usual strength of the cells that hold writing."""
        seen = self.strength[self.strength >= _FAINTEST]
        return float(np.median(seen)) if seen.size else 0.0

    @property
    def empty(self) -> NDArray[np.bool_]:
        """Whether each cell is empty, bool (N,)."""
        return self.strength < max(_FAINTEST, _FAINT * self.pen)

    def turned(self, turn: int, shape: tuple[int, int]) -> Writing:
        """The writing in the cells of a grid of ``shape`` (R, C), turned by so many quarters anticlockwise."""
        places = np.rot90(np.arange(len(self.ink)).reshape(shape), turn).ravel()
        ink = np.rot90(self.ink[places], turn, axes=(1, 2))
        return Writing(np.ascontiguousarray(ink), self.strength[places], np.rot90(self.printed, turn))

    def of(self, places: NDArray[np.intp]) -> Writing:
        """The writing in some of the cells."""
        return Writing(self.ink[places], self.strength[places], self.printed)


def find_writing(pictures: Grey) -> Writing:
    """The writing in the cells of one grid, uint8 (N, S, S), ink dark."""
    dark = _darkness(pictures)
    printed = np.zeros((SIDE, SIDE), np.float32)
    if len(dark) >= _FEWEST:
        # Cells are cut a pixel off now and then, and dashes lie elsewhere in each: the darkest pixel around counts.
        printed = np.quantile(_spread(dark), _PRINT, axis=0).astype(np.float32)
    ink = np.maximum(dark - 1.2 * printed - _NOISE, 0)
    ink[:, ring(SIDE, SIDE, _INSET)] = 0
    own = np.stack([_own(cell) for cell in ink]) if len(ink) else ink
    strength = _mean(own).max(axis=(1, 2), initial=0)
    return Writing(own, strength, printed)


def writing_alone(pictures: Grey, writing: Writing) -> Grey:
    """The pictures (N, S, S) of :func:`find_writing` with paper wherever there is no writing."""
    alone = np.empty_like(pictures)
    inked = _spread((writing.ink > 0).astype(np.float32))  # strokes keep their soft edges
    for out, picture, ink in zip(alone, pictures, inked, strict=True):
        shown = Image.fromarray(ink).resize(picture.shape[::-1], Image.Resampling.BILINEAR)
        out[:] = np.where(np.asarray(shown) > _EDGE, picture, np.uint8(np.quantile(picture, _PAPER)))
    return alone


def _darkness(pictures: Grey) -> Levels:
    """(N, SIDE, SIDE): 0 = the cell's paper, 1 = black."""
    small = np.stack([np.asarray(Image.fromarray(p).resize((SIDE, SIDE), Image.Resampling.BOX)) for p in pictures])
    paper = np.quantile(small, _PAPER, axis=(1, 2), keepdims=True).astype(np.float32)
    dark: Levels = np.maximum(1 - small / np.maximum(paper, 1), 0).astype(np.float32)
    return dark


def _own(ink: Levels) -> Levels:
    """The ink of a cell (SIDE, SIDE) without strokes that come in from the neighbouring cells."""
    board = board_of(SIDE, SIDE)
    seen = ink > _NOISE
    inked = board.pack(seen)
    rim, outer = board.pack(ring(SIDE, SIDE, _INSET + 1)), board.pack(ring(SIDE, SIDE, _DEEP))
    reaching = board.flood(inked & rim, inked)
    # Components that touch the rim and lie in the outer quarter altogether.
    parts = reaching & ~board.flood(reaching & ~outer, inked)
    return np.where(board.unpack(parts), np.float32(0), ink) if parts else ink


def _spread(levels: Levels) -> Levels:
    """The greatest of each pixel and its eight neighbours, (N, H, W)."""
    edged = np.pad(levels, ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = np.maximum(np.maximum(edged[:, :-2], edged[:, 1:-1]), edged[:, 2:])
    return np.maximum(np.maximum(down[:, :, :-2], down[:, :, 1:-1]), down[:, :, 2:])


def _mean(levels: Levels) -> Levels:
    """The mean of each pixel and its eight neighbours, (N, H - 2, W - 2)."""
    down = levels[:, :-2] + levels[:, 1:-1] + levels[:, 2:]
    return np.asarray((down[:, :, :-2] + down[:, :, 1:-1] + down[:, :, 2:]) / 9)
