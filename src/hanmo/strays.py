"""What is on a picture beside the character, and goes: lighter print, rules, parts of other characters, specks.

All of it works on the ink of :func:`hanmo.paper.ink_of`, (H, W) uint8, at most :data:`hanmo.paper.SIDE` pixels a side.
"""

from __future__ import annotations

from typing import Any

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
    edges = width * np.arange(STRIPS + 1) // STRIPS
    widths = np.diff(edges)
    sums = np.zeros((height, width + 1), np.int32)
    np.cumsum(mask, axis=1, out=sums[:, 1:])
    inked = np.pad(sums[:, edges[1:]] - sums[:, edges[:-1]], ((MARGIN, MARGIN), (0, 0)))  # pixels a row and strip
    band = greatest_rows(inked, 1)
    above = np.zeros((len(inked) + 1, STRIPS), np.int32)
    np.cumsum(inked, axis=0, out=above[1:])
    around = np.pad(above[9:] - above[:-9], ((4, 4), (0, 0)))
    covered = band * 100 >= COVERED * widths
    thin = around * 1000 <= THICK * max(height, width) * widths
    row, strip = np.arange(height)[:, None] + MARGIN, np.arange(STRIPS)
    found = np.zeros((len(inked), STRIPS), bool)
    for slope in SLOPES:
        shift = np.array(slope_shifts(slope))
        along = row + shift
        is_rule = (covered[along, strip].sum(1) >= STRIPS - 1) & (thin[along, strip].sum(1) >= STRIPS // 2 + 1)
        is_rule &= band[along, strip].sum(1) * 100 >= WHOLE * width
        for line in is_rule.nonzero()[0]:
            found[along[line], strip] = True
    rule: Mask = np.repeat(greatest_rows(found[MARGIN:-MARGIN].view(np.uint8), 1).view(bool), widths, axis=1)
    return rule


def slope_shifts(slope: int) -> list[int]:
    """By how many rows a line that falls by ``slope`` over the picture lies lower in each strip than in the middle."""
    return [(slope * (2 * strip - STRIPS + 1) + STRIPS - 1) // (2 * STRIPS - 2) for strip in range(STRIPS)]


def greatest_rows(table: NDArray[Any], reach: int) -> NDArray[Any]:
    """The greatest value within ``reach`` rows."""
    padded = np.pad(table, ((reach, reach), (0, 0)))
    best: NDArray[Any] = np.max([padded[i : i + len(table)] for i in range(2 * reach + 1)], axis=0)
    return best


def without_rules(ink: Grey) -> Grey:
    """Rules erased but for where strokes cross them."""
    mask = ink >= VISIBLE
    gone = np.zeros_like(mask)
    for turned in (False, True):
        m = mask.T if turned else mask
        rule = rules_in(m)
        if rule.any():
            rest = m & ~rule
            # A stroke that crosses comes out on a side: what is near it there stays.
            crossing = rest.copy()
            for step in (1, 2, 3):
                crossing[step:] |= rest[:-step]
                crossing[:-step] |= rest[step:]
            crossing[:, 1:] |= crossing[:, :-1].copy()
            crossing[:, :-1] |= crossing[:, 1:].copy()
            erased = rule & ~crossing
            gone |= erased.T if turned else erased
    return np.where(gone, np.uint8(0), ink) if gone.any() else ink


def without_specks(ink: Grey) -> Grey:
    """Specks removed: squares of up to three pixels with ink inside and paper all around, as dots of dotted lines."""
    height, width = ink.shape
    sums = np.zeros((height + 2 * EDGE + 1, width + 2 * EDGE + 1), np.int32)
    inner = sums[EDGE + 1 : -EDGE, EDGE + 1 : -EDGE]
    inner[...] = ink >= VISIBLE
    sums = sums.cumsum(0).cumsum(1)

    def inked(size: int) -> NDArray[np.int32]:
        """Pixels with ink in the square of ``size`` whose corner lies ``size // 2`` above and left of each pixel."""
        first = EDGE - size // 2
        rows, columns = slice(first, first + height), slice(first, first + width)
        down, right = slice(first + size, first + size + height), slice(first + size, first + size + width)
        found: NDArray[np.int32] = sums[down, right] - sums[rows, right] - sums[down, columns] + sums[rows, columns]
        return found

    gone = np.zeros((height, width), bool)
    largest = max(height, width) // LARGEST_SPECK
    for size in range(1, 4):
        if size > largest:
            break
        inside = inked(size)
        alone = (inside > 0) & (inked(size + 2) == inside)
        padded = np.pad(alone, size)
        first = size + size // 2 - size + 1
        for down in range(size):
            for right in range(size):
                gone |= padded[first + down : first + down + height, first + right : first + right + width]
    return np.where(gone, np.uint8(0), ink) if gone.any() else ink


def own_cells(mask: Mask) -> tuple[Mask, int, bool]:
    """The cells of the character itself, bool (h, w); pixels a cell; and whether it touches the picture's rim."""
    size = cell_of(max(mask.shape))
    cells = by_cells(mask, size)
    height, width = cells.shape
    side = max(height, width)
    board = Board(height, width)
    inked = board.pack(cells)
    rim = board.pack(ring(height, width, 1))
    reaching = board.flood(inked & rim, inked)
    shallow = reaching & ~board.flood(reaching & board.pack(~ring(height, width, 1 + side * SHALLOW // 100)), inked)
    if shallow.bit_count() * 100 <= SLIGHT * inked.bit_count():
        inked &= ~shallow
    deep = board.pack(~ring(height, width, side * DEEP // 100))
    parts = reaching & inked & ~board.flood(reaching & deep, inked)
    # What lies close to the character may be a dot of it.
    parts &= ~board.flood(parts & board.grow(inked & ~parts, side * APART // 100), parts)
    rest = inked & ~parts
    near = board.pack(ring(height, width, 1 + side * CLEAR // 100))
    if parts and not rest & near and rest.bit_count() * 100 >= KEPT * inked.bit_count():
        inked = rest
    return board.unpack(inked), size, bool(inked & rim)


def cell_of(longer: int) -> int:
    """Pixels a cell, of a picture with so many on its longer side."""
    return 1 if longer <= 60 else 2


def by_cells(mask: Mask, size: int) -> Mask:
    """Whether any pixel of each cell of ``size`` pixels a side is set."""
    if size == 1:
        return mask
    height, width = mask.shape
    padded = np.pad(mask, ((0, -height % size), (0, -width % size)))
    found: Mask = padded[::2, ::2] | padded[1::2, ::2] | padded[::2, 1::2] | padded[1::2, 1::2]
    return found


def ring(height: int, width: int, depth: int) -> Mask:
    """True within ``depth`` cells of the edge."""
    ring = np.ones((height, width), bool)
    ring[depth : height - depth, depth : width - depth] = False
    return ring


class Board:
    """Masks (height, width) as whole numbers, a bit a cell: regions grow by shifts of all cells at once."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.row = width + 1  # an empty column keeps one row's end from the next one's start
        self.inside = self.pack(np.ones((height, width), bool))

    def pack(self, mask: Mask) -> int:
        padded = np.zeros((self.height, self.row), bool)
        padded[:, : self.width] = mask
        return int.from_bytes(np.packbits(padded, bitorder="little").tobytes(), "little")

    def unpack(self, bits: int) -> Mask:
        size = self.height * self.row
        raw = np.frombuffer(bits.to_bytes(-(-size // 8), "little"), np.uint8)
        return np.unpackbits(raw, count=size, bitorder="little").view(bool).reshape(self.height, self.row)[:, :-1]

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
