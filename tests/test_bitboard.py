"""Regions grown on masks that are whole numbers."""

from __future__ import annotations

import numpy as np

from hanmo.bitboard import Board, any_of


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


def test_lattices_are_every_nth_cell_of_every_nth_row() -> None:
    for height, width, gap, step in ((7, 10, 1, 1), (7, 10, 2, 3), (9, 4, 3, 5), (1, 1, 0, 2)):
        expected = np.zeros((height, width), bool)
        expected[::step, ::step] = True
        board = Board(height, width, gap)
        assert board.lattice(step) == board.pack(expected)


def test_masks_of_several_limits_are_those_of_each() -> None:
    levels = np.random.default_rng(2).integers(0, 256, (13, 9), np.uint8)
    board = Board(13, 9, 3)
    assert board.at_least(levels, 1, 128, 255) == [board.pack(levels >= limit) for limit in (1, 128, 255)]


def test_any_of_looks_at_so_many_bits() -> None:
    bits = 1 << 30
    for count in range(1, 8):
        assert any_of(bits, count, 3) == sum(1 << 30 - 3 * step for step in range(count))
