"""Regions grown on masks that are whole numbers."""

from __future__ import annotations

import numpy as np

from hanmo.bitboard import Board


def test_a_flood_stays_inside() -> None:
    inside = np.zeros((9, 12), bool)
    inside[2, 1:6] = inside[3, 6] = inside[7, 7:] = True
    board = Board(*inside.shape)
    bits = board.pack(inside)
    np.testing.assert_array_equal(board.unpack(bits), inside)
    seed = np.zeros_like(inside)
    seed[2, 1] = True
    reached = board.unpack(board.flood(board.pack(seed), bits))
    expected = inside.copy()
    expected[7] = False
    np.testing.assert_array_equal(reached, expected)
