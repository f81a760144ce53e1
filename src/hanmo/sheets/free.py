"""Rows of separate characters without rules, found by projections of the ink (Likforman-Sulem et al., "Text line
segmentation of historical documents: a survey", IJDAR 9, 2007, section 4.1).

Rows are bands of ink between blank bands, columns likewise. Where the characters of all rows stand below each other,
they form one grid; else every row is a grid by itself. Lines of text in which characters nearly touch are no grid.
"""

from __future__ import annotations

import numpy as np

from hanmo.errors import SheetError
from hanmo.sheets.bands import EVEN, SPECK, Mask, Runs, Values, bands, cells_around, gaps_of, regular, runs_of
from hanmo.sheets.light import Dark
from hanmo.sheets.rules import Rule

INKED = 38
"""Darkness, of 255, from which a pixel may be ink, if the sheet's darkest ink is not much darker."""

RULE = 3
"""Pixels to both sides of a rule's middle that may belong to it."""

SKEW = 10
"""Degrees by which rows and columns may be skewed."""

SMALLEST = 18
"""Pixels of the smallest character, on the reduced picture: printed text has smaller ones on whole pages."""

SEPARATE = 0.12
"""Share of their size by which characters and rows must be apart: printed characters have less between them."""

FEWEST, MOST = 2, 500
"""Characters of the smallest and of the largest sheet."""

CROSSED = (0.12, 0.3, 0.45)
"""Shares of the rows that may have ink at the same place between two columns; the first that gives columns counts."""


def free_rows(dark: Dark) -> list[Values]:
    """The cells of separate characters on a picture of darkness (H, W): arrays (R, C, 4, 2) in pixels.

    Raises :class:`hanmo.errors.SheetError` where there are none.
    """
    ink = _ink(dark)
    if ink.sum() < 30:
        raise SheetError("the picture is blank: it shows neither a grid of boxes nor characters")
    y, x = np.nonzero(ink)
    across = _skew(x, y, ink.shape)
    down = _skew(y, x, ink.shape[::-1])
    # Coordinates along rows and down columns; both shears together are undone at the end.
    u, v = x - down * y, y - across * x
    origin = np.array([u.min(), v.min()])
    u, v = np.rint(u - origin[0]).astype(int), np.rint(v - origin[1]).astype(int)
    flat = np.zeros((v.max() + 1, u.max() + 1), bool)
    flat[v, u] = True
    boxes = _boxes(flat)
    back = np.linalg.inv(np.array([[1, -down], [-across, 1]]))
    return [(quads + origin) @ back.T for quads in boxes]


def without_rules(dark: Dark, rules: list[Rule]) -> Dark:
    """A picture of darkness (H, W) without horizontal rules on which characters were written, as in a notebook."""
    height, width = dark.shape
    clear = dark.copy()
    x = np.arange(width)
    for rule in rules:
        y = np.rint(rule.at(x)).astype(int)
        # Where it is dark above and below the rule as well, a stroke crosses it.
        above, below = (dark[np.clip(y + shift, 0, height - 1), x] for shift in (-RULE - 2, RULE + 2))
        free = np.minimum(above, below) < INKED
        for shift in range(-RULE, RULE + 1):
            clear[np.clip(y + shift, 0, height - 1)[free], x[free]] = 0
    return clear


def _ink(dark: Dark) -> Mask:
    """Which pixels are ink: those with half of the darkness of strokes, without what touches the picture's edges."""
    sheet = np.where(_from_edges(dark > INKED), 0, dark)
    strokes = sheet[sheet > INKED]
    if len(strokes) < 30:
        return np.zeros(dark.shape, bool)
    ink: Mask = sheet > max(INKED, 0.5 * float(np.quantile(strokes, 0.8)))
    # A pixel without a neighbour is noise.
    near = np.zeros(ink.shape, np.uint8)
    near[1:] += ink[:-1]
    near[:-1] += ink[1:]
    near[:, 1:] += ink[:, :-1]
    near[:, :-1] += ink[:, 1:]
    ink &= near >= 2
    return ink


def _from_edges(ink: Mask) -> Mask:
    """The ink that is connected with the picture's edges: the table beside the sheet, and the sheet's own edges."""
    step = 8  # pixels: the grain of a wooden table has smaller gaps, a sheet's blank margin is wider
    height, width = ink.shape
    padded = np.pad(ink, ((0, -height % step), (0, -width % step)))
    tiles = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
    coarse = np.asarray(tiles.any(axis=(1, 3)))
    found = np.zeros_like(coarse)
    for edge in ((0, slice(None)), (-1, slice(None)), (slice(None), 0), (slice(None), -1)):
        found[edge] = coarse[edge]
    count = -1
    while (now := int(found.sum())) != count:
        count = now
        # Several steps of a flood fill for each count.
        for _ in range(8):
            grown = found.copy()
            grown[1:] |= found[:-1]
            grown[:-1] |= found[1:]
            grown[:, 1:] |= grown[:, :-1].copy()
            grown[:, :-1] |= grown[:, 1:].copy()
            found = grown & coarse
    return np.repeat(np.repeat(found, step, axis=0), step, axis=1)[:height, :width]


def _skew(along: Runs, across: Runs, shape: tuple[int, int]) -> float:
    """The slope of rows: that whose projection, across the rows, has the sharpest steps."""
    best, most = 0.0, -1.0
    middle = shape[1] / 2
    for angle in np.linspace(-SKEW, SKEW, 8 * SKEW + 1):
        slope = float(np.tan(np.radians(angle)))
        place = np.rint((across - slope * (along - middle)) / 3).astype(int)
        profile = np.bincount(place - place.min()).astype(float)
        # Slightly less for great skews, so that noise does not decide.
        sharpness = float((profile**2).sum()) * (1 - 0.002 * abs(angle))
        if sharpness > most:
            best, most = slope, sharpness
    return best


def _boxes(flat: Mask) -> list[Values]:
    """The cells of a picture of ink (H, W) whose rows are level."""
    profile = flat.sum(axis=1)
    rows = bands(profile > max(1, 0.02 * float(profile.max())))
    if not len(rows):
        raise SheetError("no grid of boxes was found, nor rows of separate characters")
    height = float(np.median(rows[:, 1] - rows[:, 0]))
    _check(height, rows)
    rows = regular(rows, profile)
    columns = _columns(flat, rows, height)
    if columns is not None:
        return [_cells(cells_around(rows), cells_around(columns))]
    grids = []
    spread = cells_around(rows)
    for (top, bottom), around in zip(rows, spread, strict=True):
        parts = _characters(flat[top:bottom], height)
        grids.append(_cells(around[None], cells_around(parts)))
    gaps = np.concatenate([gaps_of(_characters(flat[top:bottom], height)) for top, bottom in rows])
    count = sum(grid.shape[1] for grid in grids)
    if count < FEWEST:
        raise SheetError(
            "no grid of boxes was found, and only one separate character; read single ones with `hanmo recognize`"
        )
    if count > MOST or (len(gaps) and float(np.median(gaps)) < SEPARATE * height):
        raise SheetError("no grid of boxes was found; lines of text whose characters nearly touch cannot be read")
    return grids


def _check(height: float, rows: Runs) -> None:
    """Refuse rows that are too low to be read, or too close to be rows of separate characters."""
    gaps = gaps_of(rows)
    if height < SMALLEST or len(rows) > MOST:
        raise SheetError(
            "no grid of boxes was found; characters without boxes are too small to be read: take a closer photograph"
        )
    if len(gaps) and float(np.median(gaps)) < 0.5 * SEPARATE * height:
        raise SheetError("no grid of boxes was found, nor rows of separate characters with blank paper between them")


def _columns(flat: Mask, rows: Runs, height: float) -> Runs | None:
    """The columns in which the characters of all rows stand; None if they do not."""
    if len(rows) < 2:
        return None
    ink = np.zeros(flat.shape[1], int)
    for top, bottom in rows:
        ink += flat[top:bottom].any(axis=0)
    # Between columns that are skewed by perspective some rows have ink everywhere.
    for share in CROSSED:
        runs = bands(ink > share * len(rows))
        if _is_even(runs, height) and len(runs) * len(rows) <= MOST:
            return runs
    return None


def _is_even(runs: Runs, height: float) -> bool:
    """Whether runs of ink are columns of characters of about ``height``, at a pitch that changes slowly."""
    if len(runs) < 2:
        return False
    steps, sizes = np.diff(runs.mean(axis=1)), runs[:, 1] - runs[:, 0]
    pitch = float(np.median(steps))
    ratio = steps / pitch
    even = bool(np.abs(ratio - np.rint(ratio)).max() < EVEN and ratio.max() < 1.5)
    return even and bool(sizes.max() < 1.1 * pitch and 0.5 * height < pitch < 4 * height)


def _characters(row: Mask, height: float) -> Runs:
    """The characters of a row (H, W): its runs of ink, put together to nearly square parts."""
    runs = runs_of(np.asarray(row.any(axis=0)))
    # The least cost of the first n runs, and the begin of the last character among them.
    cost, begin = [0.0], [0]
    for n in range(1, len(runs) + 1):
        options = []
        for first in range(n - 1, -1, -1):
            width = runs[n - 1, 1] - runs[first, 0]
            if first < n - 1 and width > 1.3 * height:
                break
            inner = gaps_of(runs[first:n]).max() if first < n - 1 else 0
            # Narrow parts are rarely characters; wide gaps are rarely inside of one.
            shape = ((width - 0.85 * height) / height) ** 2
            options.append((cost[first] + shape + 2 * (inner / height) ** 2 * 4, first))
        best = min(options)
        cost.append(best[0])
        begin.append(best[1])
    parts, n = [], len(runs)
    while n:
        parts.append((runs[begin[n], 0], runs[n - 1, 1]))
        n = begin[n]
    found = np.array(parts[::-1], np.int64).reshape(-1, 2)
    return found[(found[:, 1] - found[:, 0]) >= SPECK / 2 * height] if len(found) > 1 else found


def _cells(rows: Values, columns: Values) -> Values:
    """The cells (R, C, 4, 2) of rows (R, 2) and columns (C, 2)."""
    quads = np.zeros((len(rows), len(columns), 4, 2))
    for corner, (x, y) in enumerate(((0, 0), (1, 0), (1, 1), (0, 1))):
        quads[:, :, corner, 0] = columns[None, :, x]
        quads[:, :, corner, 1] = rows[:, None, y]
    return quads
