"""Binary morphology on masks that are whole numbers, with one bit for each pixel (a bitboard, as in chess programs).

One shift of a Python integer moves all pixels of a mask at once. On masks of a hundred pixels a side this is faster
than numpy, which needs a call and a copy for every shifted slice.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

STEPS = 64
"""Most steps of one cell that :meth:`Board.flood` takes: longer than the way along any stroke that reaches the edge."""


class Board:
    """Masks of (height, width) cells as whole numbers; ``inside`` has all cells set.

    ``gap`` empty columns follow every row: a mask that grows by up to as many cells does not reach into the next row.
    """

    def __init__(self, height: int, width: int, gap: int = 1) -> None:
        self.height, self.width = height, width
        self.row = width + gap  # bits from a cell to the one below it
        self.inside = self.lattice(1)

    def lattice(self, step: int) -> int:
        """The mask of every ``step``-th cell of every ``step``-th row, from the first cell on."""
        # A geometric series has a bit set in equal distances; the product puts a row of such bits at every such bit.
        return _series(step, -(-self.width // step)) * _series(step * self.row, -(-self.height // step))

    def pack(self, mask: Mask) -> int:
        """A mask, bool (height, width), as a whole number: row after row, the first cell in the lowest bit."""
        padded = np.zeros((self.height, self.row), bool)
        padded[:, : self.width] = mask
        return int.from_bytes(np.packbits(padded, bitorder="little").tobytes(), "little")

    def at_least(self, levels: NDArray[np.uint8], *limits: int) -> list[int]:
        """For each limit, the mask of the cells whose level is as high; ``levels`` are uint8 (height, width).

        For several limits, which must be above 0, this is faster than :meth:`pack`.
        """
        padded = np.zeros((self.height, self.row), np.uint8)
        padded[:, : self.width] = levels
        masks = np.empty((len(limits), *padded.shape), bool)
        for mask, limit in zip(masks, limits, strict=True):
            np.greater_equal(padded, limit, out=mask)
        bits = int.from_bytes(np.packbits(masks, bitorder="little").tobytes(), "little")
        size = self.height * self.row
        return [bits >> size * number & self.inside for number in range(len(limits))]

    def unpack(self, bits: int) -> Mask:
        """The inverse of :meth:`pack`: bool (height, width)."""
        size = self.height * self.row
        raw = np.frombuffer(bits.to_bytes(-(-size // 8), "little"), np.uint8)
        cells = np.unpackbits(raw, count=size, bitorder="little").view(bool)
        return cells.reshape(self.height, self.row)[:, : self.width]

    def grow(self, seed: int, steps: int) -> int:
        """Binary dilation of ``seed`` by a square, ``steps`` cells to each side."""
        for _ in range(steps):
            # One cell left and right, then all that one row up and down: a square of 3 x 3. The mask is one number, so
            # each step is a single operation of Python.
            wide = (seed | seed << 1 | seed >> 1) & self.inside
            seed = (wide | wide << self.row | wide >> self.row) & self.inside
        return seed

    def flood(self, seed: int, inside: int) -> int:
        """Morphological reconstruction: the 8-connected parts of ``inside`` that touch ``seed``.

        Geodesic dilation until nothing changes, :data:`STEPS` steps at most (Vincent, "Morphological grayscale
        reconstruction in image analysis", 1993).
        """
        seed &= inside
        for _ in range(STEPS):
            wide = seed | seed << 1 | seed >> 1
            grown = (wide | wide << self.row | wide >> self.row) & inside
            if grown == seed:
                break
            seed = grown
        return seed


board_of = lru_cache(maxsize=8192)(Board)
"""A :class:`Board` of (height, width, gap), made once for each shape: a kilobyte each, and cropped samples have some
thousand shapes."""


def any_of(bits: int, count: int, step: int) -> int:
    """For each place, whether any of ``count`` bits from there on is set, ``step`` bits apart."""
    # Of 1, 2, 4, ... bits, each from two of the last round.
    seen = 1
    while seen < count:
        further = min(seen, count - seen)
        bits |= bits >> further * step
        seen += further
    return bits


def _series(step: int, count: int) -> int:
    """``count`` bits, ``step`` places apart, the first one in the lowest place."""
    return ((1 << step * count) - 1) // ((1 << step) - 1)
