"""Masks as whole numbers, a bit a cell: regions grow by shifts of all cells at once, which numpy is slower at."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

STEPS = 64
"""How often regions are grown by one cell: more than a stroke needs to come back from the rim."""


class Board:
    """Masks of (height, width) cells as whole numbers; ``inside`` has all cells set.

    ``gap`` empty columns follow every row, so that what grows by at most as many cells does not enter the next row.
    """

    def __init__(self, height: int, width: int, gap: int = 1) -> None:
        self.height, self.width = height, width
        self.row = width + gap  # empty columns keep one row's end from the next one's start
        self.inside = self.pack(np.ones((height, width), bool))

    def pack(self, mask: Mask) -> int:
        """A mask, bool (height, width), as a whole number: row by row, the first cell in the lowest bit."""
        padded = np.zeros((self.height, self.row), bool)
        padded[:, : self.width] = mask
        return int.from_bytes(np.packbits(padded, bitorder="little").tobytes(), "little")

    def unpack(self, bits: int) -> Mask:
        """The mask that :meth:`pack` made the number of."""
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


board_of = lru_cache(maxsize=128)(Board)
