"""From a photographed sheet to a picture of its darkness, and to pictures of its thin dark lines.

Light and shadows are divided out, colour is reduced to darkness: of the three channels the darkest counts, so that a
green or red rule is as dark as a grey one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hanmo.filters import maximum_filter, minimum_filter, smoothed

Map = NDArray[np.float32]
"""A picture (H, W) of real values, mostly 0 to 1."""

SIDE = 1600
"""Pixels of the longer side of the picture on which grids are sought: a cell of a sheet of 30 columns has 35."""

SMALL = 900
"""A picture with a longer side of fewer pixels is enlarged first, or its rules would be as close as their own width."""

TILE = 16
"""Pixels of a tile's side, of which the background has one value each; wider than any rule or stroke."""

CLOSING = 4
"""Radius in tiles of the closing that removes ink from the background: it bridges ink up to 8 tiles wide."""

REACHES = (4, 9)
"""Distances in pixels at which both sides of a rule must be brighter than the rule: for thin and for thick rules."""

ALONG = 7
"""Pixels along a rule over which darkness is averaged: it lifts faint rules from noise and closes short dashes."""

AREA, QUIET = 64, 8
"""Pixels of an area's side in which noise is measured; of the 25 areas around a pixel so many may be quieter than the
one that tells its noise."""

FAINTEST = 0.03
"""Darkness from which a rule counts fully on a picture without noise."""


def reduced(image: NDArray[np.uint8]) -> tuple[Image.Image, float]:
    """The picture (H, W[, 3]) scaled to a longer side of SMALL to SIDE pixels, and the scale: new pixels for one."""
    picture = Image.fromarray(image)
    longest = max(picture.size)
    scale = SIDE / longest if longest > SIDE else min(2 * SMALL / longest, 4.0) if longest < SMALL else 1.0
    if scale == 1:
        return picture, scale
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BILINEAR), scale


def darkness(picture: Image.Image) -> Map:
    """How much darker than the paper around it each pixel is: (H, W), 0 = paper, 1 = black."""
    dark = np.zeros((picture.height, picture.width), np.float32)
    for channel in picture.split()[:3]:
        levels = np.asarray(channel, np.uint8)
        np.maximum(dark, 1 - levels.astype(np.float32) / np.maximum(background(levels), 1), out=dark)
    return dark


def background(levels: NDArray[np.uint8]) -> Map:
    """The brightness of the paper at each pixel of a channel (H, W): a closing of the brightest spots of tiles."""
    height, width = levels.shape
    # Means of quarter tiles first, since the brightest single pixel of a tile would be noise.
    quarter = TILE // 4
    small = Image.fromarray(levels).resize((-(-width // quarter), -(-height // quarter)), Image.Resampling.BOX)
    fine = np.asarray(small)
    fine = np.pad(fine, ((0, -fine.shape[0] % 4), (0, -fine.shape[1] % 4)), mode="edge")
    tiles = fine.reshape(fine.shape[0] // 4, 4, fine.shape[1] // 4, 4).max(axis=(1, 3))
    paper = minimum_filter(maximum_filter(tiles, CLOSING), CLOSING)
    image = Image.fromarray(smoothed(paper, 2)).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image).astype(np.float32)


def ridges(dark: Map) -> Map:
    """How much darker each pixel of (H, W) is than the paper above and below it: the response to horizontal rules.

    The response to vertical rules is that of the transposed picture, transposed.
    """
    even = averaged(dark, ALONG)
    best = np.zeros_like(even)
    for reach in REACHES:
        if even.shape[0] > 2 * reach:
            beside = np.maximum(even[: -2 * reach], even[2 * reach :])
            inner = best[reach:-reach]
            np.maximum(inner, even[reach:-reach] - beside, out=inner)
    return best


def averaged(values: Map, span: int) -> Map:
    """The means of (H, W) over ``span`` pixels of a row, an odd number; fewer at the edges."""
    half = span // 2
    sums = np.cumsum(np.pad(values, ((0, 0), (half + 1, half))), axis=1, dtype=np.float64)
    return ((sums[:, span:] - sums[:, :-span]) / span).astype(np.float32)


def marks(ridge: Map) -> Map:
    """The response of :func:`ridges` as evidence of a rule, 0 to 1: faint rules count as much as dark ones."""
    enough = np.maximum(4 * noise(ridge), FAINTEST)
    evidence: Map = np.clip(2 * ridge / enough - 1, 0, 1)
    return evidence


def noise(ridge: Map) -> Map:
    """The response (H, W) to noise around each pixel: paper has little, a table of wood beside it has much."""
    height, width = ridge.shape
    rows, columns = -(-height // AREA), -(-width // AREA)
    padded = np.pad(ridge, ((0, rows * AREA - height), (0, columns * AREA - width)), mode="edge")
    # Every fourth pixel is enough for a quantile.
    areas = padded.reshape(rows, AREA, columns, AREA)[:, ::2, :, ::2].transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    # Of the pixels of noisy paper nearly half respond, so this quantile is about the median response to noise.
    place = int(0.77 * areas.shape[2])
    each = np.partition(areas, place, axis=2)[:, :, place]
    # Areas full of strokes respond more; the quieter ones around tell the paper.
    around = np.pad(each, 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(around, (5, 5)).reshape(rows, columns, 25)
    quiet = Image.fromarray(np.partition(windows, QUIET, axis=2)[:, :, QUIET])
    size = (columns * AREA, rows * AREA)
    return np.asarray(quiet.resize(size, Image.Resampling.BILINEAR))[:height, :width]
