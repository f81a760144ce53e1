"""Heavy lines become slim where they were, light ones stay."""

from __future__ import annotations

import numpy as np

from hanmo.synth.fonts.slim import line_width, slim


def bar(width: int) -> np.ndarray:
    """A cross of bars, each ``width`` pixels wide."""
    picture = np.zeros((1, 64, 64), np.uint8)
    low, high = 32 - width // 2, 32 - width // 2 + width
    picture[0, low:high, 6:58] = 255
    picture[0, 6:58, low:high] = 255
    return picture


def test_widths_are_measured() -> None:
    for width in (3, 5, 9):
        assert abs(line_width(bar(width)) - width) < 0.35 * width


def test_heavy_lines_become_slim_where_they_were() -> None:
    thin = slim(bar(11), 3.0)
    across = (thin[0, 12:24] > 127).sum(1)  # of the upper half of the upright bar
    assert 1 <= across.min() <= across.max() <= 5
    assert (thin[0, 12:24] > 127).any(1).all()
    middle = (thin[0, 18].astype(float) * np.arange(64)).sum() / thin[0, 18].sum()
    assert abs(middle - 31.5) < 1.5
    assert not thin[bar(11) == 0].any()


def test_light_lines_stay_as_they_are() -> None:
    assert np.array_equal(slim(bar(3), 5.0), bar(3))
