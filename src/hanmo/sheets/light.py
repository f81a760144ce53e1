"""From a photographed sheet to a picture of its darkness, and to pictures of its thin dark lines.

Light and shadows are divided out, colour is reduced to darkness: of the three channels the darkest counts, so that a
green or red rule is as dark as a grey one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hanmo.filters import maximum_filter, minimum_filter, smoothed

Dark = NDArray[np.uint8]
"""A picture's darkness (H, W): 0 = paper, 255 = black."""

Ridges = NDArray[np.int16]
"""How much darker than their surroundings the lines of one direction are, (H, W), in units of 1 / WHOLE."""

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

WHOLE = 255 * ALONG
"""The response of :func:`ridges` to a black line on white paper."""

FAINTEST = round(0.03 * WHOLE)
"""Response from which a rule counts fully on a picture without noise: 0.03 of that to a black line."""

LOUDEST = round(0.3 * WHOLE)
"""Responses from here on are the same for the measure of noise; no rule is four times as dark."""


def reduced(image: NDArray[np.uint8]) -> tuple[Image.Image, float]:
    """The picture (H, W[, 3]) scaled to a longer side of SMALL to SIDE pixels, and the scale: new pixels for one."""
    height, width = image.shape[:2]
    longest = max(height, width)
    scale = SIDE / longest if longest > SIDE else min(2 * SMALL / longest, 4.0) if longest < SMALL else 1.0
    if scale == 1:
        return Image.fromarray(image), scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Means of whole blocks come first, which takes a third of the time of the exact scale alone.
    block = max(1, int(1 / scale))
    picture = _means_of_blocks(image, block)
    return picture.resize(size, Image.Resampling.BILINEAR, (0, 0, width / block, height / block)), scale


def _means_of_blocks(image: NDArray[np.uint8], block: int) -> Image.Image:
    """The picture (H, W[, 3]) of the means of all blocks of so many pixels in height and width."""
    if block == 1:
        return Image.fromarray(image)
    # Pillow needs a copy in its own format; that of a part of the picture stays in the processor's cache.
    step = 64 * block
    parts = [np.asarray(Image.fromarray(image[y : y + step]).reduce(block)) for y in range(0, len(image), step)]
    return Image.fromarray(np.concatenate(parts))


def darkness(picture: Image.Image) -> Dark:
    """How much darker than the paper around it each pixel is."""
    light = np.ones((picture.height, picture.width), np.float32)
    for channel in picture.split()[:3]:
        levels = np.asarray(channel, np.uint8)
        paper = np.maximum(background(levels), 1)
        np.minimum(light, np.divide(levels, paper, dtype=np.float32), out=light)
    return np.asarray(255 * (1 - light), np.uint8)


def background(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The brightness of the paper at each pixel of a channel (H, W): a closing of the brightest spots of tiles."""
    height, width = levels.shape
    # Means of quarter tiles first, since the brightest single pixel of a tile would be noise.
    fine = np.asarray(Image.fromarray(levels).reduce(TILE // 4))
    fine = np.pad(fine, ((0, -fine.shape[0] % 4), (0, -fine.shape[1] % 4)), mode="edge")
    rows = fine.reshape(-1, 4, fine.shape[1]).max(axis=1)
    tiles = rows.reshape(len(rows), -1, 4).max(axis=2)
    paper = smoothed(minimum_filter(maximum_filter(tiles, CLOSING), CLOSING), 2)
    return np.asarray(Image.fromarray(paper).resize((width, height), Image.Resampling.BILINEAR))


def ridges(dark: Dark) -> Ridges:
    """How much darker each pixel of (H, W) is than the paper above and below it: the response to horizontal rules.

    The response to vertical rules is that of the transposed picture, transposed.
    """
    even = summed(dark, ALONG)
    best = np.zeros_like(even)
    for reach in REACHES:
        if len(even) > 2 * reach:
            beside = np.maximum(even[: -2 * reach], even[2 * reach :])
            inner = best[reach:-reach]
            np.maximum(inner, np.subtract(even[reach:-reach], beside, out=beside), out=inner)
    return best


def summed(dark: Dark | Ridges, span: int) -> Ridges:
    """The sums of (H, W) over ``span`` pixels of a row, an odd number of at most 127; beyond the edges is paper."""
    # Whole numbers of two bytes are added several times as fast as real ones.
    edged = np.pad(dark, ((0, 0), (span // 2, span // 2))).astype(np.int16)
    width = dark.shape[1]
    sums = edged[:, :width].copy(order="K")
    for shift in range(1, span):
        sums += edged[:, shift : shift + width]
    return sums


def marks(ridge: Ridges) -> Map:
    """The response of :func:`ridges` as evidence of a rule, 0 to 1: faint rules count as much as dark ones."""
    weight = _enlarged(2 / np.maximum(4 * noise(ridge), FAINTEST), ridge.shape)
    evidence: Map = np.multiply(ridge, weight, out=weight)
    evidence -= 1
    return np.clip(evidence, 0, 1, out=evidence)


def noise(ridge: Ridges) -> NDArray[np.int64]:
    """The response (H, W) to noise in each area of AREA pixels: paper has little, a table of wood beside it has much.

    Of the pixels of noisy paper nearly half respond, so the 0.77th quantile is about the median response to noise.
    """
    seen = np.minimum(ridge[::2, ::2], LOUDEST)  # every fourth pixel is enough for a quantile
    rows, columns = (np.arange(length) // (AREA // 2) for length in seen.shape)
    shape = rows[-1] + 1, columns[-1] + 1
    # One histogram for each area: the quantile is where the sum of its counts reaches the share.
    area = rows[:, None] * shape[1] + columns
    counts = np.bincount((area * (LOUDEST + 1) + seen).ravel(), minlength=shape[0] * shape[1] * (LOUDEST + 1))
    sums = counts.reshape(*shape, -1).cumsum(axis=2)
    each = (sums > 0.77 * sums[:, :, -1:]).argmax(axis=2)
    # Areas full of strokes respond more; the quieter ones around tell the paper.
    around = np.pad(each, 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(around, (5, 5)).reshape(*shape, 25)
    quiet: NDArray[np.int64] = np.partition(windows, QUIET, axis=2)[:, :, QUIET]
    return quiet


def _enlarged(areas: NDArray[np.float64], shape: tuple[int, ...]) -> Map:
    """Values of areas of AREA pixels as a map of ``shape``, by bilinear interpolation between the areas' middles."""
    down, across = (_between(count, length) for count, length in zip(areas.shape, shape, strict=True))
    enlarged: Map = down @ areas.astype(np.float32) @ across.T
    return enlarged


def _between(areas: int, length: int) -> Map:
    """The weights (length, areas) of areas of AREA pixels in each pixel of a line."""
    places = (np.arange(length, dtype=np.float32)[:, None] + 0.5) / AREA - 0.5
    weights: Map = np.maximum(1 - np.abs(places.clip(0, areas - 1) - np.arange(areas, dtype=np.float32)), 0)
    return weights
