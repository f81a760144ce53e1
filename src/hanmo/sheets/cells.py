"""The cells of a sheet as pictures: one perspective cut each.

The map from the unit square to a quadrilateral is a projective one (Heckbert, "Fundamentals of texture mapping and
image warping", 1989, section 2.2.3). All cells of a grid are cut at once, with bilinear interpolation.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hanmo.sheets.grid import Grid

Grey = NDArray[np.uint8]
Points = NDArray[np.float32]

SIDE = 144
"""Pixels of a cell's picture at most: the front end looks at 96, and closer where a character is small."""

_SMALLEST = 16
_SQUARE = 0.06
"""A cell is stretched to a square where its sides differ by less than this share; a hand varies more."""
_EXAMINED, _RULE = 8192, 0.12
"""About so many pixels of all cells are examined for colours, none of them in this share of a side along the edges."""
_WHITE = 255
_PAPER = 0.8
"""The paper's level is this quantile of a cell: even a dense character leaves a quarter of its cell free."""


def cut(grey: Grey, grid: Grid) -> Grey:
    """The pictures of a grid's cells, uint8 (R, C, S, S), from a picture (H, W).

    S is about the usual side of a cell in pixels, at most :data:`SIDE`. A cell that is higher or wider than a square
    keeps its proportions and gets paper on two sides.
    """
    native = side_of(grid)
    # Bilinear interpolation looks at four pixels only: a larger picture is averaged down first.
    factor = max(1, int(native / SIDE))
    if factor > 1:
        grey = np.asarray(Image.fromarray(grey).reduce(factor))
    side = max(_SMALLEST, min(SIDE, round(native / factor)))
    rows, columns = grid.quads.shape[:2]
    pictures = np.empty((rows, columns, side, side), np.uint8)
    for row in range(rows):  # a row at a time bounds the memory
        # In a grid (0, 0) is the centre of the first pixel; from here on it is the picture's corner.
        pictures[row] = _cut_row(grey, (grid.quads[row] + 0.5) / factor, side)
    return pictures


def _cut_row(grey: Grey, quads: NDArray[np.float64], side: int) -> Grey:
    """Cells (N, 4, 2) as pictures (N, side, side)."""
    # From -1/2 to 1/2 over the picture, at the centres of its pixels; a cell's shorter side covers less of it.
    places = (np.arange(side) + 0.5) / side - 0.5
    u, v = (places / part[:, None] for part in _parts(quads))
    x, y = _project(_projections(quads), u + 0.5, v + 0.5)
    pictures = _sample(grey, x - np.float32(0.5), y - np.float32(0.5))
    inside = (np.abs(v) <= 0.5)[:, :, None] & (np.abs(u) <= 0.5)[:, None]
    for picture, seen in zip(pictures, inside, strict=True):
        if not seen.all():
            picture[~seen] = np.quantile(picture[seen], _PAPER) if seen.any() else _WHITE
    return pictures


def _parts(quads: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The share of a square picture's width and height that each cell (N, 4, 2) fills, the longer side all of it."""
    edges = np.hypot(*np.moveaxis(quads - np.roll(quads, 1, axis=1), -1, 0))
    width, height = edges[:, 1] + edges[:, 3], edges[:, 0] + edges[:, 2]
    longer = np.maximum(np.maximum(width, height), 1)
    square = np.abs(width - height) <= _SQUARE * longer
    return np.where(square, 1.0, width / longer), np.where(square, 1.0, height / longer)


def inside(pixels: Grey, grid: Grid) -> Grey:
    """Some pixels from inside of a grid's cells, uint8 (R, C, n * n, 3), of a picture (H, W, 3).

    Its rules are not among them: black rules may be darker than a blue pen, which is no reason to take it for print.
    """
    height, width = pixels.shape[:2]
    side = math.ceil(math.sqrt(_EXAMINED / (grid.rows * grid.columns)))
    u, v = (axis.ravel()[:, None] for axis in np.meshgrid(*[np.linspace(_RULE, 1 - _RULE, side)] * 2))
    p0, p1, p2, p3 = (grid.quads[:, :, None, k] for k in range(4))
    points = np.rint((1 - v) * ((1 - u) * p0 + u * p1) + v * ((1 - u) * p3 + u * p2)).astype(np.intp)
    found: Grey = pixels[points[..., 1].clip(0, height - 1), points[..., 0].clip(0, width - 1)]
    return found


def side_of(grid: Grid) -> float:
    """The usual side of a grid's cells in pixels: the median of all their edges."""
    edges = grid.quads - np.roll(grid.quads, 1, axis=2)
    return float(np.median(np.hypot(edges[..., 0], edges[..., 1])))


def _projections(quads: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrices (N, 3, 3) that map the unit square to quadrilaterals (N, 4, 2)."""
    p0, p1, p2, p3 = (quads[:, k] for k in range(4))
    d1, d2, d3 = p1 - p2, p3 - p2, p0 - p1 + p2 - p3
    cross = d1[:, 0] * d2[:, 1] - d1[:, 1] * d2[:, 0]
    cross[cross == 0] = 1  # a cell without area: whatever is cut there, it is finite
    g = (d3[:, 0] * d2[:, 1] - d3[:, 1] * d2[:, 0]) / cross
    h = (d1[:, 0] * d3[:, 1] - d1[:, 1] * d3[:, 0]) / cross
    matrices = np.ones((len(quads), 3, 3))
    matrices[:, :2, 0] = p1 - p0 + g[:, None] * p1
    matrices[:, :2, 1] = p3 - p0 + h[:, None] * p3
    matrices[:, :2, 2] = p0
    matrices[:, 2, 0], matrices[:, 2, 1] = g, h
    return matrices


def _project(matrices: NDArray[np.float64], u: NDArray[np.float64], v: NDArray[np.float64]) -> tuple[Points, Points]:
    """Where the points (u, v) of the unit square, (N, S) each, come to lie: x and y, (N, S, S) each."""
    # Four bytes are exact to a few thousandths of a pixel, and twice as fast as eight.
    across = matrices[:, :, 0, None] * u[:, None] + matrices[:, :, 2, None]
    down = matrices[:, :, 1, None] * v[:, None]
    x, y, w = (
        across[:, None, :].astype(np.float32) + down[:, :, None].astype(np.float32)
        for across, down in zip(np.moveaxis(across, 1, 0), np.moveaxis(down, 1, 0), strict=True)
    )
    return np.divide(x, w, out=x), np.divide(y, w, out=y)


def _sample(grey: Grey, x: Points, y: Points) -> Grey:
    """Bilinear samples of (H, W) at points; beyond the picture its edge goes on."""
    height, width = grey.shape
    left, x = _divided(x, width)
    top, y = _divided(y, height)
    at = top * width + left
    right, below = int(width > 1), width * int(height > 1)
    flat = grey.ravel()
    before = 1 - x
    upper = flat.take(at) * before + flat[right:].take(at) * x
    lower = flat[below:].take(at) * before + flat[below + right :].take(at) * x
    lower -= upper
    lower *= y
    upper += lower
    upper += np.float32(0.5)
    sampled: Grey = upper.astype(np.uint8)
    return sampled


def _divided(places: Points, length: int) -> tuple[NDArray[np.intp], Points]:
    """Places on a line of pixels as the number of the pixel before, and the way on to the next one, 0 to 1."""
    places = places.clip(0, length - 1)
    before = np.minimum(places.astype(np.intp), max(length - 2, 0))
    return before, np.subtract(places, before, out=places, casting="same_kind")
