"""A grey picture of paper -> the ink on it: the front end that every picture goes through before it is read.

People photograph and scan paper: light falls unevenly, paper has a grain, cells and lines are printed on it and the
next character reaches in. The steps, each of which leaves a clean picture as it is:

1. pictures larger than :data:`SIDE` are averaged down to it (:mod:`hanmo.normalize` looks again, closer, where the
   character turns out small);
2. the background, a grey closing of the picture, is divided out where it is uneven;
3. single pixels that stand out of all their neighbours are replaced; where there is noise the picture is smoothed;
4. Otsu's threshold parts paper from ink, and everything lighter than a dead zone becomes paper;
5. print that is lighter than the ink, straight rules across the whole picture, specks, and parts of other characters
   that reach in from the rim are removed.

Every decision is made in whole numbers, so :mod:`hanmo.train.page_ink`, which does the same to thousands of pictures on
a GPU, decides alike.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hanmo.errors import BlankImageError, FaintInkError

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SIDE = 96
"""Pixels: the longer side at which a picture is looked at; a network's square is about half of that."""

MIN_CONTRAST = 12
"""Grey levels between paper and ink below which a picture counts as blank."""

DEAD_ZONE = 150
"""Thousandths of the ink below which everything is paper: veils, shadows and the paper's own structure."""

VISIBLE = 77
"""Ink, of 255, from which a pixel counts as written on (0.3)."""

RIM = 38
"""Ink, of 255, that touches the rim of a picture: ends of strokes there are often soft."""

PAPER = 224  # what the background is raised to: some room is left for pixels brighter than their surroundings
UNEVEN = 20  # grey levels by which a background must vary before it is divided out
TILES = 24  # tiles of the background along the longer side
CLOSING = 4  # tiles on either side that the closing looks at: characters are narrower than 9 / 24 of the side
IMPULSE = 32  # grey levels by which single pixels stand out
IMPULSES = 250  # one pixel in so many must do so before any is replaced
DENSE = 33  # one pixel in so many: they then stand beside each other, and a median is taken instead


def ink_of(grey: Grey) -> tuple[Grey, bool]:
    """(H, W) uint8, ink dark, at most :data:`SIDE` -> ink (H, W) uint8, 0 = paper, 255 = ink; and whether it is even.

    Paper is even where most neighbouring pixels are equal and none is taken for an impulse: black-and-white scans,
    clipped ones, and what was written on a screen.
    Raises :class:`BlankImageError` where nothing is written, :class:`FaintInkError` where noise hides what is.
    """
    lit = flatten(grey)
    noise = noise_of(lit)  # a median would hide it
    flat = without_impulses(lit)
    passes, seen, (paper, dark) = _calmed(flat, noise)
    left = noise * LEFT[passes] // 1000  # the noise that smoothing left, in 1/64 grey levels
    contrast = paper - dark
    if contrast < MIN_CONTRAST:
        raise BlankImageError(
            f"the picture is blank: paper and ink differ by {contrast} grey levels of 255, {MIN_CONTRAST} needed"
        )
    if contrast * 64 < 5 * left:
        raise FaintInkError("the picture shows no clear ink: whatever is written drowns in noise; take a sharper one")
    dead = min(max(DEAD_ZONE, 2000 * left // (64 * contrast)), 999)
    return ink_levels(paper, dark, dead).take(seen), noise == 0 and flat is lit


def ink_levels(paper: int, dark: int, dead: int) -> Grey:
    """The ink, 0 to 255, of each of the 256 grey levels: none up to ``dead`` thousandths of the contrast."""
    contrast = paper - dark
    above = (paper - np.arange(256)) * 1000 - dead * contrast
    levels: Grey = np.minimum(255 * np.maximum(above, 0) // ((1000 - dead) * contrast), 255).astype(np.uint8)
    return levels


LEFT = {0: 1000, 2: 270, 4: 190}
"""Thousandths of white noise's deviation that so many passes of smoothing leave."""


NOISE = (8, 16)
"""Noise, in per cent of the contrast, from which pictures are smoothed twice, and four times."""


def _calmed(flat: Grey, noise: int) -> tuple[int, Grey, tuple[int, int]]:
    """How often a picture with so much noise is smoothed, the picture smoothed so often, and its :func:`levels_of`."""
    if _passes(noise, 1) == 0:  # too little noise for the faintest ink, so the contrast need not be known
        return 0, flat, levels_of(flat)
    smooth = smoothed(flat, 2)
    paper, dark = levels_of(smooth)
    passes = _passes(noise, paper - dark)
    if passes == 2:
        return passes, smooth, (paper, dark)
    seen = smoothed(smooth, passes - 2) if passes else flat
    return passes, seen, levels_of(seen)


def _passes(noise: int, contrast: int) -> int:
    """How often to smooth: noise in 1/64 grey levels beside the contrast in grey levels."""
    ratio = noise * 100 // (64 * max(contrast, 1))
    return 0 if ratio < NOISE[0] else 2 if ratio < NOISE[1] else 4


def flatten(grey: Grey) -> Grey:
    """Divide by the background where that is uneven; the paper then has the level 224 everywhere."""
    height, width = grey.shape
    tile = tile_of(max(height, width))
    add_rows, rows = _tiling(height, tile)
    add_columns, columns = _tiling(width, tile)
    # Whole numbers below 2^24, so single precision adds them without rounding, in whatever order, and what it divides
    # rounds down to the right whole number.
    light = grey.astype(np.float32)
    means = (add_rows @ light @ add_columns.T / (tile * tile)).astype(np.uint8)
    background = least(greatest(means, CLOSING), CLOSING)
    if int(background.max()) - int(background.min()) < UNEVEN:
        return grey
    fine = rows @ smoothed(background, 2).astype(np.float32) @ columns.T
    fine = np.maximum(np.floor(fine / 4096), 1)
    flat: Grey = np.minimum(light * PAPER / fine, 255).astype(np.uint8)
    return flat


@lru_cache(maxsize=128)
def _tiling(length: int, tile: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The matrix (tiles, length) that adds up each tile's pixels, and :func:`between_tiles`.

    The last tile may reach beyond the picture: the last pixel counts for those that are missing.
    """
    tiles = -(-length // tile)
    adding = np.zeros((tiles, length), np.float32)
    line = np.arange(length)
    adding[line // tile, line] = 1
    adding[-1, -1] += tiles * tile - length
    return adding, between_tiles(length, tile, tiles)


def tile_of(longer: int) -> int:
    """Pixels a tile of the background, of a picture with so many on its longer side."""
    return max(2, round(longer / TILES))


def between_tiles(length: int, tile: int, tiles: int) -> NDArray[np.float32]:
    """The matrix (length, tiles) that interpolates linearly between the tiles' middles; rows add up to 64."""
    place = np.clip((64 * (2 * np.arange(length) + 1 - tile)) // (2 * tile), 0, 64 * (tiles - 1))
    matrix = np.zeros((length, tiles), np.float32)
    first, share = place // 64, place % 64
    line = np.arange(length)
    matrix[line, first] = 64 - share
    matrix[line, np.minimum(first + 1, tiles - 1)] += share
    return matrix


def greatest(grey: Grey, reach: int) -> Grey:
    """The greatest level within ``reach`` pixels, by rows and columns."""
    height, width = grey.shape
    edged = np.zeros((height + 2 * reach, width + 2 * reach), np.uint8)
    edged[reach : reach + height, reach : reach + width] = grey
    span = 2 * reach + 1
    return _greatest_of_rows(_greatest_of_rows(edged, span).T, span).T


def least(grey: Grey, reach: int) -> Grey:
    """The least level within ``reach`` pixels, by rows and columns."""
    return ~greatest(~grey, reach)


def _greatest_of_rows(grey: Grey, span: int) -> Grey:
    """The greatest level of every ``span`` rows that follow one another, (H - span + 1, W)."""
    seen = 1
    while seen < span:  # windows of 1, 2, 4, ... rows from each row on
        step = min(seen, span - seen)
        grey = np.maximum(grey[:-step], grey[step:])
        seen += step
    return grey


def without_impulses(grey: Grey) -> Grey:
    """Salt and pepper removed: where pixels beyond all eight neighbours are many, they take the nearest's level.

    Where there are few it is the same picture.
    """
    for turn in range(2):
        edged = _edged(grey, np.uint8)
        above, here, below = edged[:-2], edged[1:-1], edged[2:]
        high, low = np.maximum(above, below), np.minimum(above, below)
        high3, low3 = np.maximum(high, here), np.minimum(low, here)
        top = np.maximum(np.maximum(high3[:, :-2], high3[:, 2:]), high[:, 1:-1])
        bottom = np.minimum(np.minimum(low3[:, :-2], low3[:, 2:]), low[:, 1:-1])
        kept = np.minimum(np.maximum(grey, bottom), top)
        apart = np.maximum(kept, grey) - np.minimum(kept, grey)
        impulses = np.count_nonzero(apart > IMPULSE)
        if impulses * IMPULSES < grey.size:
            break
        if turn == 0 and impulses * DENSE > grey.size:
            return _median(edged)
        grey = kept
    return grey


def _median(edged: Grey) -> Grey:
    """The median of every pixel and its eight neighbours, of a picture (H + 2, W + 2).

    It is that of three numbers: the greatest of the rows' least, the median of their medians, the least of their
    greatest levels.
    """
    low, middle, high = _in_order(edged[:, :-2], edged[:, 1:-1], edged[:, 2:])
    lowest, medians, highest = (_in_order(x[:-2], x[1:-1], x[2:]) for x in (low, middle, high))
    return _in_order(lowest[2], medians[1], highest[0])[1]


def _in_order(a: Grey, b: Grey, c: Grey) -> tuple[Grey, Grey, Grey]:
    """The least, the middle and the greatest of three."""
    least, most = np.minimum(a, b), np.maximum(a, b)
    return np.minimum(least, c), np.maximum(least, np.minimum(most, c)), np.maximum(most, c)


def _edged(grey: Grey, dtype: DTypeLike) -> NDArray[Any]:
    """A pixel added on all sides, (H + 2, W + 2), whose level is that of the edge: ``np.pad``, but much faster."""
    edged = np.empty((grey.shape[0] + 2, grey.shape[1] + 2), dtype)
    edged[1:-1, 1:-1] = grey
    edged[0, 1:-1], edged[-1, 1:-1] = grey[0], grey[-1]
    edged[:, 0], edged[:, -1] = edged[:, 1], edged[:, -2]
    return edged


def noise_of(grey: Grey) -> int:
    """The deviation of white noise in 1/64 grey levels, from how far neighbouring pixels are apart.

    35 % of the differences of two normal numbers are below 0.642 deviations.
    """
    height, width = grey.shape
    total = 2 * height * width - height - width
    apart = np.empty(total, np.uint8)
    split = (height - 1) * width
    _differences(grey[1:], grey[:-1], apart[:split])
    _differences(grey[:, 1:], grey[:, :-1], apart[split:])
    wanted = total * 35 // 100

    def upto(level: int) -> int:
        return int(np.count_nonzero(apart <= level))

    # To count a few times what lies below a level is faster than a histogram of all levels.
    level = bisect_right(range(256), wanted, key=upto)
    if level == 256:  # a single pixel
        return 0
    # Between whole levels by how far the share lies inside this one, less half a level that rounding adds.
    before = upto(level - 1) if level else 0
    sixtyfourths = 64 * level + 64 * (wanted - before) // (upto(level) - before) - 32
    return int(max(sixtyfourths, 0) * 156 // 100)


def _differences(one: Grey, other: Grey, out: Grey) -> None:
    """How far each pixel of ``one`` and ``other`` are apart, written to ``out``, a line of as many."""
    np.subtract(np.maximum(one, other), np.minimum(one, other), out=out.reshape(one.shape))


def smoothed(grey: Grey, passes: int) -> Grey:
    """Each pass is a binomial filter, 1 2 1 by rows and by columns."""
    for _ in range(passes):
        x = _edged(grey, np.uint16)
        for _ in range(2):  # 1 2 1 is 1 1 twice
            x = x[:-1] + x[1:]
        for _ in range(2):
            x = x[:, :-1] + x[:, 1:]
        x += 8
        x >>= 4
        grey = x.astype(np.uint8)
    return grey


def levels_of(grey: Grey) -> tuple[int, int]:
    """The paper's median and the ink's dark decile, parted by Otsu's threshold."""
    counts = np.bincount(grey.ravel(), minlength=256)
    threshold = otsu(counts)
    paper = quantile(counts, threshold + 1, 256, 500)
    ink = quantile(counts, 0, threshold + 1, 100)
    return paper, ink


_LEVELS = np.arange(256.0)


def otsu(counts: NDArray[np.int64]) -> int:
    """The last level of the dark class that maximises the variance between both classes (Otsu, 1979)."""
    below = counts.cumsum()[:-1].astype(np.float64)
    total = float(counts.sum())
    above = total - below
    mass = (counts * _LEVELS).cumsum()
    # Exact up to the last division: products of whole numbers below 2^53.
    apart = mass[:-1] * total - mass[-1] * below
    between = apart**2 / np.maximum(below * above, 1)
    # A plateau spans the empty levels between two peaks; its middle leaves room for both.
    (best,) = (between >= between.max() * (1 - 1e-9)).nonzero()
    return int(best[len(best) // 2])


def quantile(counts: NDArray[np.int64], start: int, stop: int, thousandths: int) -> int:
    """The grey level below which so many of the pixels with levels in [start, stop) lie."""
    total = counts[start:stop].cumsum()
    if not len(total) or total[-1] == 0:
        return start
    wanted = -(-thousandths * int(total[-1]) // 1000)  # rounded up: as many levels lie below it as below the fraction
    return start + int(total.searchsorted(wanted))
