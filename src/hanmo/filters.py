"""Small rank and smoothing filters of grey pictures, (H, W) uint8, in numpy.

SciPy's ndimage has all of them, but the core install does without SciPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Grey = NDArray[np.uint8]


def maximum_filter(grey: Grey, reach: int) -> Grey:
    """Maximum filter (grey dilation) of (H, W) by a square of ``2 * reach + 1`` pixels; 0 outside the picture."""
    height, width = grey.shape
    edged = np.zeros((height + 2 * reach, width + 2 * reach), np.uint8)
    edged[reach : reach + height, reach : reach + width] = grey
    span = 2 * reach + 1
    return _maximum_of_rows(_maximum_of_rows(edged, span).T, span).T


def minimum_filter(grey: Grey, reach: int) -> Grey:
    """Minimum filter (grey erosion) of (H, W) by a square of ``2 * reach + 1`` pixels; 255 outside the picture."""
    return ~maximum_filter(~grey, reach)


def _maximum_of_rows(grey: Grey, span: int) -> Grey:
    """The maximum of every ``span`` successive rows, (H - span + 1, W)."""
    # Maxima of 1, 2, 4, ... rows, each from two of the last step: log2(span) operations instead of span.
    seen = 1
    while seen < span:
        step = min(seen, span - seen)
        grey = np.maximum(grey[:-step], grey[step:])
        seen += step
    return grey


def smoothed(grey: Grey, passes: int) -> Grey:
    """Binomial filter, applied ``passes`` times: weights 1 2 1 by rows and by columns, rounded to the nearest level."""
    for _ in range(passes):
        x = padded(grey, np.uint16)
        for _ in range(2):  # 1 2 1 is the filter 1 1, applied twice
            x = x[:-1] + x[1:]
        for _ in range(2):
            x = x[:, :-1] + x[:, 1:]
        x += 8  # half of the 16 that the weights add up to
        x >>= 4
        grey = x.astype(np.uint8)
    return grey


def median_filter(edged: Grey) -> Grey:
    """3 x 3 median filter of a padded picture (H + 2, W + 2); returns (H, W).

    With the three rows of a window sorted, the median of its nine pixels is the median of three: the greatest of the
    rows' minima, the median of their medians, and the least of their maxima. So a few operations on whole arrays do.
    """
    # Paeth, "Median finding on a 3 x 3 grid", Graphics Gems, 1990.
    low, middle, high = _sort(edged[:, :-2], edged[:, 1:-1], edged[:, 2:])
    lowest, medians, highest = (_sort(x[:-2], x[1:-1], x[2:]) for x in (low, middle, high))
    return _sort(lowest[2], medians[1], highest[0])[1]


def _sort(a: Grey, b: Grey, c: Grey) -> tuple[Grey, Grey, Grey]:
    """The minimum, the median and the maximum of three arrays, pixel by pixel."""
    least, most = np.minimum(a, b), np.maximum(a, b)
    return np.minimum(least, c), np.maximum(least, np.minimum(most, c)), np.maximum(most, c)


def padded(grey: Grey, dtype: DTypeLike) -> NDArray[Any]:
    """(H + 2, W + 2): the picture with its edge pixels repeated once on all sides. ``np.pad`` does it much slower."""
    edged = np.empty((grey.shape[0] + 2, grey.shape[1] + 2), dtype)
    edged[1:-1, 1:-1] = grey
    edged[0, 1:-1], edged[-1, 1:-1] = grey[0], grey[-1]
    edged[:, 0], edged[:, -1] = edged[:, 1], edged[:, -2]
    return edged
