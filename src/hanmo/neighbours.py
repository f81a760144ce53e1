"""Parts of other characters, and of frames, that reach into a picture from its rim.

All of it works on the ink of :func:`hanmo.paper.ink_of`, (H, W) uint8, in cells of one or two pixels a side.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.bitboard import Board, board_of
from hanmo.paper import RIM, VISIBLE

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SHALLOW, SLIGHT = 4, 5  # per cent of the side, and of the ink, up to which what touches the rim goes ...
REACHED = 2  # ... unless the rest comes close to more sides than so many: these are its own soft ends
DEEP = 25  # per cent of the side that parts of other characters reach in at most
APART = 3  # per cent of the side that such parts are away from the character
CLEAR = 4  # per cent of the side that must be free around what is left
KEPT = 60  # per cent of the ink that must be left when such parts are removed ...
KEPT_CENTRED = 25  # ... or, where what is left is a character by its size and place
LONG, SHORT, OFF = 50, 25, 10  # per cent of the side: such a character is at least so large, and so far off the middle
SOLID = 110  # ink of 255 that is more than the soft edges over which strokes close to each other join


def own_cells(ink: Grey) -> tuple[Mask, int, bool]:
    """The cells of the character itself, bool (h, w); pixels a cell; and whether it touches the picture's rim."""
    size = cell_of(max(ink.shape))
    cells = by_cells(ink >= VISIBLE, size)
    board, rings = board_of(*cells.shape), _rings(*cells.shape)
    inked = board.pack(cells)
    reaching = board.flood(inked & rings.rim, inked)
    shallow = reaching & ~board.flood(reaching & ~rings.shallow, inked)
    reached = sum(bool(inked & ~shallow & side) for side in rings.sides)
    if reached <= REACHED and shallow.bit_count() * 100 <= SLIGHT * inked.bit_count():
        inked &= ~shallow
        reaching &= ~shallow
    if reaching and not is_cut_close(ink):
        inked = _without_parts(board, rings, inked, reaching, board.pack(by_cells(ink >= SOLID, size)))
    return board.unpack(inked), size, bool(inked & rings.rim)


def is_cut_close(ink: Grey) -> bool:
    """Whether there is ink along all four sides: then what touches the rim is the character's own."""
    cell = cell_of(max(ink.shape))
    sides = (ink[:cell], ink[-cell:], ink[:, :cell], ink[:, -cell:])
    return all(int(side.max()) >= RIM for side in sides)


def _without_parts(board: Board, rings: _Rings, inked: int, reaching: int, solid: int) -> int:
    """``inked`` less parts of other characters; those that only soft edges join to it are found in ``solid`` ink."""
    if parts := _parts(board, rings, inked, reaching, KEPT_CENTRED):
        return inked & ~parts
    solid &= inked
    if not (parts := _parts(board, rings, solid, board.flood(solid & rings.rim, solid), KEPT)):
        return inked
    soft = inked & ~board.grow(solid & ~parts, 1)  # edges of strokes of both stay
    return inked & ~board.flood(parts, soft)


def _parts(board: Board, rings: _Rings, inked: int, reaching: int, kept: int) -> int:
    """What reaches a little way in from the rim, around a character that lies free; nothing where none does."""
    parts = reaching & ~board.flood(reaching & ~rings.deep, inked)
    # What lies close to the character may be a dot of it.
    near = max(board.height, board.width) * APART // 100
    parts &= ~board.flood(parts & board.grow(inked & ~parts, near), parts)
    rest = inked & ~parts
    if not parts or not rest or rest & rings.clear:
        return 0
    if kept < KEPT and not _is_centred(board.unpack(rest)):
        kept = KEPT
    return parts if rest.bit_count() * 100 >= kept * inked.bit_count() else 0


def _is_centred(cells: Mask) -> bool:
    """Whether cells, bool (h, w), are as large as a character, and in the middle."""
    side: int = max(cells.shape)
    extents: list[int] = []
    off = 0
    for axis, length in enumerate(cells.shape):
        lines = np.flatnonzero(cells.any(1 - axis))
        start, stop = int(lines[0]), int(lines[-1]) + 1
        extents.append(stop - start)
        off = max(off, abs(start + stop - length))
    return max(extents) * 100 >= LONG * side and min(extents) * 100 >= SHORT * side and off * 50 <= OFF * side


def cell_of(longer: int) -> int:
    """Pixels a cell, of a picture with so many on its longer side."""
    return 1 if longer <= 60 else 2


def by_cells(mask: Mask, size: int) -> Mask:
    """Whether any pixel of each cell of ``size`` pixels a side is set."""
    if size == 1:
        return mask
    height, width = mask.shape
    found = np.zeros((-(-height // 2), 2 * -(-width // 2)), bool)
    found[:, :width] = mask[::2]
    found[: height // 2, :width] |= mask[1::2]
    return found[:, ::2] | found[:, 1::2]


def by_pixels(cells: Mask, size: int) -> Mask:
    """The opposite of :func:`by_cells`: every cell as ``size`` pixels a side."""
    if size == 1:
        return cells
    height, width = cells.shape
    pixels = np.empty((2 * height, 2 * width), bool)
    pixels[::2, ::2] = pixels[::2, 1::2] = cells
    pixels[1::2] = pixels[::2]
    return pixels


def ring(height: int, width: int, depth: int) -> Mask:
    """True within ``depth`` cells of the edge."""
    ring = np.ones((height, width), bool)
    ring[depth : height - depth, depth : width - depth] = False
    return ring


class _Rings(NamedTuple):
    """What lies within so many cells of the edge, as whole numbers of a :class:`Board`."""

    rim: int
    shallow: int
    deep: int
    clear: int
    sides: tuple[int, int, int, int]
    """Close to the upper, the lower, the left and the right edge."""


@lru_cache(maxsize=128)
def _rings(height: int, width: int) -> _Rings:
    board, side = board_of(height, width), max(height, width)
    clear = 1 + side * CLEAR // 100
    row, column = np.indices((height, width))
    upper, lower, left, right = (
        board.pack(away < clear) for away in (row, height - 1 - row, column, width - 1 - column)
    )
    rim, shallow, deep = (
        board.pack(ring(height, width, depth)) for depth in (1, 1 + side * SHALLOW // 100, side * DEEP // 100)
    )
    return _Rings(rim, shallow, deep, upper | lower | left | right, (upper, lower, left, right))
