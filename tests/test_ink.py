"""The character found on drawn pictures, large ones too, and remarks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hanmo.ink import find_ink, reduced
from hanmo.medians import load_medians
from hanmo.normalize import Normalization
from hanmo.paper import SIDE
from hanmo.strokes import draw

Grey = NDArray[np.uint8]
SQUARE = Normalization(side=48)


def drawn(character: str) -> Grey:
    return draw(list(load_medians().of(character)))


@pytest.mark.parametrize("character", "永切国小心州")
@pytest.mark.parametrize("place", [(300, 500), (700, 100), (20, 900)])
def test_a_small_character_on_a_large_picture_is_found(character: str, place: tuple[int, int]) -> None:
    picture = np.full((1000, 1200), 255, np.uint8)
    glyph = drawn(character)
    picture[place[0] : place[0] + glyph.shape[0], place[1] : place[1] + glyph.shape[1]] = glyph
    expected = SQUARE(glyph).astype(int)
    assert np.abs(SQUARE(picture) - expected).sum() < 0.5 * expected.sum()
    assert max(find_ink(picture).ink.shape) > 0.45 * SIDE  # seen closely, not at a twelfth


def test_pictures_are_reduced_by_averaging() -> None:
    small = np.zeros((SIDE, 40), np.uint8)
    assert reduced(small) is small
    assert reduced(np.full((300, 960), 7, np.uint8)).shape == (30, SIDE)
    assert reduced(np.full((1, 4000), 7, np.uint8)).shape == (1, SIDE)


def test_what_a_program_cut_out_is_taken_as_it_is() -> None:
    """Specks on even paper that is cut close belong to the character; noise on the paper makes them specks again."""
    glyph = drawn("心")[::3, ::3]
    rows, columns = (np.flatnonzero((glyph < 128).any(axis)) for axis in (1, 0))
    close = glyph[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    height, width = close.shape
    free = ((y, x) for y in range(3, height - 3) for x in range(3, width - 3))
    y, x = next((y, x) for y, x in free if (close[y - 3 : y + 4, x - 3 : x + 4] == 255).all())
    close[y, x] = 0
    assert find_ink(close).ink[y, x] == 1
    assert find_ink(close).remark == "touching the edge"
    noisy = close - np.random.default_rng(0).integers(0, 4, close.shape).astype(np.uint8) * (close > 3)
    assert find_ink(noisy).ink[y, x] == 0


def test_ink_is_cut_to_the_character() -> None:
    found = find_ink(np.pad(drawn("永")[::2, ::2], 9, constant_values=255))
    assert found.ink.dtype == np.float32
    assert found.ink.max() == 1
    assert found.ink.min() == 0
    for edge in (found.ink[0], found.ink[-1], found.ink[:, 0], found.ink[:, -1]):
        assert edge.max() >= 0.3
    assert found.remark is None


def test_remarks() -> None:
    one, other = drawn("永"), drawn("国")
    rows = min(len(one), len(other))
    gap = np.full((rows, 30), 255, np.uint8)
    both = np.pad(np.hstack([one[:rows], gap, other[:rows]]), 20, constant_values=255)
    assert SQUARE.inspect(both).remark == "several characters"
    assert SQUARE.inspect(both.T).remark == "several characters"
    assert SQUARE.inspect(np.pad(drawn("川"), 20, constant_values=255)).remark is None
    cut = drawn("国")[:, 30:]
    assert SQUARE.inspect(cut).remark == "touching the edge"
    assert Normalization(side=48, version=1).inspect(cut).remark is None
