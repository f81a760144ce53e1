"""Dark grounds are told by ranks of the pixels, also where a quicker test decides first."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from hanmo.polarity import ink_dark

Grey = NDArray[np.uint8]


def has_dark_ground(grey: Grey) -> bool:
    """As the docstring of :func:`ink_dark` has it, by sorting all pixels."""
    pixels, specks = np.sort(grey, axis=None), min(grey.size // 1000, 4 + grey.size // 10_000)
    darkest, brightest = int(pixels[specks]), int(pixels[-1 - specks])
    if darkest >= brightest:
        return False

    def place(tone: float) -> float:
        return (tone - darkest) / (brightest - darkest)

    depth = min(round(0.06 * min(grey.shape)), *((length - 1) // 2 for length in grey.shape))
    inside = grey[depth : grey.shape[0] - depth, depth : grey.shape[1] - depth]
    low = int(pixels[math.ceil(0.3 * grey.size) - 1])
    return place(border_of(grey)) < 0.25 and min(place(border_of(inside)), place(low)) < 0.4


def border_of(grey: Grey) -> float:
    return float(np.median(np.concatenate((grey[0], grey[-1], grey[:, 0], grey[:, -1]))))


@pytest.mark.parametrize("seed", range(8))
def test_the_ground_is_dark_where_the_ranks_say_so(seed: int) -> None:
    rng = np.random.default_rng(seed)
    turned = 0
    for _ in range(250):
        shape = rng.integers(1, rng.choice([6, 30, 100]), 2)
        low, high = sorted(rng.integers(0, 256, 2))
        grey = np.full(shape, rng.choice([low, high]), np.uint8)
        ink = rng.random(shape) < rng.choice([0, 0.001, 0.01, 0.1, 0.3, 0.5])
        grey[ink] = rng.integers(low, high + 1, np.count_nonzero(ink))
        if rng.random() < 0.3:  # a border of another tone
            depth = min(shape) // 8
            grey[:depth] = grey[:, :depth] = rng.integers(0, 256)
        if rng.random() < 0.3:
            grey = np.clip(grey + rng.normal(0, 10, shape), 0, 255).astype(np.uint8)
        dark = has_dark_ground(grey)
        np.testing.assert_array_equal(ink_dark(grey), 255 - grey if dark else grey)
        turned += dark
    assert 20 < turned < 200, "both kinds of ground must be there"
