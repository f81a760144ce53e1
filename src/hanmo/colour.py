"""Colour -> grey, without coloured print where colour tells it from the ink.

A red practice grid and black ink may have the same brightness, so a plain grey picture keeps the grid's lines. In the
red channel the grid is nearly as bright as the paper, and the ink is still dark. :func:`to_grey` uses such a channel,
but only where the picture shows both coloured print and ink of another kind. Every other picture gets Pillow's luma.

All arithmetic is in whole numbers, so that ``js/local/colour.js`` gives the same levels.
"""

from __future__ import annotations

from math import gcd
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Grey: TypeAlias = NDArray[np.uint8]
Levels: TypeAlias = NDArray[np.int16]
Print: TypeAlias = tuple[tuple[int, int, int], dict[int, int]]
"""The paper's colour, and for each channel (0 to 2) in which print is hidden a factor in 1/64: how far its level is
to be raised for each level by which the channel stands out."""

SAMPLES = 4096
"""About so many pixels of a picture are examined, however large it is."""
_RARE = 256
"""Print must fill one part in so many of the sample, and at least ``_FEWEST`` pixels of it; ink twice as much."""
_FEWEST = 8
_COLOURED = 32
"""How far, of 255, a print's brightest channel stands above the other two once a grey paper is white."""
_GREY = 8
"""Where the three channels never lie so far apart, there is no colour to look for."""
_INK = 160
"""Level, of 255 for the paper, up to which a pixel may be ink."""
_DARK_PAPER = 64
"""A picture whose usual level lies below this in any channel shows no paper, and is left as luma."""
_PALE_BLUE = 80
"""Luma from which blue is taken for print: darker blue beside black may be a pen."""
_BLUE = 2
_BLOCK = 2**18
"""Pixels that are converted at a time, which bounds the memory."""


def to_grey(rgb: Grey, examined: Grey | None = None) -> Grey:
    """uint8 (H, W, 3) -> uint8 (H, W): Pillow's luma, or where :func:`find_print` finds print, the picture without it.

    ``rgb`` must hold at least one pixel. Print is sought in ``examined``, if given: those of its pixels, as a picture
    (H, W, 3) of any shape, among which there is print and ink and nothing else.
    """
    found = find_print(rgb if examined is None else examined)
    return np.array(Image.fromarray(np.ascontiguousarray(rgb)).convert("L")) if found is None else hide(rgb, found)


def find_print(rgb: Grey | Image.Image) -> Print | None:
    """The coloured print beside ink of another kind in uint8 (H, W, 3) or mode RGB, or None where luma serves best.

    A pixel is compared with the paper, which is the median of each channel. It is print of a channel when that channel
    stands out from the other two by more than it lies below the paper, and ink when it is dark in that channel and not
    of its hue. Ink must be darker than the print on average. Blue is left where it is dark or has little ink
    beside it, for it may be a pen.
    """
    sample = _sample(rgb)
    if _is_grey(sample):
        return None
    paper = _medians(sample)
    if min(paper) < _DARK_PAPER:
        return None
    # White balance: each channel is scaled so that the paper becomes 255, or tinted paper would look like print.
    levels = [_table(tone)[sample[:, k]] for k, tone in enumerate(paper)]
    enough = _COLOURED + (max(paper) - min(paper)) // 2  # beside ink a JPEG mixes up the paper's own tint
    fewest = max(_FEWEST, len(sample) // _RARE)
    rests: dict[int, int] = {}
    luma: NDArray[np.int64] | None = None
    for channel in range(3):
        stands = _stands_out(levels, channel)
        below = 255 - levels[channel]
        # Red print, for example, leaves red almost as bright as the paper and takes green and blue away.
        coloured = (stands >= enough) & (stands >= below)
        if np.count_nonzero(coloured) < fewest:
            continue
        ink = (levels[channel] <= _INK) & (stands < _COLOURED)
        # Without dark ink beside it the coloured lines are the writing itself, which must not be hidden.
        if np.count_nonzero(ink) < 2 * fewest:
            continue
        luma = _luma(*levels) if luma is None else luma
        tone, dark = _mean(luma[coloured]), _mean(luma[ink])
        pen = channel == _BLUE and (tone < _PALE_BLUE or 3 * np.count_nonzero(ink) < np.count_nonzero(coloured))
        if dark < tone and not pen:
            total = int(stands[coloured].sum(dtype=np.int64))
            missing = int(np.maximum(below[coloured], 0).sum(dtype=np.int64))
            # Even in its own channel print is a little darker than paper: by how much, for each level it stands out.
            rests[channel] = (64 * missing + total // 2) // total
    return (paper, rests) if rests else None


def hide(rgb: Grey, found: Print) -> Grey:
    """uint8 (H, W, 3) -> uint8 (H, W): the print brought to the paper's brightness, the ink left dark.

    From paper to print, a channel falls in proportion to how far the print's hue stands out, also at smooth edges. So
    that part is added back. Where several prints are hidden, the brightest result counts.
    """
    paper, rests = found
    bright = _luma(*(np.array(tone) for tone in paper))
    tables = [_table(tone) for tone in paper]
    # Levels for white paper -> levels for this paper's own brightness.
    tones = ((np.arange(256) * int(bright) + 127) // 255).astype(np.uint8)
    flat = rgb.reshape(-1, 3)
    grey = np.empty(len(flat), np.uint8)
    for start in range(0, len(flat), _BLOCK):
        part = flat[start : start + _BLOCK]
        levels = [table[part[:, k]] for k, table in enumerate(tables)]
        best = np.zeros(len(part), np.int32)
        for channel, rest in rests.items():
            stands = np.maximum(_stands_out(levels, channel), 0).astype(np.int32)
            np.maximum(best, levels[channel] + (rest * stands >> 6), out=best)
        grey[start : start + _BLOCK] = tones[np.minimum(best, 255)]
    return grey.reshape(rgb.shape[:2])


def _sample(rgb: Grey | Image.Image) -> Grey:
    """(N, 3): every so many pixels in reading order, in a step that meets every column of a picture."""
    width, height = rgb.size if isinstance(rgb, Image.Image) else rgb.shape[1::-1]
    step = max(1, height * width // SAMPLES)
    # A step that shares a factor with the width would meet the same few columns in every row.
    while gcd(step, width) != 1:
        step += 1
    if isinstance(rgb, Image.Image):
        if height * width > _BLOCK and (pixels := rgb.load()) is not None:  # an array of all pixels takes far longer
            places = range(0, height * width, step)
            return np.array([pixels[i % width, i // width] for i in places], np.uint8)
        rgb = np.asarray(rgb)
    return np.ascontiguousarray(rgb.reshape(-1, 3)[::step].T).T


def _is_grey(sample: Grey) -> bool:
    red, green, blue = sample.T
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return int(spread.max()) < _GREY


def _medians(sample: Grey) -> tuple[int, int, int]:
    red, green, blue = (int(np.sort(channel)[len(sample) // 2]) for channel in sample.T)
    return red, green, blue


def _table(paper: int) -> Levels:
    """Level -> level where this channel of the paper is 255; a brighter spot lies above, at most at 1016."""
    return ((np.arange(256) * 255 + paper // 2) // paper).astype(np.int16)


def _stands_out(levels: list[Levels], channel: int) -> Levels:
    one, other = (levels[k] for k in range(3) if k != channel)
    return levels[channel] - np.maximum(one, other)


def _luma(red: NDArray[np.integer], green: NDArray[np.integer], blue: NDArray[np.integer]) -> NDArray[np.int64]:
    """ITU-R 601-2 luma in 16 bits, as Pillow has it."""
    return (red.astype(np.int64) * 19595 + green.astype(np.int64) * 38470 + blue.astype(np.int64) * 7471 + 0x8000) >> 16


def _mean(values: NDArray[np.int64]) -> int:
    return int(values.sum()) // len(values)
