"""From a grey picture of paper to the ink on it: the first part of the front end that every picture goes through.

The steps of :func:`ink_of`, in order. On a clean picture the first three change nothing.

1. Background division (:func:`hanmo.background.flatten`): uneven light and shadows are removed. The background is a
   grey closing of the picture, and every pixel is divided by it.
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

from hanmo.background import flatten
from hanmo.errors import BlankImageError, FaintInkError
from hanmo.filters import median_filter, padded, smoothed
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
    passes, seen, upto = _denoised(clean, noise)
    paper, dark = levels_of(upto)
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
    inked = np.count_nonzero(levels)  # these levels are the darkest ones
    if keep_faint and noiseless and flat is grey and upto[paper - 1] < 2 * upto[inked - 1]:
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
    upto = histogram(smooth)
    paper, dark = levels_of(upto)
    passes = _passes(noise, paper - dark)
    if passes == 2:
        return passes, smooth, upto
    seen = smoothed(smooth, passes - 2) if passes else grey
    return passes, seen, histogram(seen)


def _passes(noise: int, contrast: int) -> int:
    """Passes of smoothing for a noise in 1/64 grey levels and a contrast in grey levels."""
    ratio = noise * 100 // (64 * max(contrast, 1))
    return 0 if ratio < NOISE[0] else 2 if ratio < NOISE[1] else 4


def without_impulses(grey: Grey) -> Grey:
    """Remove salt-and-pepper noise from (H, W); the same array comes back if there is little of it.

    Conservative smoothing: a pixel beyond the range of its eight neighbours takes the nearest level of that range. Two
    rounds, since impulses beside each other hide each other. Dense noise gets a median filter instead.
    """
    width = grey.shape[1]
    for turn in range(2):
        # As one line of pixels, row after row, neighbours are a fixed number of places apart, and numpy passes through
        # it several times as fast as row by row. Pixels at the edges are no impulses: beyond the edge the picture goes
        # on as it is there. So the first and the last row are left out.
        line = grey.reshape(-1)
        # The range of the eight neighbours: extremes of the three columns, of the middle one without the pixel itself.
        above, here, below = line[: -2 * width], line[width:-width], line[2 * width :]
        high, low = np.maximum(above, below), np.minimum(above, below)
        high3, low3 = np.maximum(high, here), np.minimum(low, here)
        top = np.maximum(np.maximum(high3[:-2], high3[2:]), high[1:-1])
        bottom = np.minimum(np.minimum(low3[:-2], low3[2:]), low[1:-1])
        pixels = here[1:-1]
        raised = np.maximum(pixels, bottom)
        far = raised - np.minimum(pixels, top) > IMPULSE  # 0 within the range, for there both are the pixel itself
        # The ends of the rows between: their neighbours were taken from the next row, or from the one before.
        far[width - 2 :: width] = False
        far[width - 1 :: width] = False
        impulses = np.count_nonzero(far)
        if impulses * IMPULSES < grey.size:
            break
        if turn == 0 and impulses * DENSE > grey.size:
            return median_filter(padded(grey, np.uint8))
        smooth = grey.copy()
        np.minimum(raised, top, out=smooth.reshape(-1)[width + 1 : -width - 1])
        smooth[:, 0], smooth[:, -1] = grey[:, 0], grey[:, -1]
        grey = smooth
    return grey


def histogram(grey: Grey) -> Counts:
    """How many pixels of a picture are at most as bright as each grey level, int64 (256,): its cumulative histogram."""
    # Most pixels of a clean scan are white. They are left out, as counting them one by one takes most of the time.
    line = grey.reshape(-1)
    dark = line[line < 255]
    upto = np.add.accumulate(np.bincount(dark, minlength=256))
    upto[255] = grey.size
    return upto


def levels_of(upto: Counts) -> tuple[int, int]:
    """The grey levels of paper and ink: the median above Otsu's threshold, and the first decile below it.

    ``upto`` is the :func:`histogram` of a picture. The decile, since most ink pixels lie on the soft edges of strokes
    and only the darkest show the ink itself.
    """
    threshold = otsu(upto)
    paper = quantile(upto, threshold + 1, 256, 500)
    ink = quantile(upto, 0, threshold + 1, 100)
    return paper, ink


_NUMBERS = np.arange(1, 257.0)


def otsu(upto: Counts) -> int:
    """Otsu's threshold: the last grey level of the dark class, chosen so that the variance between classes is greatest.

    ``upto`` is a :func:`histogram`. Otsu, "A threshold selection method from gray-level histograms", 1979.
    """
    pixels = upto.astype(np.float64)
    # The sum of the grey levels of all pixels up to a level: each pixel counts once for every level below its own.
    mass = pixels * _NUMBERS - np.add.accumulate(pixels)
    below, total = pixels[:-1], pixels[-1]
    # The variance times total^2. Exact up to the last division, as the products are whole numbers below 2^53.
    apart = mass[:-1] * total - below * mass[-1]
    between = apart * apart / np.maximum(below * (total - below), 1)
    # All empty levels between two peaks are equally good; the middle one leaves most room for both.
    (best,) = (between >= float(np.maximum.reduce(between)) * (1 - 1e-9)).nonzero()
    return int(best[len(best) // 2])


def quantile(upto: Counts, start: int, stop: int, thousandths: int) -> int:
    """A quantile, in thousandths, of the pixels with grey levels in [start, stop); ``start`` if there are none.

    ``upto`` is a :func:`histogram`.
    """
    darker = int(upto[start - 1]) if start else 0
    total = int(upto[stop - 1]) - darker
    if start >= stop or total == 0:
        return start
    wanted = -(-thousandths * total // 1000)  # rounded up to whole pixels
    return int(upto.searchsorted(darker + wanted))
