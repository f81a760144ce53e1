"""Grids of cells on a photographed sheet.

The steps of :func:`find_grids`:

1. Light and colour are divided out (:mod:`hanmo.sheets.light`) on a reduced picture.
2. Turn and perspective are removed (:mod:`hanmo.sheets.straighten`).
3. Rules are traced (:mod:`hanmo.sheets.rules`), and rows of boxes are sought between them (:mod:`hanmo.sheets.rows`).
4. Rows with the same columns become a lattice (:mod:`hanmo.sheets.lattice`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hanmo.errors import SheetError
from hanmo.sheets.grid import Grid
from hanmo.sheets.lattice import Lattice, find_lattices
from hanmo.sheets.light import darkness, reduced
from hanmo.sheets.rows import Evidence, evidence_of, find_rows
from hanmo.sheets.straighten import plane_view


def find_grids(image: NDArray[np.uint8]) -> list[Grid]:
    """The grids of cells on the picture of a sheet, uint8 (H, W) grey or (H, W, 3) RGB, in reading order.

    The sheet may be turned by up to 45 degrees, seen in perspective, bent, or lie beside another one. Rows and columns
    are those of the picture: a sheet turned by a quarter has its rows as columns.

    Raises :class:`hanmo.errors.SheetError` where there is no grid.
    """
    small, scale = reduced(image)
    dark = darkness(small)
    view = plane_view(dark)
    evidence = evidence_of(view.show(dark))
    lattices = _lattices(evidence)
    if not lattices:
        raise SheetError("no grid of boxes was found on the picture; take the whole sheet, sharp and from above")
    grids = []
    for quads in lattices:
        corners = view.to_picture(quads)
        grids.append(Grid((corners + 0.5) / scale - 0.5))
    return grids


def _lattices(evidence: Evidence) -> list[NDArray[np.float64]]:
    """The cells of each lattice of a plane view, (R, C, 4, 2), found by rows or by columns of boxes."""
    by_rows = find_lattices(find_rows(evidence), evidence.down_marks)
    turned = evidence.transposed
    by_columns = find_lattices(find_rows(turned), turned.down_marks)
    if _boxes(by_columns) > 1.05 * _boxes(by_rows):
        return [_transposed(lattice.quads) for lattice in by_columns]
    return [lattice.quads for lattice in by_rows]


def _boxes(lattices: list[Lattice]) -> int:
    """The number of boxes of all lattices."""
    return sum(lattice.quality.size for lattice in lattices)


def _transposed(quads: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cells (C, R, 4, 2) of a transposed picture as cells (R, C, 4, 2) of the picture."""
    return quads.transpose(1, 0, 2, 3)[:, :, [0, 3, 2, 1], ::-1]
