"""The cells of a sheet, as quadrilaterals on its picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells in rows and columns on a picture.

    ``quads`` float64 (R, C, 4, 2): the corners of each cell as (x, y) in pixels, in the order top left, top right,
    bottom right, bottom left, at the inner edges of the rules. ``ruled`` is False where there are no rules.
    """

    quads: NDArray[np.float64]
    ruled: bool = True
