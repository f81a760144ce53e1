"""Rules, the straight lines across a whole picture, as on ruled paper: found and erased (:func:`without_rules`).

They are found by a coarse Hough transform (Duda and Hart, "Use of the Hough transformation to detect lines and curves
in pictures", 1972): the picture is cut into strips across the line's direction, and a line needs enough ink in nearly
every strip. A quick test (:func:`_middles`) comes first, as most pictures have no rules.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.paper import RIM, VISIBLE

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]

STRIPS = 8
"""Strips that the picture is cut into: enough to tell a line from a stroke, and each still wide enough for dashes."""

SLOPES = range(-4, 5)
"""Pixels that a rule may rise or fall over the width of the picture: 4 of 96 are 2.4 degrees, as of a sloping sheet."""

COVERED = 35
"""Per cent of a strip's width with ink from which a line covers the strip; low enough for dashed lines."""

WHOLE = 55
"""Per cent of the picture's whole width that a line must have ink on."""

THICK = 34
"""Most ink across a line, in thousandths of the longer side (3 of 96 pixels), within AROUND pixels on both sides of it:
thicker ones are strokes, or have strokes beside them."""

AROUND = 4
"""Pixels on both sides of a line in which other ink would make it thick."""

MARGIN = 8
"""Empty rows added above and below: a line ends up to 2 rows off its middle, and 5 more rows are looked at."""


def without_rules(ink: Grey) -> Grey:
    """Erase horizontal and vertical rules, except where strokes cross them.

    In a picture cut close to the character, its longest stroke runs from side to side as well, as in 一 or 十. Then the
    rest still reaches the other two sides: nothing is erased in that direction.
    """
    mask = ink >= VISIBLE
    rows, columns = _middles(mask)
    if not (rows.size or columns.size):
        return ink
    level, upright = _erased(mask, rows), _erased(mask.T, columns).T
    if not (level.any() or upright.any()):
        return ink
    # RIM and not VISIBLE: the ends of strokes at the picture's edge are often soft.
    rest = (ink >= RIM) & ~(level | upright)
    if rest[0].any() and rest[-1].any():
        level[:] = False
    if rest[:, 0].any() and rest[:, -1].any():
        upright[:] = False
    return np.where(level | upright, np.uint8(0), ink)


def _erased(mask: Mask, middle: NDArray[np.intp]) -> Mask:
    """The pixels to erase of the rules that :func:`rules_in` finds in a mask: all but those where strokes cross."""
    if not middle.size:
        return np.zeros(mask.shape, bool)
    rule = rules_in(mask, middle)
    if not rule.any():
        return rule
    rest = mask & ~rule
    # A crossing stroke has ink above or below the rule: what is within three rows and one column of such ink stays.
    crossing = rest.copy()
    for step in (1, 2, 3):
        crossing[step:] |= rest[:-step]
        crossing[:-step] |= rest[step:]
    crossing[:, 1:] |= crossing[:, :-1].copy()  # a copy, since the columns overlap
    crossing[:, :-1] |= crossing[:, 1:].copy()
    return rule & ~crossing


def rules_in(mask: Mask, middle: NDArray[np.intp]) -> Mask:
    """Find thin, straight, nearly horizontal lines from one side of a mask (H, W) to the other; bool (H, W).

    A line is a start row and a slope. It is found if all strips but one are covered along it, its ink covers enough of
    the whole width, and it is thin in more than half of the strips; elsewhere strokes may cross it. ``middle`` are the
    rows in which a line may have its middle, (R,), as :func:`_middles` finds them.
    """
    height, width = mask.shape
    strips = _strips(width, max(height, width))
    inked = np.zeros((STRIPS, height + 2 * MARGIN), np.int32)  # ink pixels in each strip and row
    inked[:, MARGIN:-MARGIN] = strips.adding @ mask.T.astype(np.float32)
    band = _greatest_rows(inked, 1)  # a line may run between two rows: the better of a row and its neighbours counts
    along = _lines(band >= strips.least[:, None], middle)
    if along.size:
        along = along[:, band[_STRIP, along].sum(0) * 100 >= WHOLE * width]
    if not along.size:
        return np.zeros((height, width), bool)
    # Ink within four rows of the line, from cumulative sums.
    above = inked.cumsum(1)
    thin = above[_STRIP, along + AROUND] - above[_STRIP, along - AROUND - 1] <= strips.most[:, None]
    found = np.zeros(inked.shape, bool)
    found[_STRIP, along[:, thin.sum(0) >= STRIPS // 2 + 1]] = True
    # Rows beside a line belong to it, as lines are up to three pixels thick.
    rule: Mask = _greatest_rows(found[:, MARGIN:-MARGIN], 1).T.repeat(strips.widths, axis=1)
    return rule


class _Strips(NamedTuple):
    """The strips of an axis, and the ink that a line has in one row of each."""

    adding: NDArray[np.float32]
    """The matrix (STRIPS, pixels) that sums the pixels of each strip."""
    widths: NDArray[np.int64]
    """Pixels across each strip, (STRIPS,)."""
    least: NDArray[np.int64]
    """Ink pixels in a row from which it covers the strip, (STRIPS,)."""
    most: NDArray[np.int64]
    """Most ink pixels around a row that is thin, (STRIPS,)."""


@lru_cache(maxsize=4096)  # half a kilobyte each; cropped samples have some thousand pairs of lengths
def _strips(width: int, longer: int) -> _Strips:
    """The strips of ``width`` pixels, of a picture whose longer side has ``longer``."""
    widths = _widths(width)
    return _Strips(_adding(width), widths, -(-COVERED * widths // 100), THICK * longer * widths // 1000)


@lru_cache(maxsize=256)  # 3 KB each
def _adding(width: int) -> NDArray[np.float32]:
    """The matrix (STRIPS, width) that sums the pixels of each strip."""
    return np.eye(STRIPS, dtype=np.float32).repeat(_widths(width), axis=1)


@lru_cache(maxsize=256)  # 3 KB each
def _summing(width: int) -> NDArray[np.float32]:
    """The transpose of :func:`_adding`, (width, STRIPS), row by row in memory: products with it are faster."""
    return np.ascontiguousarray(_adding(width).T)


def _widths(width: int) -> NDArray[np.int64]:
    """Pixels across each strip of ``width`` pixels, (STRIPS,)."""
    ends = width * np.arange(STRIPS + 1) // STRIPS
    return ends[1:] - ends[:-1]


class _Lines(NamedTuple):
    """What :func:`_middles` needs for pictures of one shape: for both directions the strips, and limits of their ink.

    The lines of both directions are in one table: rows, then columns, each with their margins.
    """

    across: NDArray[np.float32]
    """The matrix (width, STRIPS) that sums the pixels of a row in each strip."""
    down: NDArray[np.float32]
    """The matrix (height, STRIPS) that does so with a column."""
    least: NDArray[np.uint8]
    """(lines, STRIPS), as in :class:`_Strips`."""
    most: NDArray[np.uint8]
    """(lines - 2 AROUND, STRIPS), as in :class:`_Strips`; not for the outermost lines."""


@lru_cache(maxsize=4096)  # 3 KB each; cropped samples have some thousand shapes
def _lines_of(height: int, width: int) -> _Lines:
    across, down = (_strips(length, max(height, width)) for length in (width, height))
    counts = (height + 2 * MARGIN, width + 2 * MARGIN)
    least, most = (
        np.repeat(np.array(limits), counts, axis=0).astype(np.uint8)
        for limits in ((across.least, down.least), (across.most, down.most))
    )
    return _Lines(_summing(width), _summing(height), least, most[AROUND:-AROUND])


def _middles(mask: Mask) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows and the columns of a mask (H, W) in which a rule may have its middle: on most pictures none.

    Both directions at once, by a test that is quicker than :func:`rules_in` and that no rule fails. A rule covers all
    strips but one and is thin in more than half of them. So at least half of the strips have, within the greatest slope
    of its middle, a row that is covered and thin. And all but one have a covered row there.
    """
    height, width = mask.shape
    lines = _lines_of(height, width)
    cut = height + 2 * MARGIN  # where the columns begin
    sums = np.zeros((cut + width + 2 * MARGIN, STRIPS), np.float32)
    pixels = mask.astype(np.float32)
    np.matmul(pixels, lines.across, out=sums[MARGIN : MARGIN + height])
    np.matmul(pixels.T, lines.down, out=sums[cut + MARGIN : cut + MARGIN + width])
    # A strip has at most 12 pixels of a line, and nine lines have at most 108: all these numbers fit into bytes.
    inked = sums.astype(np.uint8)
    covered = _flags(inked >= lines.least)
    band = covered | covered << STRIPS | covered >> STRIPS  # the lines beside a line count as well
    # The outermost lines are far from all rows and columns: their flags do not matter.
    thin = _flags(_sum_of_nine(inked) <= lines.most) << STRIPS * AROUND
    size = len(inked) + _SHIFT + 1  # bits were shifted beyond the last line
    half = _within_slope(band & thin).to_bytes(size, "little").translate(_HALF)
    if 1 not in half:
        return _NONE, _NONE
    nearly_all = _within_slope(band).to_bytes(size, "little").translate(_NEARLY_ALL)
    (middles,) = (np.frombuffer(half, np.uint8) & np.frombuffer(nearly_all, np.uint8)).nonzero()
    rows, columns = middles - MARGIN, middles - (cut + MARGIN)
    return rows[(rows >= 0) & (rows < height)], columns[(columns >= 0) & (columns < width)]


_NONE = np.zeros(0, np.intp)


def _flags(table: Mask) -> int:
    """A table (lines, STRIPS) as a whole number: a byte for each line, with a bit for each strip.

    Operations on a number of some thousand bits take a tenth of the time of calls of numpy.
    """
    return int.from_bytes(np.packbits(table, bitorder="little").tobytes(), "little")


def _sum_of_nine(inked: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The sums of every nine successive lines of a table (lines, STRIPS), (lines - 8, STRIPS): 2 AROUND + 1 of them."""
    # The bytes of the eight strips of a line are one number of 64 bits, so one addition adds up all strips.
    line = inked.view(np.uint64)[:, 0]
    # Sums of 2, 4 and 8 lines, each from two of the last step, and one more line.
    two = line[:-1] + line[1:]
    four = two[:-2] + two[2:]
    eight = four[:-4] + four[4:]
    return (eight[:-1] + line[8:])[:, None].view(np.uint8)


def _within_slope(flags: int) -> int:
    """The :func:`_flags` that any line has which is not further away than the greatest slope takes a rule."""
    for _ in range(_SHIFT):
        flags |= flags << STRIPS | flags >> STRIPS
    return flags


_HALF = bytes(strips.bit_count() >= STRIPS // 2 for strips in range(256))
"""Whether at least half of the strips have a flag, for each byte of :func:`_flags`."""
_NEARLY_ALL = bytes(strips.bit_count() >= STRIPS - 1 for strips in range(256))
"""Whether all strips but one have it."""


def slope_shifts(slope: int) -> list[int]:
    """Rows by which a line that falls by ``slope`` pixels over the picture lies below its middle, for each strip."""
    return [(slope * (2 * strip - STRIPS + 1) + STRIPS - 1) // (2 * STRIPS - 2) for strip in range(STRIPS)]


_STRIP = np.arange(STRIPS)[:, None]  # index arrays: rows per strip, for all lines at once
_SHIFTS = np.array([slope_shifts(slope) for slope in SLOPES])[:, :, None]
_SHIFT = int(np.abs(_SHIFTS).max())


def _lines(covered: Mask, middle: NDArray[np.intp]) -> NDArray[np.intp]:
    """The L lines along which all strips but at most one are ``covered``, bool (STRIPS, rows).

    ``middle`` as in :func:`rules_in`. Returns the row of each line in each strip, (STRIPS, L).
    """
    along = _SHIFTS + (middle + MARGIN)
    slope, line = (covered[_STRIP, along].sum(1, dtype=np.uint8) >= STRIPS - 1).nonzero()
    lines: NDArray[np.intp] = along[slope, :, line].T
    return lines


def _greatest_rows(table: NDArray[Any], reach: int) -> NDArray[Any]:
    """Maximum filter along the rows of a table (STRIPS, rows), ``reach`` to both sides."""
    best = table.copy()
    for step in range(1, reach + 1):
        np.maximum(best[:, step:], table[:, :-step], out=best[:, step:])
        np.maximum(best[:, :-step], table[:, step:], out=best[:, :-step])
    return best
