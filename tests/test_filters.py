"""Rank and smoothing filters, beside numpy's own way where it has one."""

from __future__ import annotations

import numpy as np

from hanmo import filters, paper


def test_filters_on_small_pictures() -> None:
    """The torch and the JavaScript reader repeat these numbers; they are small enough to be worked out by hand."""
    row = np.array([[1, 5, 2, 0, 0, 0, 9]], np.uint8)
    assert filters.maximum_filter(row, 1).tolist() == [[5, 5, 5, 2, 0, 9, 9]]
    assert filters.minimum_filter(row, 1).tolist() == [[1, 1, 0, 0, 0, 0, 0]]
    assert filters.smoothed(np.full((4, 5), 77, np.uint8), 4).tolist() == [[77] * 5] * 4


def test_dense_impulses_get_a_median_filter() -> None:
    levels = np.random.default_rng(3).integers(0, 256, (20, 31)).astype(np.uint8)  # impulses everywhere
    edged = np.pad(levels, 1, "edge")
    nine = np.stack([edged[y : y + 20, x : x + 31] for y in range(3) for x in range(3)])
    np.testing.assert_array_equal(paper.without_impulses(levels), np.median(nine, 0))
