"""From a grey picture of paper to the ink on it: the first part of the front end that every picture goes through.

The steps of :func:`ink_of`, in order. On a clean picture the first three change nothing.

1. Background division (:func:`flatten`): uneven light and shadows are removed. The background is a grey closing of the
   picture, and every pixel is divided by it.
2. Removal of salt-and-pepper noise (:func:`without_impulses`): conservative smoothing where there is some, a 3 x 3
   median filter where there is much.
3. Smoothing of sensor noise: the noise is estimated (:func:`noise_of`), and a noisy picture passes a binomial filter.
4. Thresholding (:func:`levels_of`): Otsu's threshold separates ink from paper and gives the grey level of both.
5. Scaling (:func:`ink_levels`): the levels between both become the ink, 0 to 255. Levels near the paper become 0,
   unless the picture is free of noise, shadows and veils.

Before these steps :func:`hanmo.ink.reduced` averages large pictures down to :data:`SIDE` pixels; after them
:mod:`hanmo.strays` and :mod:`hanmo.neighbours` remove the ink that does not belong to the character.

Nearly all decisions are made in whole numbers, because two other programs must decide alike:
:mod:`hanmo.train.page_ink`, which does the same to thousands of pictures on a GPU, and the JavaScript reader of the web
page. Tests compare both with this module.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hanmo.errors import BlankImageError, FaintInkError
from hanmo.filters import maximum_filter, median_filter, minimum_filter, padded, smoothed

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SIDE = 96
"""Pixels of the longer side of the largest picture that is processed; about twice the square that a network sees."""

MIN_CONTRAST = 12
"""Fewest grey levels, of 255, between paper and ink; a picture with less counts as blank."""

DEAD_ZONE = 150
"""Thousandths of the contrast up to which a pixel is paper: faint shadows and the structure of the paper stay below.
Clean scans have neither: there, these pixels are the soft edges of strokes."""

VISIBLE = 77
"""Ink, of 255, from which a pixel counts as written on: 30 %."""

RIM = 38
"""Ink, of 255, from which a pixel at the picture's edge counts as touching it: 15 %, as strokes often fade there."""

PAPER = 224
"""Grey level of the paper after the division by the background: 31 levels are left for brighter pixels."""

UNEVEN = 20
"""Grey levels by which the background must vary before it is divided out; less does not disturb the threshold."""

TILES = 24
"""Tiles along the longer side, of which the background has one value each."""

CLOSING = 4
"""Radius of the closing in tiles: it removes what is narrower than 9 of 24 tiles, so strokes, but not shadows."""

IMPULSE = 32
"""Grey levels beyond the range of its eight neighbours from which a pixel is an impulse (salt or pepper)."""

IMPULSES = 250
"""Impulses are removed where at least one pixel in 250 is one; clean pictures have fewer, such as tips of strokes."""

DENSE = 33
"""Where more than one pixel in 33 is an impulse, many have an impulse beside them: only a median removes these."""

LEFT = {0: 1000, 2: 270, 4: 190}
"""Thousandths of the deviation of white noise that are left after so many passes of :func:`smoothed`.

Two passes are the kernel 1 4 6 4 1 by rows and columns, whose squared weights add up to (70 / 256)^2, so 27 % of the
deviation is left; four passes leave 12870 / 65536, nearly 20 %."""

NOISE = (8, 16)
"""Noise, in per cent of the contrast, from which a picture is smoothed twice, and from which four times."""


def ink_of(grey: Grey, *, keep_faint: bool = True) -> tuple[Grey, bool]:
    """Find the ink of a grey picture (H, W) uint8, ink dark, at most :data:`SIDE` pixels a side.

    ``keep_faint``: whether the faintest pixels of a picture without noise and shadows are ink. Version 2 of the
    normalisation takes them for paper, as in any other picture.

    Returns the ink, (H, W) uint8, 0 = paper, 255 = ink; and whether the picture is free of noise: as
    black-and-white scans are, scans with clipped whites, and what was written on a screen.
    Raises :class:`BlankImageError` when nothing is written, :class:`FaintInkError` when noise hides the ink.
    """
    flat = flatten(grey)
    noise = noise_of(flat)  # measured first, since the next step would hide it
    clean = without_impulses(flat)
    passes, seen, (paper, dark) = _denoised(clean, noise)
    left = noise * LEFT[passes] // 1000  # deviation of the noise after smoothing, in 1/64 grey levels
    contrast = paper - dark
    if contrast < MIN_CONTRAST:
        raise BlankImageError(
            f"the picture is blank: paper and ink differ by {contrast} grey levels of 255, {MIN_CONTRAST} needed"
        )
    # Within five deviations of the noise, its highest and lowest pixels would be taken for ink and paper.
    if contrast * 64 < 5 * left:
        raise FaintInkError("the picture shows no clear ink: whatever is written drowns in noise; take a sharper one")
    # The dead zone covers two deviations of the noise at least; 999, since the ink above it divides by 1000 - dead.
    dead = min(max(DEAD_ZONE, 2000 * left // (64 * contrast)), 999)
    noiseless = noise == 0 and clean is flat
    ink = ink_levels(paper, dark, dead).take(seen)
    # More faint pixels than ink are a shadow or a veil; fewer are the soft edges of strokes.
    if keep_faint and noiseless and flat is grey and np.count_nonzero(seen < paper) < 2 * np.count_nonzero(ink):
        ink = ink_levels(paper, dark, 0).take(seen)
    return ink, noiseless


def ink_levels(paper: int, dark: int, dead: int) -> Grey:
    """The ink of each grey level, uint8 (256,), for the grey levels of paper and ink, ``paper`` and ``dark``.

    It is 0 up to ``dead`` thousandths of the contrast, then grows linearly to 255 at ``dark``.
    """
    contrast = paper - dark
    above = (paper - np.arange(256)) * 1000 - dead * contrast
    levels: Grey = np.minimum(255 * np.maximum(above, 0) // ((1000 - dead) * contrast), 255).astype(np.uint8)
    return levels


def _denoised(grey: Grey, noise: int) -> tuple[int, Grey, tuple[int, int]]:
    """The passes of smoothing that a picture needs, the smoothed picture, and its :func:`levels_of`.

    ``noise`` is its deviation in 1/64 grey levels.
    """
    if _passes(noise, 1) == 0:  # little noise even if the contrast were one level, so nothing need be smoothed
        return 0, grey, levels_of(grey)
    # Noise spreads the grey levels, so the contrast is measured on the smoothed picture.
    smooth = smoothed(grey, 2)
    paper, dark = levels_of(smooth)
    passes = _passes(noise, paper - dark)
    if passes == 2:
        return passes, smooth, (paper, dark)
    seen = smoothed(smooth, passes - 2) if passes else grey
    return passes, seen, levels_of(seen)


def _passes(noise: int, contrast: int) -> int:
    """Passes of smoothing for a noise in 1/64 grey levels and a contrast in grey levels."""
    ratio = noise * 100 // (64 * max(contrast, 1))
    return 0 if ratio < NOISE[0] else 2 if ratio < NOISE[1] else 4


def flatten(grey: Grey) -> Grey:
    """Divide a picture (H, W) by its background, if that is uneven; the paper then has the level :data:`PAPER`.

    The background: means of square tiles, a grey closing of these (a maximum filter, which removes dark strokes, then a
    minimum filter, which puts edges of shadows back), smoothed, and interpolated linearly to every pixel.
    """
    height, width = grey.shape
    tile = tile_of(max(height, width))
    add_rows, rows = _tiling(height, tile)
    add_columns, columns = _tiling(width, tile)
    # Matrix products in single precision are fast, and exact here: all sums are whole numbers below 2^24. The quotients
    # are rounded down to the same whole numbers as in integer arithmetic.
    light = grey.astype(np.float32)
    means = (add_rows @ light @ add_columns.T / (tile * tile)).astype(np.uint8)
    background = minimum_filter(maximum_filter(means, CLOSING), CLOSING)
    if int(background.max()) - int(background.min()) < UNEVEN:
        return grey
    fine = rows @ smoothed(background, 2).astype(np.float32) @ columns.T
    fine = np.maximum(np.floor(fine / 4096), 1)  # the weights of rows and columns add up to 64 * 64
    flat: Grey = np.minimum(light * PAPER / fine, 255).astype(np.uint8)
    return flat


@lru_cache(maxsize=128)
def _tiling(length: int, tile: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The matrix (tiles, length) that sums the pixels of each tile along a line, and that of :func:`between_tiles`.

    The last tile may reach beyond the picture; the last pixel then counts for the missing ones, too.
    """
    tiles = -(-length // tile)
    adding = np.zeros((tiles, length), np.float32)
    line = np.arange(length)
    adding[line // tile, line] = 1
    adding[-1, -1] += tiles * tile - length
    return adding, between_tiles(length, tile, tiles)


def tile_of(longer: int) -> int:
    """Pixels of a tile's side, for a picture with ``longer`` pixels on its longer side."""
    return max(2, round(longer / TILES))


def between_tiles(length: int, tile: int, tiles: int) -> NDArray[np.float32]:
    """The matrix (length, tiles) that interpolates linearly between the centres of tiles; each row adds up to 64."""
    # The place of each pixel's centre between the centres of tiles, in 1/64 tiles; constant beyond the outermost ones.
    place = np.clip((64 * (2 * np.arange(length) + 1 - tile)) // (2 * tile), 0, 64 * (tiles - 1))
    matrix = np.zeros((length, tiles), np.float32)
    first, share = place // 64, place % 64
    line = np.arange(length)
    matrix[line, first] = 64 - share
    matrix[line, np.minimum(first + 1, tiles - 1)] += share
    return matrix


def without_impulses(grey: Grey) -> Grey:
    """Remove salt-and-pepper noise from (H, W); the same array comes back if there is little of it.

    Conservative smoothing: a pixel beyond the range of its eight neighbours takes the nearest level of that range. Two
    rounds, since impulses beside each other hide each other. Dense noise gets a median filter instead.
    """
    for turn in range(2):
        edged = padded(grey, np.uint8)
        # The range of the eight neighbours: extremes of the three columns, of the middle one without the pixel itself.
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
            return median_filter(edged)
        grey = kept
    return grey


def noise_of(grey: Grey) -> int:
    """Estimate the standard deviation of white noise in a picture (H, W), in 1/64 grey levels.

    Of the absolute differences of two independent normal numbers, 35 % are below 0.642 deviations. So the 35 % quantile
    of the differences between neighbouring pixels, divided by 0.642, is the deviation. A low quantile is used because
    edges of strokes add large differences, which do not move it much.
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

    # Bisection: counting at eight levels is faster than a histogram of all.
    level = bisect_right(range(256), wanted, key=upto)
    if level == 256:  # a picture of one pixel has no differences
        return 0
    # Interpolated within the level; less half a level, since a level stands for the range half a level around it.
    before = upto(level - 1) if level else 0
    sixtyfourths = 64 * level + 64 * (wanted - before) // (upto(level) - before) - 32
    return int(max(sixtyfourths, 0) * 156 // 100)  # 1 / 0.642


def _differences(one: Grey, other: Grey, out: Grey) -> None:
    """Write the absolute differences of two pictures of unsigned bytes into the flat array ``out``."""
    np.subtract(np.maximum(one, other), np.minimum(one, other), out=out.reshape(one.shape))


def levels_of(grey: Grey) -> tuple[int, int]:
    """The grey levels of paper and ink: the median above Otsu's threshold, and the first decile below it.

    The decile, since most ink pixels lie on the soft edges of strokes and only the darkest show the ink itself.
    """
    counts = np.bincount(grey.ravel(), minlength=256)
    threshold = otsu(counts)
    paper = quantile(counts, threshold + 1, 256, 500)
    ink = quantile(counts, 0, threshold + 1, 100)
    return paper, ink


_LEVELS = np.arange(256.0)


def otsu(counts: NDArray[np.int64]) -> int:
    """Otsu's threshold: the last grey level of the dark class, chosen so that the variance between classes is greatest.

    ``counts`` is the histogram, int64 (256,). Otsu, "A threshold selection method from gray-level histograms", 1979.
    """
    below = counts.cumsum()[:-1].astype(np.float64)
    total = float(counts.sum())
    above = total - below
    mass = (counts * _LEVELS).cumsum()
    # The variance times total^2. Exact up to the last division, as the products are whole numbers below 2^53.
    apart = mass[:-1] * total - mass[-1] * below
    between = apart**2 / np.maximum(below * above, 1)
    # All empty levels between two peaks are equally good; the middle one leaves most room for both.
    (best,) = (between >= between.max() * (1 - 1e-9)).nonzero()
    return int(best[len(best) // 2])


def quantile(counts: NDArray[np.int64], start: int, stop: int, thousandths: int) -> int:
    """A quantile, in thousandths, of the pixels with grey levels in [start, stop); ``start`` if there are none."""
    total = counts[start:stop].cumsum()
    if not len(total) or total[-1] == 0:
        return start
    wanted = -(-thousandths * int(total[-1]) // 1000)  # rounded up to whole pixels
    return start + int(total.searchsorted(wanted))
