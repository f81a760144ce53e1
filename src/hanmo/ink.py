"""The ink of one character, found on a grey picture and cut to its box: the front end as a whole.

The steps of :func:`find_ink`:

1. Reduce: a large picture is averaged down to 96 pixels (:func:`reduced`).
2. Binarise softly: paper becomes 0, ink 255 (:func:`hanmo.paper.ink_of`).
3. Clean: light print, rules and specks are removed (:mod:`hanmo.strays`, :mod:`hanmo.rules`), then parts of other
   characters (:mod:`hanmo.neighbours`).
4. Crop to the box of the ink, dust aside (:func:`crop_box`).
5. If the character is small on a reduced picture, repeat all of it on the original pixels around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hanmo import neighbours, paper, rules, strays
from hanmo.errors import BlankImageError

Grey = NDArray[np.uint8]
Remark = Literal["several characters", "touching the edge"]
"""A possible reason why a picture is hard to read."""

DUST, DUST_GAP = 0.01, 0.05
"""A speck is dust, and outside of the box, if it is apart from the character by more than DUST_GAP of its size and has
less than DUST of its ink. Of the 49 such specks in hwdb100-test none is a dot; of those with over 1.2 % of the ink some
are."""

CLOSER = 0.5  # a character smaller than this share of the reduced picture is read from the original pixels
_LOOKS = 3  # rounds at most, each closer than the one before
_AROUND = 0.5  # surroundings taken along, as a share of the character's size: its dots may have been taken for specks
LONG, GAP = 1.6, 0.08  # several characters: proportions of the box, and blank share of its length in between


@dataclass(frozen=True)
class Found:
    """The ink of a character, float32 (h, w), 0 = paper, 1 = ink, cut to its box; and what may be wrong with it."""

    ink: NDArray[np.float32]
    remark: Remark | None


def find_ink(grey: Grey, looks: int = _LOOKS, *, keep_faint: bool = True) -> Found:
    """Find the character on a picture (H, W) uint8, ink dark, in at most ``looks`` rounds.

    ``keep_faint`` as in :func:`hanmo.paper.ink_of`.

    Raises :class:`BlankImageError` when there is nothing but print and specks, :class:`FaintInkError` when noise hides
    the ink.
    """
    small = reduced(grey)
    ink, lines, touches = _own_ink(*paper.ink_of(small, keep_faint=keep_faint))
    if lines.rows.max() < paper.VISIBLE:
        raise BlankImageError("the picture is blank but for printed lines or specks; is the character on it?")
    rows, columns = _box(ink, lines, paper.VISIBLE)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if small is not grey and looks > 1 and max(height, width) < CLOSER * max(small.shape):
        # Two pixels more, since the box was found on reduced pixels.
        scale, around = max(grey.shape) / max(small.shape), _AROUND * max(height, width) + 2
        top, left = (max(int((line.start - around) * scale), 0) for line in (rows, columns))
        bottom, right = (int((line.stop + around) * scale) for line in (rows, columns))
        return find_ink(grey[top:bottom, left:right], looks - 1, keep_faint=keep_faint)
    ink = ink[rows, columns]
    remark: Remark | None = "several characters" if _several(ink) else "touching the edge" if touches else None
    return Found(ink.astype(np.float32) / np.float32(255), remark)


def _own_ink(ink: Grey, noiseless: bool) -> tuple[Grey, neighbours.Projections, bool]:
    """The ink of the character alone, (H, W), with its projections, and whether it touches the picture's edge.

    ``noiseless``: whether the picture was free of noise, as :func:`hanmo.paper.ink_of` returns it.
    """
    unprinted = rules.without_rules(strays.without_print(ink))
    unchanged = unprinted is ink or np.array_equal(unprinted, ink)
    if noiseless and unchanged and neighbours.is_cut_close(lines := neighbours.projected(ink)):
        return ink, lines, True  # cropped to the character by a program, as in data sets: nothing on it is stray
    ink = strays.without_specks(unprinted)
    own, touches = neighbours.own_pixels(ink)
    ink = ink * own
    return ink, neighbours.projected(ink), touches


def reduced(grey: Grey) -> Grey:
    """Average (H, W) down to :data:`hanmo.paper.SIDE` pixels on the longer side; smaller pictures stay as they are."""
    longest = max(grey.shape)
    if longest <= paper.SIDE:
        return grey
    height, width = (max(1, round(length * paper.SIDE / longest)) for length in grey.shape)
    # Across first, then down: Pillow may choose the other order, whose rounding differs by a level.
    across = Image.fromarray(grey).resize((width, grey.shape[0]), Image.Resampling.BOX)
    return np.asarray(across.resize((width, height), Image.Resampling.BOX))


def crop_box(ink: NDArray[Any], visible: float) -> tuple[slice, slice]:
    """The rows and columns of the smallest box that holds all pixels of at least ``visible`` ink, dust aside."""
    return _box(ink, (ink.max(axis=1), ink.max(axis=0)), visible)


def _box(ink: NDArray[Any], lines: Sequence[NDArray[Any]], visible: float) -> tuple[slice, slice]:
    """:func:`crop_box`, given the greatest ink of every row and of every column."""
    rows, columns = ((line >= visible).nonzero()[0] for line in lines)
    gap = DUST_GAP * max(rows[-1] - rows[0], columns[-1] - columns[0])
    return _without_dust(rows, ink, 1, gap), _without_dust(columns, ink, 0, gap)


def _without_dust(seen: NDArray[np.intp], ink: NDArray[Any], axis: int, gap: float) -> slice:
    """The range of the ascending lines ``seen``, without outer groups of DUST beyond a ``gap``."""
    start, stop = int(seen[0]), int(seen[-1]) + 1
    if stop - start - len(seen) <= gap:  # all blank lines together are not wider
        return slice(start, stop)
    (wide,) = (seen[1:] - seen[:-1] > gap + 1).nonzero()
    if len(wide):  # rarely, so the ink is summed only then
        mass = ink.sum(axis=axis)
        share = mass.cumsum()[seen[wide]] / mass.sum()
        if (leading := wide[share < DUST]).size:
            start = seen[leading[-1] + 1]
        if (trailing := wide[share > 1 - DUST]).size:
            stop = seen[trailing[0]] + 1
    return slice(int(start), int(stop))


def _several(ink: Grey) -> bool:
    """Whether a box of ink looks like several characters: long, with a blank gap in the middle half of its length."""
    height, width = ink.shape
    if max(height, width) < LONG * min(height, width):
        return False
    lines: NDArray[np.bool_] = np.any(ink >= paper.VISIBLE, axis=0 if width > height else 1)
    length = len(lines)
    if length - np.count_nonzero(lines) <= GAP * length:  # all blank lines together are not wider
        return False
    ends = np.flatnonzero(lines)
    gaps = np.diff(ends) - 1
    middle = (ends[:-1] > length // 4) & (ends[1:] < length - length // 4)
    return bool((gaps[middle] > GAP * length).any())
