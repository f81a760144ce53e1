"""Parts of other characters, and of frames, that reach into a picture from its edge: found and removed.

The steps of :func:`own_pixels`, on the ink of :func:`hanmo.paper.ink_of`, (H, W) uint8:

1. The picture is reduced to cells of one or two pixels a side, a cell being inked if any of its pixels is.
2. Connected components that touch the picture's edge are candidates. Those that stay very close to the edge and have
   little ink are removed.
3. Unless the picture is cut close to the character, candidates that reach at most a quarter into the picture and
   keep a distance to the rest are removed, if the rest is a character with free space around it: :func:`_parts`.
4. If that finds nothing, step 3 is tried again on solid ink alone: strokes that lie close to each other are often
   joined by their soft edges only.

In doubt everything stays. All shares are per cent, of the picture's longer side unless said otherwise.
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

SHALLOW, SLIGHT = 4, 5
"""What touches the edge is removed if it reaches no deeper than SHALLOW and has at most SLIGHT of the ink ..."""

REACHED = 2
"""... unless the rest comes close to more sides than this: then these are the soft ends of its own strokes."""

DEEP = 25
"""How far parts of other characters reach in at most; the character itself begins deeper."""

APART = 3
"""Distance to the character that they must keep; what is nearer may be a dot of it."""

CLEAR = 4
"""Width of the strip along all edges that must be free once they are removed."""

KEPT = 60
"""Share of the ink that must be left; if less were left, the wrong part would have been taken for the character ..."""

KEPT_CENTRED = 25
"""... or this share, if what is left has the size and the place of a character."""

LONG, SHORT, OFF = 50, 25, 10
"""Such a character is at least LONG by SHORT, and its centre at most OFF from the picture's."""

SOLID = 110
"""Ink, of 255, that is more than the soft edges over which neighbouring strokes join (43 %)."""


def own_pixels(ink: Grey) -> tuple[Mask, bool]:
    """Find the character's own pixels, bool (H, W), and whether the character touches the picture's edge."""
    board, own, touches = own_cells(ink)
    # Soft edges of strokes are no visible ink; they lie in the cells around the inked ones.
    near = board.unpack(board.grow(own, 1))
    return by_pixels(near, cell_of(max(ink.shape)))[: ink.shape[0], : ink.shape[1]], touches


def own_cells(ink: Grey) -> tuple[Board, int, bool]:
    """Find the cells that have ink of the character.

    Returns the board of all cells, the character's ones as a mask of it, and whether the character touches the
    picture's edge.
    """
    size = cell_of(max(ink.shape))
    cells = by_cells(ink >= VISIBLE, size)
    board, rings = board_of(*cells.shape), _rings(*cells.shape)
    inked = board.pack(cells)
    reaching = board.flood(inked & rings.rim, inked)  # all that is connected with the edge
    # Components of which no cell lies deeper than the shallow strip.
    shallow = reaching & ~board.flood(reaching & ~rings.shallow, inked)
    # Sides that the rest comes close to.
    reached = sum(bool(inked & ~shallow & side) for side in rings.sides)
    if reached <= REACHED and shallow.bit_count() * 100 <= SLIGHT * inked.bit_count():
        inked &= ~shallow
        reaching &= ~shallow
    if reaching and not is_cut_close(projected(ink)):
        inked = _without_parts(board, rings, inked, reaching, board.pack(by_cells(ink >= SOLID, size)))
    return board, inked, bool(inked & rings.rim)


class Projections(NamedTuple):
    """The greatest ink of every row, uint8 (H,), and of every column, uint8 (W,)."""

    rows: Grey
    columns: Grey


def projected(ink: Grey) -> Projections:
    """The :class:`Projections` of ink (H, W)."""
    return Projections(np.maximum.reduce(ink, axis=1), np.maximum.reduce(ink, axis=0))


def is_cut_close(lines: Projections) -> bool:
    """Whether there is ink on all four sides of the picture, as where it was cropped to the character's box."""
    cell = cell_of(max(map(len, lines)))
    return all(max(side) >= RIM for line in lines for side in (line[:cell].tolist(), line[-cell:].tolist()))


def _without_parts(board: Board, rings: _Rings, inked: int, reaching: int, solid: int) -> int:
    """``inked`` without parts of other characters, found in it or, if joined by soft edges, in ``solid`` ink."""
    if parts := _parts(board, rings, inked, reaching, KEPT_CENTRED):
        return inked & ~parts
    solid &= inked
    if not (parts := _parts(board, rings, solid, board.flood(solid & rings.rim, solid), KEPT)):
        return inked
    # Each part goes with its soft edges, but not with those that are the character's as well.
    soft = inked & ~board.grow(solid & ~parts, 1)
    return inked & ~board.flood(parts, soft)


def _parts(board: Board, rings: _Rings, inked: int, reaching: int, kept: int) -> int:
    """Parts of ``reaching`` that belong to other characters; 0 if there are none or the rest is no free character.

    ``kept`` is the share of the ink that must be left, in per cent.
    """
    # All that is not connected with the inner region, more than DEEP from the edges.
    parts = reaching & ~board.flood(reaching & ~rings.deep, inked)
    # Components near the character may be its dots: they stay.
    near = max(board.height, board.width) * APART // 100
    parts &= ~board.flood(parts & board.grow(inked & ~parts, near), parts)
    rest = inked & ~parts
    if not parts or not rest or rest & rings.clear:
        return 0
    if kept < KEPT and not _is_centred(board.unpack(rest)):
        kept = KEPT
    return parts if rest.bit_count() * 100 >= kept * inked.bit_count() else 0


def _is_centred(cells: Mask) -> bool:
    """Whether the box around cells, bool (h, w), is as large as a character's and in the middle of the picture."""
    side: int = max(cells.shape)
    extents: list[int] = []
    off = 0
    for axis, length in enumerate(cells.shape):
        lines = np.flatnonzero(cells.any(1 - axis))
        start, stop = int(lines[0]), int(lines[-1]) + 1
        extents.append(stop - start)
        off = max(off, abs(start + stop - length))
    # `off` is twice the distance between the two centres, therefore 50 in place of 100.
    return max(extents) * 100 >= LONG * side and min(extents) * 100 >= SHORT * side and off * 50 <= OFF * side


def cell_of(longer: int) -> int:
    """Pixels of a cell's side, for a picture with ``longer`` pixels on its longer side: two where one would be slow."""
    return 1 if longer <= 60 else 2


def by_cells(mask: Mask, size: int) -> Mask:
    """Reduce a mask (H, W) to cells of ``size`` pixels (1 or 2) a side: True where any pixel of the cell is."""
    if size == 1:
        return mask
    height, width = mask.shape
    found = np.zeros((-(-height // 2), 2 * -(-width // 2)), bool)  # an odd last row or column has a cell, too
    found[:, :width] = mask[::2]
    found[: height // 2, :width] |= mask[1::2]
    return found[:, ::2] | found[:, 1::2]


def by_pixels(cells: Mask, size: int) -> Mask:
    """Enlarge cells (h, w) to ``size`` pixels (1 or 2) a side: the inverse of :func:`by_cells`."""
    if size == 1:
        return cells
    height, width = cells.shape
    pixels = np.empty((2 * height, 2 * width), bool)
    pixels[::2, ::2] = pixels[::2, 1::2] = cells
    pixels[1::2] = pixels[::2]
    return pixels


def ring(height: int, width: int, depth: int) -> Mask:
    """bool (height, width): True within ``depth`` cells of the edge."""
    ring = np.ones((height, width), bool)
    ring[depth : height - depth, depth : width - depth] = False
    return ring


class _Rings(NamedTuple):
    """Strips along the edges of the picture, as masks of a :class:`Board`: the outermost cells, and wider strips."""

    rim: int
    shallow: int
    deep: int
    clear: int
    sides: tuple[int, int, int, int]
    """The strips of CLEAR along the upper, the lower, the left and the right edge."""


@lru_cache(maxsize=4096)  # 2 KB each; a board has at most 60 cells a side
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
