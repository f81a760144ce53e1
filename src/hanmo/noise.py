"""The noise of a picture, estimated from the differences between neighbouring pixels (:func:`noise_of`)."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]


def noise_of(grey: Grey) -> int:
    """Estimate the standard deviation of white noise in a picture (H, W), in 1/64 grey levels.

    Of the absolute differences of two independent normal numbers, 35 % are below 0.642 deviations. So the 35 % quantile
    of the differences between neighbouring pixels, divided by 0.642, is the deviation. A low quantile is used because
    edges of strokes add large differences, which do not move it much.
    """
    height, width = grey.shape
    total = 2 * height * width - height - width
    wanted = total * 35 // 100
    enough = max(1, 2 * wanted)
    level, before, upto = 0, 0, _equal_neighbours(grey, enough)
    if upto >= enough:  # on most clean scans; the quantile then lies in the lower half of level 0
        return 0
    if upto <= wanted:
        level, before, upto = _level_of(grey, wanted)
    if level == 256:  # a picture of one pixel has no differences
        return 0
    # Interpolated within the level; less half a level, since a level stands for the range half a level around it.
    sixtyfourths = 64 * level + 64 * (wanted - before) // (upto - before) - 32
    return int(max(sixtyfourths, 0) * 156 // 100)  # 1 / 0.642


def _equal_neighbours(grey: Grey, enough: int) -> int:
    """How many pairs of neighbouring pixels are equal, beside each other or one above the other; or ``enough``.

    On a clean scan, most are: its noise is known from this count alone.
    """
    line, (height, width) = grey.reshape(-1), grey.shape
    equal = int(np.count_nonzero(line[1:] == line[:-1]) + np.count_nonzero(line[width:] == line[:-width]))
    if equal - (height - 1) >= enough:
        return enough
    # The end of a row and the beginning of the next one are no neighbours.
    return equal - int(np.count_nonzero(grey[1:, 0] == grey[:-1, -1]))


def _level_of(grey: Grey, wanted: int) -> tuple[int, int, int]:
    """The least level for which more than ``wanted`` of the differences between neighbours are at most that large.

    Returns it (256 if there is none) with the number of differences below it, and of those up to it.
    """
    height, width = grey.shape
    apart = np.empty(2 * height * width - height - width, np.uint8)
    split = (height - 1) * width
    _differences(grey[1:], grey[:-1], apart[:split])
    _differences(grey[:, 1:], grey[:, :-1], apart[split:])

    def upto(level: int) -> int:
        return int(np.count_nonzero(apart <= level))

    # Bisection: counting at eight levels is faster than a histogram of all.
    level = bisect_right(range(256), wanted, key=upto)
    return level, upto(level - 1) if level else 0, upto(level)


def _differences(one: Grey, other: Grey, out: Grey) -> None:
    """Write the absolute differences of two pictures of unsigned bytes into the flat array ``out``."""
    np.subtract(np.maximum(one, other), np.minimum(one, other), out=out.reshape(one.shape))
