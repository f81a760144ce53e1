"""From a grey picture of paper to the ink on it: the first part of the front end that every picture goes through.

The steps of :func:`ink_of`, in order. On a clean picture the first three change nothing.

1. Background division (:func:`flatten`): uneven light and shadows are removed. The background is a grey closing of the
   picture, and every pixel is divided by it.
2. Removal of salt-and-pepper noise (:func:`without_impulses`): conservative smoothing where there is some, a 3 x 3
   median filter where there is much.
3. Smoothing of sensor noise: the noise is estimated (:func:`hanmo.noise.noise_of`), and a noisy picture passes a
   binomial filter.
4. Thresholding (:func:`levels_of`): Otsu's threshold separates ink from paper and gives the grey level of both.
5. Scaling (:func:`ink_levels`): the levels between both become the ink, 0 to 255. Levels near the paper become 0,
   unless the picture is free of noise, shadows and veils.

Before these steps :func:`hanmo.ink.reduced` averages large pictures down to :data:`SIDE` pixels; after them
:mod:`hanmo.strays` and :mod:`hanmo.neighbours` remove the ink that does not belong to the character.

Nearly all decisions are made in whole numbers, because three other programs must decide alike:
:mod:`hanmo.train.page_ink` and :mod:`hanmo.gpu.ink`, which do the same to thousands of pictures on a GPU, and the
JavaScript reader of the web page. Tests compare them with this module.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hanmo.errors import BlankImageError, FaintInkError
from hanmo.filters import maximum_filter, median_filter, minimum_filter, padded, smoothed
from hanmo.noise import noise_of

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]

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
    passes, seen, counts = _denoised(clean, noise)
    paper, dark = levels_of(counts)
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
    levels = ink_levels(paper, dark, dead)
    # More faint pixels than ink are a shadow or a veil; fewer are the soft edges of strokes.
    if keep_faint and noiseless and flat is grey and counts[:paper].sum() < 2 * counts[levels > 0].sum():
        levels = ink_levels(paper, dark, 0)
    return levels.take(seen), noiseless


@lru_cache(maxsize=4096)  # half a kilobyte each; the samples of a data set have some hundred pairs of grey levels
def ink_levels(paper: int, dark: int, dead: int) -> Grey:
    """The ink of each grey level, uint8 (256,), for the grey levels of paper and ink, ``paper`` and ``dark``.

    It is 0 up to ``dead`` thousandths of the contrast, then grows linearly to 255 at ``dark``.
    """
    contrast = paper - dark
    above = (paper - np.arange(256)) * 1000 - dead * contrast
    levels: Grey = np.minimum(255 * np.maximum(above, 0) // ((1000 - dead) * contrast), 255).astype(np.uint8)
    levels.setflags(write=False)  # shared by all callers
    return levels


def _denoised(grey: Grey, noise: int) -> tuple[int, Grey, Counts]:
    """The passes of smoothing that a picture needs, the smoothed picture, and its :func:`histogram`.

    ``noise`` is its deviation in 1/64 grey levels.
    """
    if _passes(noise, 1) == 0:  # little noise even if the contrast were one level, so nothing need be smoothed
        return 0, grey, histogram(grey)
    # Noise spreads the grey levels, so the contrast is measured on the smoothed picture.
    smooth = smoothed(grey, 2)
    counts = histogram(smooth)
    paper, dark = levels_of(counts)
    passes = _passes(noise, paper - dark)
    if passes == 2:
        return passes, smooth, counts
    seen = smoothed(smooth, passes - 2) if passes else grey
    return passes, seen, histogram(seen)


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
    # The background's greatest tile is that of the means, and its least that of their maximum filter: so unevenness is
    # known before the closing is complete. Mostly it is known even before that, from the blocks.
    least = int(means.max()) - UNEVEN
    if _least_block(means) > least:
        return grey
    bright = maximum_filter(means, CLOSING)
    if int(bright.min()) > least:
        return grey
    background = minimum_filter(bright, CLOSING)
    fine = rows @ smoothed(background, 2).astype(np.float32) @ columns.T
    fine = np.maximum(np.floor(fine / 4096), 1)  # the weights of rows and columns add up to 64 * 64
    flat: Grey = np.minimum(light * PAPER / fine, 255).astype(np.uint8)
    return flat


def _least_block(means: Grey) -> int:
    """A lower limit of the least value of ``maximum_filter(means, CLOSING)``, in a quarter of its time.

    The tiles are cut into blocks of CLOSING + 1 a side. Every square of the filter, which has 2 * CLOSING + 1 tiles a
    side or is cut off at the edge, holds a whole block. So its maximum is at least that of the darkest block.
    """
    rows, columns = (np.arange(0, length, CLOSING + 1) for length in means.shape)
    return int(np.maximum.reduceat(np.maximum.reduceat(means, rows, axis=0), columns, axis=1).min())


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
        # As one line of pixels, row after row, neighbours are a fixed number of places apart, and numpy passes through
        # it several times as fast as row by row. The repeated pixels at the edges are no impulses: each has its
        # original beside it.
        line, row = edged.reshape(-1), edged.shape[1]
        # The range of the eight neighbours: extremes of the three columns, of the middle one without the pixel itself.
        above, here, below = line[: -2 * row], line[row:-row], line[2 * row :]
        high, low = np.maximum(above, below), np.minimum(above, below)
        high3, low3 = np.maximum(high, here), np.minimum(low, here)
        top = np.maximum(np.maximum(high3[:-2], high3[2:]), high[1:-1])
        bottom = np.minimum(np.minimum(low3[:-2], low3[2:]), low[1:-1])
        pixels = here[1:-1]  # the first and the last are repeated ones
        kept = np.minimum(np.maximum(pixels, bottom), top)
        apart = np.maximum(kept, pixels) - np.minimum(kept, pixels)
        impulses = np.count_nonzero(apart > IMPULSE)
        if impulses * IMPULSES < grey.size:
            break
        if turn == 0 and impulses * DENSE > grey.size:
            return median_filter(edged)
        pixels[:] = kept
        grey = edged[1:-1, 1:-1].copy()
    return grey


def histogram(grey: Grey) -> Counts:
    """How many pixels of a picture have each grey level, int64 (256,)."""
    return np.bincount(grey.reshape(-1), minlength=256)


def levels_of(counts: Counts) -> tuple[int, int]:
    """The grey levels of paper and ink: the median above Otsu's threshold, and the first decile below it.

    ``counts`` is the histogram of a picture. The decile, since most ink pixels lie on the soft edges of strokes and
    only the darkest show the ink itself.
    """
    threshold = otsu(counts)
    paper = quantile(counts, threshold + 1, 256, 500)
    ink = quantile(counts, 0, threshold + 1, 100)
    return paper, ink


_LEVELS = np.arange(256.0)


def otsu(counts: Counts) -> int:
    """Otsu's threshold: the last grey level of the dark class, chosen so that the variance between classes is greatest.

    ``counts`` is the histogram, int64 (256,). Otsu, "A threshold selection method from gray-level histograms", 1979.
    """
    pixels = counts.astype(np.float64)
    upto, mass = pixels.cumsum(), (pixels * _LEVELS).cumsum()
    below, total = upto[:-1], upto[-1]
    # The variance times total^2. Exact up to the last division, as the products are whole numbers below 2^53.
    apart = mass[:-1] * total - mass[-1] * below
    between = apart * apart / np.maximum(below * (total - below), 1)
    # All empty levels between two peaks are equally good; the middle one leaves most room for both.
    (best,) = (between >= between.max() * (1 - 1e-9)).nonzero()
    return int(best[len(best) // 2])


def quantile(counts: Counts, start: int, stop: int, thousandths: int) -> int:
    """A quantile, in thousandths, of the pixels with grey levels in [start, stop); ``start`` if there are none."""
    total = counts[start:stop].cumsum()
    if not len(total) or total[-1] == 0:
        return start
    wanted = -(-thousandths * int(total[-1]) // 1000)  # rounded up to whole pixels
    return start + int(total.searchsorted(wanted))
