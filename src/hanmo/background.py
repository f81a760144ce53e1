"""The background of a picture: uneven light and shadows, divided out (:func:`flatten`).

The front end calls it first of all (:mod:`hanmo.paper`). Most pictures are even, and so two quick tests come before it:
:func:`_is_white` for scans with white paper, :func:`_least_block` for even paper of any level.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.bitboard import Board, any_of
from hanmo.filters import maximum_filter, minimum_filter, smoothed

Grey = NDArray[np.uint8]

PAPER = 224
"""Grey level of the paper after the division by the background: 31 levels are left for brighter pixels."""

UNEVEN = 20
"""Grey levels by which the background must vary before it is divided out; less does not disturb the threshold."""

TILES = 24
"""Tiles along the longer side, of which the background has one value each."""

CLOSING = 4
"""Radius of the closing in tiles: it removes what is narrower than 9 of 24 tiles, so strokes, but not shadows."""


def flatten(grey: Grey) -> Grey:
    """Divide a picture (H, W) by its background, if that is uneven; the paper then has the level :data:`PAPER`.

    The background: means of square tiles, a grey closing of these (a maximum filter, which removes dark strokes, then a
    minimum filter, which puts edges of shadows back), smoothed, and interpolated linearly to every pixel.
    """
    height, width = grey.shape
    tile = tile_of(max(height, width))
    if _is_white(grey, tile):
        return grey
    add_rows, rows = _tiling(height, tile)
    add_columns, columns = _tiling(width, tile)
    # Matrix products in single precision are fast, and exact here: all sums are whole numbers below 2^24. The quotients
    # are rounded down to the same whole numbers as in integer arithmetic.
    light = grey.astype(np.float32)
    means = (add_rows @ light @ add_columns.T / (tile * tile)).astype(np.uint8)
    # The background's greatest tile is that of the means, and its least that of their maximum filter: so unevenness is
    # known before the closing is complete. Mostly it is known even before that, from the blocks.
    least = int(means.max()) - UNEVEN
    if _least_block(means) > least:
        return grey
    bright = maximum_filter(means, CLOSING)
    if int(bright.min()) > least:
        return grey
    background = minimum_filter(bright, CLOSING)
    fine = rows @ smoothed(background, 2).astype(np.float32) @ columns.T
    fine = np.maximum(np.floor(fine / 4096), 1)  # the weights of rows and columns add up to 64 * 64
    flat: Grey = np.minimum(light * PAPER / fine, 255).astype(np.uint8)
    return flat


def _is_white(grey: Grey, tile: int) -> bool:
    """Whether every block has a tile without pixels darker than white by UNEVEN or more; then the background is even.

    Blocks are those of :func:`_least_block`: the mean of such a tile is at least 256 - UNEVEN, while no mean is above
    255. This needs no means, only a mask with a bit for each pixel.
    """
    blocks = _blocks(*grey.shape, tile)
    board = blocks.board
    dark = board.pack(grey < 256 - UNEVEN)
    white = blocks.tiles & ~any_of(any_of(dark, tile, 1), tile, board.row)
    # From the tiles of a block to its first one.
    found = any_of(any_of(white, CLOSING + 1, tile), CLOSING + 1, tile * board.row)
    return not blocks.firsts & ~found


class _Blocks(NamedTuple):
    """The upper left pixels of all ``tiles``, and of the ``firsts`` of all blocks, as masks of a board."""

    board: Board
    tiles: int
    firsts: int


@lru_cache(maxsize=4096)  # 3 KB each; cropped samples have some thousand shapes
def _blocks(height: int, width: int, tile: int) -> _Blocks:
    side = tile * (CLOSING + 1)
    # Rows of whole blocks, so that the last block of a row does not reach into the next row.
    board = Board(height, width, -width % side)
    return _Blocks(board, board.lattice(tile), board.lattice(side))


def _least_block(means: Grey) -> int:
    """A lower limit of the least value of ``maximum_filter(means, CLOSING)``, in a quarter of its time.

    The tiles are cut into blocks of CLOSING + 1 a side. Every square of the filter, which has 2 * CLOSING + 1 tiles a
    side or is cut off at the edge, holds a whole block. So its maximum is at least that of the darkest block.
    """
    rows, columns = (np.arange(0, length, CLOSING + 1) for length in means.shape)
    return int(np.maximum.reduceat(np.maximum.reduceat(means, rows, axis=0), columns, axis=1).min())


@lru_cache(maxsize=512)
def _tiling(length: int, tile: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The matrix (tiles, length) that sums the pixels of each tile along a line, and that of :func:`between_tiles`.

    The last tile may reach beyond the picture; the last pixel then counts for the missing ones, too.
    """
    tiles = -(-length // tile)
    adding = np.zeros((tiles, length), np.float32)
    line = np.arange(length)
    adding[line // tile, line] = 1
    adding[-1, -1] += tiles * tile - length
    return adding, between_tiles(length, tile, tiles)


def tile_of(longer: int) -> int:
    """Pixels of a tile's side, for a picture with ``longer`` pixels on its longer side."""
    return max(2, round(longer / TILES))


def between_tiles(length: int, tile: int, tiles: int) -> NDArray[np.float32]:
    """The matrix (length, tiles) that interpolates linearly between the centres of tiles; each row adds up to 64."""
    # The place of each pixel's centre between the centres of tiles, in 1/64 tiles; constant beyond the outermost ones.
    place = np.clip((64 * (2 * np.arange(length) + 1 - tile)) // (2 * tile), 0, 64 * (tiles - 1))
    matrix = np.zeros((length, tiles), np.float32)
    first, share = place // 64, place % 64
    line = np.arange(length)
    matrix[line, first] = 64 - share
    matrix[line, np.minimum(first + 1, tiles - 1)] += share
    return matrix
