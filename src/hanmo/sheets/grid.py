"""A grid of cells on a photographed sheet, as :func:`hanmo.sheets.find.find_grids` returns it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """Cells in rows and columns.

    ``quads``, float64 (R, C, 4, 2): the corners of each cell as (x, y) in pixels of the picture, in the order top left,
    top right, bottom right, bottom left, on the inner edges of the rules. ``ruled``: whether printed rules surround
    the cells; False where the cells were found by the ink between blank rows and columns.
    """

    quads: Points
    ruled: bool = True

    @property
    def rows(self) -> int:
        """The number of rows of cells."""
        return int(self.quads.shape[0])

    @property
    def columns(self) -> int:
        """The number of columns of cells."""
        return int(self.quads.shape[1])
