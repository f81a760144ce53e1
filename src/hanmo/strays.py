"""What is on a picture beside the character, and goes: lighter print, rules, parts of other characters, specks.

All of it works on the ink of :func:`hanmo.paper.ink_of`, (H, W) uint8, at most :data:`hanmo.paper.SIDE` pixels a side.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.paper import VISIBLE, greatest

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]

STRIPS = 8
"""Strips that the picture is cut into across a rule's direction."""

SLOPES = range(-4, 5)
"""Pixels that a rule may rise or fall from one end of the picture to the other."""

STEPS = 64
"""How often regions are grown by one cell: more than a stroke needs to come back from the rim."""

STRONG = 158  # ink of 255 (0.62) that print does not reach where it is lighter than the pen
NEAR = 2  # pixels around strong ink that are the soft edges of its strokes
PRINT = 25  # lighter print, in per cent of the strong pixels, from which it is removed
PALE = 110  # ink of 255 that lighter print does not reach; what does may be a faint stroke
COVERED = 35  # per cent of a strip that a rule covers, dashed ones too
WHOLE = 55  # per cent of the whole width that it covers
THICK = 34  # thousandths of the longer side: as much ink may lie across a rule, it and what is within four pixels
MARGIN = 8  # rows of paper added above and below, so that lines may fall and rise
DEEP = 25  # per cent of the side that parts of other characters reach in at most
KEPT = 60  # per cent of the ink that must be left when such parts are removed
APART = 3  # per cent of the side that such parts are away from the character
CLEAR = 4  # per cent of the side that must be free around what is left
SHALLOW, SLIGHT = 4, 5  # per cent of the side, and of the ink, up to which what touches the rim goes in any case
LARGEST_SPECK = 32  # parts of the longer side: larger squares of ink are no specks
EDGE = 3  # pixels of paper added on all sides when specks are looked for


def without_print(ink: Grey) -> Grey:
    """Print lighter than the pen removed: where much weak ink is away from strong ink, its level is the new paper."""
    strong = ink >= STRONG
    weak = (ink >= VISIBLE // 2) & (greatest(strong.view(np.uint8), NEAR) == 0)
    count = np.count_nonzero(weak)
    if count * 100 < PRINT * np.count_nonzero(strong):
        return ink
    histogram = np.bincount(ink[weak], minlength=256).cumsum()
    level = int((histogram * 100 < 90 * count).sum())
    if level > PALE:
        return ink
    return (255 * (np.arange(256) - level) // (255 - level)).clip(0, 255).astype(np.uint8).take(ink)


def rules_in(mask: Mask) -> Mask:
    """Where straight, thin, nearly horizontal rules run from one side of the picture to the other, bool (H, W)."""
    height, width = mask.shape
    adding, widths = _strips(width)
    inked = np.zeros((STRIPS, height + 2 * MARGIN), np.int32)  # pixels of a strip and row
    inked[:, MARGIN:-MARGIN] = adding @ mask.T.astype(np.float32)
    band = _greatest_rows(inked, 1)
    covered = band * 100 >= COVERED * widths
    along = _lines(covered)
    if along.size:
        along = along[:, band[_STRIP, along].sum(0) * 100 >= WHOLE * width]
    if not along.size:  # as on most pictures
        return np.zeros((height, width), bool)
    above = inked.cumsum(1)
    around = above[_STRIP, along + 4] - above[_STRIP, along - 5]
    thin = around * 1000 <= THICK * max(height, width) * widths
    found = np.zeros(inked.shape, bool)
    found[_STRIP, along[:, thin.sum(0) >= STRIPS // 2 + 1]] = True
    rule: Mask = _greatest_rows(found[:, MARGIN:-MARGIN], 1).T.repeat(widths[:, 0], axis=1)
    return rule


@lru_cache(maxsize=128)
def _strips(width: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The matrix (STRIPS, width) that adds up each strip's pixels, and the strips' widths (STRIPS, 1)."""
    widths = np.diff(width * np.arange(STRIPS + 1) // STRIPS)
    return np.eye(STRIPS, dtype=np.float32).repeat(widths, axis=1), widths[:, None]


def slope_shifts(slope: int) -> list[int]:
    """By how many rows a line that falls by ``slope`` over the picture lies lower in each strip than in the middle."""
    return [(slope * (2 * strip - STRIPS + 1) + STRIPS - 1) // (2 * STRIPS - 2) for strip in range(STRIPS)]


_STRIP = np.arange(STRIPS)[:, None]
_SHIFTS = np.array([slope_shifts(slope) for slope in SLOPES])[:, :, None]
_SHIFT = int(np.abs(_SHIFTS).max())


def _lines(covered: Mask) -> NDArray[np.intp]:
    """The lines of all slopes that are ``covered``, bool (STRIPS, rows), but for one strip: their rows (STRIPS, L)."""
    # First, whichever the slope: only where enough strips are covered nearby can a line lie.
    near = _greatest_rows(covered, _SHIFT)[:, MARGIN:-MARGIN]
    (middle,) = (near.sum(0, dtype=np.uint8) >= STRIPS - 1).nonzero()
    if not middle.size:
        return np.zeros((STRIPS, 0), np.intp)
    along = _SHIFTS + (middle + MARGIN)
    slope, line = (covered[_STRIP, along].sum(1, dtype=np.uint8) >= STRIPS - 1).nonzero()
    lines: NDArray[np.intp] = along[slope, :, line].T
    return lines


def _greatest_rows(table: NDArray[Any], reach: int) -> NDArray[Any]:
    """The greatest value of (STRIPS, rows) within ``reach`` rows; nothing is beyond the first and the last."""
    best = table.copy()
    for step in range(1, reach + 1):
        np.maximum(best[:, step:], table[:, :-step], out=best[:, step:])
        np.maximum(best[:, :-step], table[:, step:], out=best[:, :-step])
    return best


def without_rules(ink: Grey) -> Grey:
    """Rules erased but for where strokes cross them."""
    mask = ink >= VISIBLE
    gone = _erased(mask) | _erased(mask.T).T
    return np.where(gone, np.uint8(0), ink) if gone.any() else ink


def _erased(mask: Mask) -> Mask:
    """The nearly horizontal rules of a mask, less where strokes cross them."""
    rule = rules_in(mask)
    if not rule.any():
        return rule
    rest = mask & ~rule
    # A stroke that crosses comes out on a side: what is near it there stays.
    crossing = rest.copy()
    for step in (1, 2, 3):
        crossing[step:] |= rest[:-step]
        crossing[:-step] |= rest[step:]
    crossing[:, 1:] |= crossing[:, :-1].copy()
    crossing[:, :-1] |= crossing[:, 1:].copy()
    return rule & ~crossing


def without_specks(ink: Grey) -> Grey:
    """Specks removed: squares of up to three pixels with ink inside and paper all around, as dots of dotted lines."""
    largest = min(3, max(ink.shape) // LARGEST_SPECK)
    if not largest:
        return ink
    board = _board(*ink.shape, EDGE)
    corner = EDGE * (board.row + 1)  # so that squares may begin above and left of the picture
    inked, inside = board.pack(ink >= VISIBLE) << corner, board.inside << corner
    gone = 0
    for size in range(1, largest + 1):
        gone |= _specks(inked, inside, size, board.row)
    gone = gone >> corner & board.inside
    return np.where(board.unpack(gone), np.uint8(0), ink) if gone else ink


def _specks(inked: int, inside: int, size: int, row: int) -> int:
    """The squares of ``size`` with ink inside and none around, whose middle lies ``inside`` the picture.

    Masks are whole numbers with ``row`` bits a row. A square is known by the corner of the ring around it: shifted
    right by ``n``, a mask has in each corner's place what lies ``n`` bits further on.
    """
    last = size + 1
    lines = _any_of(inked, size + 2, 1)
    columns = _any_of(inked >> row, size, row)
    ring = lines | lines >> last * row | columns | columns >> last
    middle = (size // 2 + 1) * (row + 1)
    alone = _any_of(columns >> 1, size, 1) & ~ring & inside >> middle
    for _ in range(1, size):
        alone |= alone << 1
    for _ in range(1, size):
        alone |= alone << row
    return alone << row + 1


def _any_of(bits: int, count: int, step: int) -> int:
    """Whether any of ``count`` bits is set, each ``step`` further on, from each bit on."""
    found = bits
    for further in range(1, count):
        found |= bits >> further * step
    return found


def own_cells(mask: Mask) -> tuple[Mask, int, bool]:
    """The cells of the character itself, bool (h, w); pixels a cell; and whether it touches the picture's rim."""
    size = cell_of(max(mask.shape))
    cells = by_cells(mask, size)
    side = max(cells.shape)
    board, rings = _board(*cells.shape), _rings(*cells.shape)
    inked = board.pack(cells)
    reaching = board.flood(inked & rings.rim, inked)
    shallow = reaching & ~board.flood(reaching & ~rings.shallow, inked)
    if shallow.bit_count() * 100 <= SLIGHT * inked.bit_count():
        inked &= ~shallow
    parts = reaching & inked & ~board.flood(reaching & ~rings.deep, inked)
    # What lies close to the character may be a dot of it.
    parts &= ~board.flood(parts & board.grow(inked & ~parts, side * APART // 100), parts)
    rest = inked & ~parts
    if parts and not rest & rings.clear and rest.bit_count() * 100 >= KEPT * inked.bit_count():
        inked = rest
    return board.unpack(inked), size, bool(inked & rings.rim)


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


class Board:
    """Masks (height, width) as whole numbers, a bit a cell: regions grow by shifts of all cells at once."""

    def __init__(self, height: int, width: int, gap: int = 1) -> None:
        self.height, self.width = height, width
        self.row = width + gap  # empty columns keep one row's end from the next one's start
        self.inside = self.pack(np.ones((height, width), bool))

    def pack(self, mask: Mask) -> int:
        padded = np.zeros((self.height, self.row), bool)
        padded[:, : self.width] = mask
        return int.from_bytes(np.packbits(padded, bitorder="little").tobytes(), "little")

    def unpack(self, bits: int) -> Mask:
        size = self.height * self.row
        raw = np.frombuffer(bits.to_bytes(-(-size // 8), "little"), np.uint8)
        cells = np.unpackbits(raw, count=size, bitorder="little").view(bool)
        return cells.reshape(self.height, self.row)[:, : self.width]

    def grow(self, seed: int, steps: int) -> int:
        """``seed`` and everything within ``steps`` cells of it."""
        for _ in range(steps):
            wide = (seed | seed << 1 | seed >> 1) & self.inside
            seed = (wide | wide << self.row | wide >> self.row) & self.inside
        return seed

    def flood(self, seed: int, inside: int) -> int:
        """Everything of ``inside`` that touches ``seed``, corners too."""
        seed &= inside
        for _ in range(STEPS):
            wide = seed | seed << 1 | seed >> 1
            grown = (wide | wide << self.row | wide >> self.row) & inside
            if grown == seed:
                break
            seed = grown
        return seed


_board = lru_cache(maxsize=128)(Board)


class _Rings(NamedTuple):
    """What lies within so many cells of the edge, as whole numbers of a :class:`Board`."""

    rim: int
    shallow: int
    deep: int
    clear: int


@lru_cache(maxsize=128)
def _rings(height: int, width: int) -> _Rings:
    board, side = _board(height, width), max(height, width)
    depths = (1, 1 + side * SHALLOW // 100, side * DEEP // 100, 1 + side * CLEAR // 100)
    return _Rings(*(board.pack(ring(height, width, depth)) for depth in depths))
