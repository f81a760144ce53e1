"""Whether the ink of a picture is dark on bright paper, or bright on a dark ground."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Grey = NDArray[np.uint8]


def ink_dark(grey: Grey) -> Grey:
    """Invert a picture (H, W), uint8, with bright ink on a dark ground; the tone of the border is taken for the paper.

    A printed frame or a shadow makes a border dark, too. So a picture is inverted only where its border is near the
    dark end of the picture's range, and a ring further inside, or 30 % of all pixels, are dark as well.
    """
    specks = min(grey.size // 1000, 4 + grey.size // 10_000)  # so many stray pixels do not set the range
    border = _median_of_ring(grey, 0)
    # With so much of it this dark, the border is far enough from the dark end, whatever the bright end is. Nearly all
    # pictures are decided here, and quicker than by a histogram.
    dark = math.floor((border - 255 * _DARK_BORDER) / (1 - _DARK_BORDER))
    if np.count_nonzero(grey <= dark) > specks:
        return grey
    counts = np.cumsum(Image.fromarray(grey).histogram())
    ranks = (specks + 1, grey.size - specks, 0.3 * grey.size)
    darkest, brightest, low = (int(level) for level in np.searchsorted(counts, ranks))

    if darkest >= brightest:  # one tone: blank, whichever it is
        return grey

    def place(tone: float) -> float:
        """0 at the dark end of the picture's range, 1 at the bright one."""
        return (tone - darkest) / (brightest - darkest)

    if place(border) >= _DARK_BORDER:
        return grey
    inside = _median_of_ring(grey, round(_FRAME * min(grey.shape)))
    return 255 - grey if min(place(inside), place(low)) < _DARK_INSIDE else grey


_DARK_BORDER, _DARK_INSIDE = 0.25, 0.4
"""Places in a picture's range, 0 the darkest, 1 the brightest: a dark ground has a border below the first and an inside
below the second."""
_FRAME = 0.06
"""Depth of the inner ring in parts of the shorter side: further inside than a printed frame."""


def _median_of_ring(grey: Grey, depth: int) -> float:
    height, width = grey.shape
    depth = min(depth, (height - 1) // 2, (width - 1) // 2)
    grey = grey[depth : height - depth, depth : width - depth]
    ring = np.sort(np.concatenate((grey[0], grey[-1], grey[:, 0], grey[:, -1])))
    return (int(ring[(ring.size - 1) // 2]) + int(ring[ring.size // 2])) / 2
