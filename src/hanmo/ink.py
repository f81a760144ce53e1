"""A grey picture -> the ink of the character on it, cut to its box: :mod:`hanmo.paper`, :mod:`hanmo.strays`,
:mod:`hanmo.neighbours`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hanmo import neighbours, paper, strays
from hanmo.errors import BlankImageError

Grey = NDArray[np.uint8]
Remark = Literal["several characters", "touching the edge"]
"""What may be wrong with a picture that a reader is unsure of."""

DUST, DUST_GAP = 0.01, 0.05
"""A speck apart from the character by this share of its size, with under this share of the ink, does not count when
the character is cropped. Looked up on hwdb100-test: of 49 such specks none was a dot; above 1.2 % some are."""

_CLOSER = 0.5  # a character smaller than this share of a reduced picture is looked at again, closer
_LOOKS = 3  # so often at most
_AROUND = 0.5  # with this share of its size around it: dots that looked like specks may lie there
_LONG, _GAP = 1.6, 0.08  # proportions, and blank share in between, of what may be several characters


@dataclass(frozen=True)
class Found:
    """``ink`` is float32 (h, w), 0 = paper, 1 = ink, cut to the character."""

    ink: NDArray[np.float32]
    remark: Remark | None


def find_ink(grey: Grey, looks: int = _LOOKS) -> Found:
    """Find the character on a picture (H, W), ink dark.

    Raises :class:`BlankImageError` where there is none, print aside; :class:`FaintInkError` where noise hides it.
    """
    small = reduced(grey)
    ink, touches = _own_ink(*paper.ink_of(small))
    if ink.max() < paper.VISIBLE:
        raise BlankImageError("the picture is blank but for printed lines or specks; is the character on it?")
    rows, columns = crop_box(ink, paper.VISIBLE)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if small is not grey and looks > 1 and max(height, width) < _CLOSER * max(small.shape):
        scale, around = max(grey.shape) / max(small.shape), _AROUND * max(height, width) + 2
        top, left = (max(int((line.start - around) * scale), 0) for line in (rows, columns))
        bottom, right = (int((line.stop + around) * scale) for line in (rows, columns))
        return find_ink(grey[top:bottom, left:right], looks - 1)
    ink = ink[rows, columns]
    remark: Remark | None = "several characters" if _several(ink) else "touching the edge" if touches else None
    return Found(ink.astype(np.float32) / np.float32(255), remark)


def _own_ink(ink: Grey, even: bool) -> tuple[Grey, bool]:
    """The ink of the character alone, and whether it touches the picture's rim."""
    unprinted = strays.without_rules(strays.without_print(ink))
    if even and neighbours.is_cut_close(unprinted) and np.array_equal(unprinted, ink):
        return ink, True  # as a program cuts characters out: nothing on it is stray
    ink = strays.without_specks(unprinted)
    own, cell, touches = neighbours.own_cells(ink)
    # Soft edges of strokes lie in the cells next to the inked ones.
    near = paper.greatest(own.view(np.uint8), 1)
    return ink * neighbours.by_pixels(near.view(np.bool_), cell)[: ink.shape[0], : ink.shape[1]], touches


def reduced(grey: Grey) -> Grey:
    """The picture averaged down to :data:`hanmo.paper.SIDE` pixels on its longer side; itself if it is no larger."""
    longest = max(grey.shape)
    if longest <= paper.SIDE:
        return grey
    height, width = (max(1, round(length * paper.SIDE / longest)) for length in grey.shape)
    # Across first, then down: Pillow may choose the other order, whose rounding differs by a level.
    across = Image.fromarray(grey).resize((width, grey.shape[0]), Image.Resampling.BOX)
    return np.asarray(across.resize((width, height), Image.Resampling.BOX))


def crop_box(ink: NDArray[Any], visible: float) -> tuple[slice, slice]:
    """The smallest box, rows and columns, that holds every pixel of at least ``visible`` ink, but for dust outside."""
    rows, columns = ((ink.max(axis=axis) >= visible).nonzero()[0] for axis in (1, 0))
    gap = DUST_GAP * max(rows[-1] - rows[0], columns[-1] - columns[0])
    return _without_dust(rows, ink, 1, gap), _without_dust(columns, ink, 0, gap)


def _without_dust(seen: NDArray[np.intp], ink: NDArray[Any], axis: int, gap: float) -> slice:
    """From the first to the last of the ``seen`` lines, less outer groups of :data:`DUST` ink beyond a ``gap``."""
    start, stop = seen[0], seen[-1] + 1
    (wide,) = (seen[1:] - seen[:-1] > gap + 1).nonzero()
    if len(wide):  # rare, so the ink is added up only then
        mass = ink.sum(axis=axis)
        share = mass.cumsum()[seen[wide]] / mass.sum()
        if (leading := wide[share < DUST]).size:
            start = seen[leading[-1] + 1]
        if (trailing := wide[share > 1 - DUST]).size:
            stop = seen[trailing[0]] + 1
    return slice(int(start), int(stop))


def _several(ink: Grey) -> bool:
    """Whether a box is long, and parted across its middle half by blank paper."""
    height, width = ink.shape
    if max(height, width) < _LONG * min(height, width):
        return False
    lines: NDArray[np.bool_] = np.any(ink >= paper.VISIBLE, axis=0 if width > height else 1)
    length = len(lines)
    ends = np.flatnonzero(lines)
    gaps = np.diff(ends) - 1
    middle = (ends[:-1] > length // 4) & (ends[1:] < length - length // 4)
    return bool((gaps[middle] > _GAP * length).any())
