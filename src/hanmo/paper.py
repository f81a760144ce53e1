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

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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

PAPER = 224  # what the background is raised to: some room is left for pixels brighter than their surroundings
UNEVEN = 20  # grey levels by which a background must vary before it is divided out
TILES = 24  # tiles of the background along the longer side
CLOSING = 4  # tiles on either side that the closing looks at: characters are narrower than 9 / 24 of the side
IMPULSE = 32  # grey levels by which single pixels stand out
IMPULSES = 250  # one pixel in so many must do so before any is replaced


def ink_of(grey: Grey) -> tuple[Grey, bool]:
    """(H, W) uint8, ink dark, at most :data:`SIDE` -> ink (H, W) uint8, 0 = paper, 255 = ink, and whether it was clean.

    Raises :class:`BlankImageError` where nothing is written, :class:`FaintInkError` where noise hides what is.
    """
    flat = without_impulses(flatten(grey))
    noise = noise_of(flat)
    smooth = smoothed(flat, 2)
    paper, dark = levels_of(smooth)
    passes = _passes(noise, paper - dark)
    seen = flat if passes == 0 else smooth if passes == 2 else smoothed(flat, passes)
    paper, dark = levels_of(seen)
    left = noise * LEFT[passes] // 1000  # the noise that smoothing left, in 1/64 grey levels
    contrast = paper - dark
    if contrast < MIN_CONTRAST:
        raise BlankImageError(
            f"the picture is blank: paper and ink differ by {contrast} grey levels of 255, {MIN_CONTRAST} needed"
        )
    if contrast * 64 < 5 * left:
        raise FaintInkError("the picture shows no clear ink: whatever is written drowns in noise; take a sharper one")
    dead = min(max(DEAD_ZONE, 2000 * left // (64 * contrast)), 999)
    return ink_levels(paper, dark, dead).take(seen), passes == 0


def ink_levels(paper: int, dark: int, dead: int) -> Grey:
    """The ink, 0 to 255, of each of the 256 grey levels: none up to ``dead`` thousandths of the contrast."""
    contrast = paper - dark
    above = (paper - np.arange(256)) * 1000 - dead * contrast
    return (255 * above // ((1000 - dead) * contrast)).clip(0, 255).astype(np.uint8)


LEFT = {0: 1000, 2: 270, 4: 190}
"""Thousandths of white noise's deviation that so many passes of smoothing leave."""


NOISE = (8, 35)
"""Noise, in per cent of the contrast, from which pictures are smoothed twice, and four times."""


def _passes(noise: int, contrast: int) -> int:
    """How often to smooth: noise in 1/64 grey levels beside the contrast in grey levels."""
    ratio = noise * 100 // (64 * max(contrast, 1))
    return 0 if ratio < NOISE[0] else 2 if ratio < NOISE[1] else 4


def flatten(grey: Grey) -> Grey:
    """Divide by the background where that is uneven; the paper then has the level 224 everywhere."""
    height, width = grey.shape
    tile = tile_of(max(height, width))
    down, across = -(-height // tile), -(-width // tile)
    padded = np.pad(grey, ((0, down * tile - height), (0, across * tile - width)), mode="edge")
    sums = padded.reshape(down, tile, across, tile).sum((1, 3), dtype=np.int32)
    means = (sums // (tile * tile)).astype(np.uint8)
    background = least(greatest(means, CLOSING), CLOSING)
    if int(background.max()) - int(background.min()) < UNEVEN:
        return grey
    rows, columns = between_tiles(height, tile, down), between_tiles(width, tile, across)
    # Whole numbers below 2^24, so single precision adds them without rounding, in whatever order.
    fine = (rows @ smoothed(background, 2).astype(np.float32) @ columns.T).astype(np.int32) >> 12
    flat: Grey = np.minimum(grey.astype(np.int32) * PAPER // np.maximum(fine, 1), 255).astype(np.uint8)
    return flat


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
    for axis in (0, 1):
        grey = _greatest_along(grey, reach, axis)
    return grey


def least(grey: Grey, reach: int) -> Grey:
    """The least level within ``reach`` pixels, by rows and columns."""
    return ~greatest(~grey, reach)


def _greatest_along(grey: Grey, reach: int, axis: int) -> Grey:
    grey = grey if axis == 0 else grey.T
    length = len(grey)
    done = np.pad(grey, ((reach, reach), (0, 0)))
    span, wanted = 1, 2 * reach + 1
    while span < wanted:  # windows of 1, 2, 4, ... pixels from each pixel on
        step = min(span, wanted - span)
        done = np.maximum(done[: len(done) - step], done[step:])
        span += step
    done = done[:length]
    return done if axis == 0 else done.T


def without_impulses(grey: Grey) -> Grey:
    """Salt and pepper removed: where pixels beyond all eight neighbours are many, they take the nearest's level."""
    for _ in range(2):
        padded = np.pad(grey, 1, mode="edge")
        above, here, below = padded[:-2], padded[1:-1], padded[2:]
        high, low = np.maximum(above, below), np.minimum(above, below)
        high3, low3 = np.maximum(high, here), np.minimum(low, here)
        top = np.maximum(np.maximum(high3[:, :-2], high3[:, 2:]), high[:, 1:-1])
        bottom = np.minimum(np.minimum(low3[:, :-2], low3[:, 2:]), low[:, 1:-1])
        kept = grey.clip(bottom, top)
        apart = np.maximum(kept, grey) - np.minimum(kept, grey)
        if np.count_nonzero(apart > IMPULSE) * IMPULSES < grey.size:
            break
        grey = kept
    return grey


def noise_of(grey: Grey) -> int:
    """The deviation of white noise in 1/64 grey levels, from how far neighbouring pixels are apart.

    35 % of the differences of two normal numbers are below 0.642 deviations.
    """
    height, width = grey.shape
    counts = np.zeros(256, np.int64)
    for one, other in ((grey[1:], grey[:-1]), (grey[:, 1:], grey[:, :-1])):
        apart = np.maximum(one, other) - np.minimum(one, other)
        counts += np.bincount(apart.ravel(), minlength=256)
    total = 2 * height * width - height - width
    wanted = total * 35 // 100
    below = counts.cumsum()
    level = int((below <= wanted).sum())
    # Between whole levels by how far the share lies inside this one, less half a level that rounding adds.
    before = int(below[level - 1]) if level else 0
    sixtyfourths = 64 * level + 64 * (wanted - before) // max(int(counts[level]), 1) - 32 if level < 256 else 0
    return max(sixtyfourths, 0) * 156 // 100


def smoothed(grey: Grey, passes: int) -> Grey:
    """Each pass is a binomial filter, 1 2 1 by rows and by columns."""
    for _ in range(passes):
        x = np.pad(grey, 1, mode="edge").astype(np.uint16)
        x = x[:-2] + 2 * x[1:-1] + x[2:]
        x = x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]
        grey = ((x + 8) >> 4).astype(np.uint8)
    return grey


def levels_of(grey: Grey) -> tuple[int, int]:
    """The paper's median and the ink's dark decile, parted by Otsu's threshold."""
    counts = np.array(Image.fromarray(grey).histogram())
    threshold = otsu(counts)
    paper = quantile(counts, threshold + 1, 256, 500)
    ink = quantile(counts, 0, threshold + 1, 100)
    return paper, ink


def otsu(counts: NDArray[np.int64]) -> int:
    """The last level of the dark class that maximises the variance between both classes (Otsu, 1979)."""
    below = counts.cumsum()[:-1].astype(np.float64)
    total = float(counts.sum())
    above = total - below
    mass = (counts * np.arange(256.0)).cumsum()
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
    return start + int((total * 1000 < thousandths * total[-1]).sum())
