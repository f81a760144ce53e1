"""Grids of cells on a photographed sheet.

The steps of :func:`find_grids`:

1. Light and colour are divided out (:mod:`hanmo.sheets.light`) on a reduced picture.
2. Turn and perspective are removed (:mod:`hanmo.sheets.straighten`).
3. Rules are traced (:mod:`hanmo.sheets.rules`), and rows of boxes are sought between them (:mod:`hanmo.sheets.rows`).
4. Rows with the same columns become a lattice (:mod:`hanmo.sheets.lattice`), which then grows to the rows and columns
   that were missed, and moves to the rules (:mod:`hanmo.sheets.grow`).
5. Without rules, rows of separate characters are sought by projections of the ink (:mod:`hanmo.sheets.free`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hanmo.errors import SheetError
from hanmo.sheets.free import free_rows, without_rules
from hanmo.sheets.grid import Grid
from hanmo.sheets.grow import whole
from hanmo.sheets.lattice import find_lattices
from hanmo.sheets.light import Dark, darkness, reduced
from hanmo.sheets.order import order_of_grids
from hanmo.sheets.rows import Evidence, evidence_of, find_rows
from hanmo.sheets.rules import find_rules
from hanmo.sheets.sides import areas, merit, sides, tones, transposed
from hanmo.sheets.straighten import plane_view

Cells = NDArray[np.float64]

TINY = 0.015
"""Share of the largest lattice's area below which another one is an ornament, such as a row of stars."""

EDGE = 16
"""Pixels of paper that are added around the reduced picture; rules are sought by what is beside them."""

MOST_CELLS = 1_500
"""A sheet of more boxes would be read for minutes; composition paper has up to 600."""

SMALLEST = 60
"""Fewest pixels of the longer side of a picture: two cells of the smallest readable size and their rules."""

LINED, LINES = 0.4, 3
"""Share of the width that rules must span, and their number, for a page of a notebook with lines."""

RULED, SURE = 0.9, 0.55
"""Share of all four sides of a box that must be marked for it to be surely one, and share of such boxes in a lattice.
In lines of printed text that look like lattices half of the boxes have such sides; in grids that are faint, blurred and
written all over, nine of ten."""

UNEVEN, MOSTLY = 0.3, 0.93
"""Rules beside which much is written have gaps. They count if all sides together are marked to such a share and equally
dark, up to this deviation from their mean; strokes of text deviate by more than a third of it."""

FAINT = 0.3
"""How clear a lattice must be, for its size, beside the clearest one: the grain of a table is fainter."""

HALF = (0.4, 0.62)
"""Sides of halves of boxes, as shares of the sides of whole ones."""

BETTER = 1.03
"""How much clearer lattices found by columns must be than those found by rows; they are often the same."""

LARGE, MARKED = 0.2, 0.7
"""Share of the picture that a lattice must cover to be the sheet's only one, and share of each side of its boxes that
must be marked."""


def find_grids(image: NDArray[np.uint8]) -> list[Grid]:
    """The grids of cells on the picture of a sheet, uint8 (H, W) grey or (H, W, 3) RGB, in reading order.

    The sheet may be turned by up to 45 degrees, seen in perspective, bent, or lie beside another one. Rows and columns
    are those of the picture: a sheet turned by a quarter has its rows as columns.

    Raises :class:`hanmo.errors.SheetError` where there is no grid.
    """
    if max(image.shape[:2]) < SMALLEST:
        height, width = image.shape[:2]
        raise SheetError(f"the picture is too small, {width} x {height} pixels; a sheet needs {SMALLEST} at least")
    small, scale = reduced(image)
    dark = darkness(small)
    # Paper around the picture: a scan may be cut so close that the outer rules lie at its very edge.
    view = plane_view(framed := np.pad(dark, EDGE))
    lattices = _lattices(evidence_of(view.show(framed)))
    ruled = bool(lattices)
    quads = [view.to_picture(cells) - EDGE for cells in lattices] if ruled else _free(dark)
    count = sum(cells.shape[0] * cells.shape[1] for cells in quads)
    if count > MOST_CELLS:
        raise SheetError(f"the sheet has {count:,} boxes; photograph it in parts of at most {MOST_CELLS:,}")
    grids = [Grid((cells + 0.5) / scale - 0.5, ruled) for cells in quads]
    return [grids[n] for n in order_of_grids(grids, "rows")]


def _free(dark: Dark) -> list[Cells]:
    """The cells of separate characters on a picture without boxes, (R, C, 4, 2), also on the lines of a notebook."""
    view = plane_view(dark)
    evidence = evidence_of(view.show(dark))
    width = evidence.across.shape[1]
    rules = [rule for rule in find_rules(evidence.across_marks) if rule.right - rule.left > LINED * width]
    if len(rules) < LINES:
        return free_rows(dark)
    return [view.to_picture(cells) for cells in free_rows(without_rules(view.show(dark), rules))]


def _lattices(evidence: Evidence) -> list[Cells]:
    """The cells of each lattice of a plane view, (R, C, 4, 2), found by rows or by columns of boxes."""
    rows = _apart(
        [whole(lattice.quads, evidence) for lattice in find_lattices(find_rows(evidence), evidence)], evidence
    )
    if rows and _is_clear(rows[0], evidence):
        return rows
    turned = evidence.transposed
    columns = _apart(
        [transposed(whole(lattice.quads, turned)) for lattice in find_lattices(find_rows(turned), turned)], evidence
    )
    by_rows, by_columns = (sum(merit(quads, evidence) for quads in found) for found in (rows, columns))
    return columns if by_columns > BETTER * by_rows else rows


def _is_clear(quads: Cells, evidence: Evidence) -> bool:
    """Whether a lattice is large and well marked, so that it need not be sought by columns as well."""
    marked = sides(quads, evidence).min(axis=-1) >= MARKED
    return bool(areas(quads).sum() > LARGE * evidence.across.size and marked.mean() > 0.95 and min(marked.shape) > 1)


def _apart(lattices: list[Cells], evidence: Evidence) -> list[Cells]:
    """The lattices of ruled boxes that do not overlap clearer ones, nor are tiny or faint beside the others."""
    kept: list[Cells] = []
    lattices = [quads for quads in lattices if _is_ruled(quads, evidence)]
    for quads in sorted(lattices, key=lambda quads: -merit(quads, evidence)):
        centres = quads.mean(axis=2).reshape(-1, 2)
        overlaps = any(np.mean(_inside(centres, _outline(other))) > 0.2 for other in kept)
        if not overlaps and not any(_is_cut_row(quads, other) for other in kept):
            kept.append(quads)
    sizes = [float(areas(quads).sum()) for quads in kept]
    clear = [merit(quads, evidence) / size for quads, size in zip(kept, sizes, strict=True)]
    return [
        quads
        for quads, size, clearness in zip(kept, sizes, clear, strict=True)
        if size >= TINY * max(sizes) and clearness >= FAINT * clear[0]
    ]


def _is_ruled(quads: Cells, evidence: Evidence) -> bool:
    """Whether the sides of a lattice are rules, and not strokes of printed text that lie at regular distances."""
    marked, tone = sides(quads, evidence), tones(quads, evidence)
    even = float(tone.std()) < UNEVEN * float(tone.mean()) and float(marked.mean()) >= MOSTLY
    return even or float(np.mean(marked.min(axis=-1) >= RULED)) >= SURE


def _is_cut_row(quads: Cells, other: Cells) -> bool:
    """Whether a lattice is a row or column of a larger one that the picture's edge cuts: halves of boxes beside it."""
    size, whole = (float(np.sqrt(np.median(areas(cells)))) for cells in (quads, other))
    if min(quads.shape[:2]) > 1 or not HALF[0] < size / whole < HALF[1]:
        return False
    outline, middle = _outline(other), other.reshape(-1, 2).mean(axis=0)
    # The outline with one more row and column on all sides.
    wider = 1 + 2 / min(other.shape[:2])
    return bool(np.mean(_inside(quads.mean(axis=2).reshape(-1, 2), middle + (outline - middle) * wider)) > 0.9)


def _outline(quads: Cells) -> Cells:
    """The outer corners of a lattice, (N, 2), clockwise from the top left."""
    return np.concatenate([quads[0, :, 0], quads[:, -1, 1], quads[-1, ::-1, 2], quads[::-1, 0, 3]])


def _inside(points: Cells, outline: Cells) -> NDArray[np.bool_]:
    """Which points (N, 2) lie inside an outline."""
    following = np.roll(outline, -1, axis=0)
    x, y = points[:, None, 0], points[:, None, 1]
    # A point is inside if a ray from it to the right meets the outline an odd number of times.
    crosses = (outline[:, 1] > y) != (following[:, 1] > y)
    rise = following[:, 1] - outline[:, 1]
    at = outline[:, 0] + (y - outline[:, 1]) * (following[:, 0] - outline[:, 0]) / np.where(rise == 0, 1, rise)
    inside: NDArray[np.bool_] = (crosses & (x < at)).sum(axis=1) % 2 == 1
    return inside
