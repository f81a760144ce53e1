"""Parts of other characters told from the character's own, on drawn pages."""

from __future__ import annotations

import numpy as np
import pytest

from drawn_page import SIDE, Floats, grey, page
from hanmo.ink import find_ink
from hanmo.normalize import Normalization

SQUARE = Normalization(side=48)


def apart(levels: Floats, clean: Floats) -> float:
    """The ink that differs from the clean page's square, as a share of its ink."""
    expected = SQUARE(grey(clean)).astype(int)
    return float(np.abs(SQUARE(grey(levels)).astype(int) - expected).sum() / expected.sum())


def beside(levels: Floats, other: str, gap: int, sides: str) -> Floats:
    """The page with another character reaching in from sides ``l r u d``, so many pixels from the first one's box."""
    reach = round(0.15 * SIDE) - gap
    rim, ink = levels.copy(), page(other)
    first = round(0.85 * SIDE)
    if "l" in sides:
        rim[:, :reach] = np.minimum(rim[:, :reach], ink[:, first - reach : first])
    if "r" in sides:
        rim[:, -reach:] = np.minimum(rim[:, -reach:], ink[:, SIDE - first : SIDE - first + reach])
    if "u" in sides:
        rim[:reach] = np.minimum(rim[:reach], ink[first - reach : first])
    if "d" in sides:
        rim[-reach:] = np.minimum(rim[-reach:], ink[SIDE - first : SIDE - first + reach])
    return rim


@pytest.mark.parametrize("character", "永切国州")
def test_neighbours_at_the_rim_are_dropped(character: str) -> None:
    clean = page(character)
    spoilt = clean.copy()
    spoilt[30:50, :4] = 40
    spoilt[-4:, 40:56] = 30
    assert apart(spoilt, clean) < 0.02


@pytest.mark.parametrize("character", "永切国州")
@pytest.mark.parametrize("sides", ["l", "ru", "lrd"])
@pytest.mark.parametrize("gap", [3, 6])
def test_characters_next_to_it_are_dropped(character: str, sides: str, gap: int) -> None:
    clean = page(character)
    spoilt = beside(clean, "墨", gap, sides)
    assert (spoilt < clean).sum() > 10
    assert apart(spoilt, clean) < 0.02


@pytest.mark.parametrize("character", "心三小六川立主")
@pytest.mark.parametrize("contrast", [205, 60])
def test_a_character_cut_close_keeps_what_touches_the_rim(character: str, contrast: int) -> None:
    clean = page(character, 235, 235 - contrast)
    rows, columns = (np.flatnonzero((clean < 235 - 0.4 * contrast).any(axis)) for axis in (1, 0))
    close = clean[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert find_ink(grey(close)).ink.shape == close.shape
    assert apart(close, clean) < 0.1


def test_what_is_left_must_be_a_character() -> None:
    """A dot between strokes that reach in is none of theirs, but no character either: everything stays."""
    clean = np.full((SIDE, SIDE), 235.0)
    clean[:16, 20:70] = clean[-16:, 20:70] = clean[44:50, 44:50] = 30
    assert find_ink(grey(clean)).remark == "touching the edge"
