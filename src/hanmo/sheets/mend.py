"""Places of vertical rules, put in where a rule was not found and put right where a stroke stood for one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def filled(left: Values, right: Values, r: int) -> Values:
    """The middles of the vertical rules of row ``r``, with those that are missing put in at regular distances."""
    x: Values = (left[r] + right[r]) / 2
    known = np.flatnonzero(~np.isnan(x))
    if len(known) == len(x):
        return x
    width = (x[known[-1]] - x[known[0]]) / (known[-1] - known[0])
    places = np.arange(len(x))
    straight = x[known[0]] + (places - known[0]) * width
    whole: Values = straight + np.interp(places, known, x[known] - straight[known])
    return whole


def mended(x: Values, y: Values, width: float) -> Values:
    """The places ``x`` of a vertical rule at the heights ``y``, (R,), without outliers and gaps; NaN if unknown."""
    known = np.flatnonzero(~np.isnan(x))
    if len(known) < 2:
        return np.full_like(x, x[known[0]]) if len(known) else x
    degree = min(2, len(known) - 1)
    weight = np.ones(len(known))
    at = (y - y.mean()) / max(float(np.ptp(y)), 1)
    for _ in range(4):
        curve = np.polyval(np.polyfit(at[known], x[known], degree, w=weight), at)
        miss = np.abs(x[known] - curve[known])
        weight = 1 / (1 + (miss / (0.04 * width)) ** 2)
    good = known[miss < 0.12 * width]
    if len(good) == 0:
        return curve
    # What the curve leaves, such as the bend of the sheet, is interpolated between the rows where the rule is known.
    return curve + np.interp(np.arange(len(x)), good, x[good] - curve[good])
