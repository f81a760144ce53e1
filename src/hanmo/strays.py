"""What is on a picture beside the character, and goes: lighter print, rules and specks.

All of it works on the ink of :func:`hanmo.paper.ink_of`, (H, W) uint8, at most :data:`hanmo.paper.SIDE` pixels a side.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hanmo.bitboard import board_of
from hanmo.paper import RIM, VISIBLE, greatest

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]

STRIPS = 8
"""Strips that the picture is cut into across a rule's direction."""

SLOPES = range(-4, 5)
"""Pixels that a rule may rise or fall from one end of the picture to the other."""

STRONG = 158  # ink of 255 (0.62) that print does not reach where it is lighter than the pen
NEAR = 2  # pixels around strong ink that are the soft edges of its strokes
PRINT = 25  # lighter print, in per cent of the strong pixels, from which it is removed
PALE = 110  # ink of 255 that lighter print does not reach; what does may be a faint stroke
COVERED = 35  # per cent of a strip that a rule covers, dashed ones too
WHOLE = 55  # per cent of the whole width that it covers
THICK = 34  # thousandths of the longer side: as much ink may lie across a rule, it and what is within four pixels
MARGIN = 8  # rows of paper added above and below, so that lines may fall and rise
LARGEST_SPECK = 32  # parts of the longer side: larger squares of ink are no specks
EDGE = 3  # pixels of paper added on all sides when specks are looked for


def without_print(ink: Grey) -> Grey:
    """Print lighter than the pen removed: where much weak ink is away from strong ink, its level is the new paper."""
    strong = ink >= STRONG
    weak = (ink >= VISIBLE // 2) & (greatest(strong.view(np.uint8), NEAR) == 0)
    count = np.count_nonzero(weak)
    if count * 100 < PRINT * np.count_nonzero(strong):
        return ink
    histogram = np.bincount(ink[weak], minlength=256).cumsum()
    level = int((histogram * 100 < 90 * count).sum())
    if level > PALE:
        return ink
    return (255 * (np.arange(256) - level) // (255 - level)).clip(0, 255).astype(np.uint8).take(ink)


def rules_in(mask: Mask) -> Mask:
    """Where straight, thin, nearly horizontal rules run from one side of the picture to the other, bool (H, W)."""
    height, width = mask.shape
    adding, widths = _strips(width)
    inked = np.zeros((STRIPS, height + 2 * MARGIN), np.int32)  # pixels of a strip and row
    inked[:, MARGIN:-MARGIN] = adding @ mask.T.astype(np.float32)
    band = _greatest_rows(inked, 1)
    covered = band * 100 >= COVERED * widths
    along = _lines(covered)
    if along.size:
        along = along[:, band[_STRIP, along].sum(0) * 100 >= WHOLE * width]
    if not along.size:  # as on most pictures
        return np.zeros((height, width), bool)
    above = inked.cumsum(1)
    around = above[_STRIP, along + 4] - above[_STRIP, along - 5]
    thin = around * 1000 <= THICK * max(height, width) * widths
    found = np.zeros(inked.shape, bool)
    found[_STRIP, along[:, thin.sum(0) >= STRIPS // 2 + 1]] = True
    rule: Mask = _greatest_rows(found[:, MARGIN:-MARGIN], 1).T.repeat(widths[:, 0], axis=1)
    return rule


@lru_cache(maxsize=128)
def _strips(width: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The matrix (STRIPS, width) that adds up each strip's pixels, and the strips' widths (STRIPS, 1)."""
    widths = np.diff(width * np.arange(STRIPS + 1) // STRIPS)
    return np.eye(STRIPS, dtype=np.float32).repeat(widths, axis=1), widths[:, None]


def slope_shifts(slope: int) -> list[int]:
    """By how many rows a line that falls by ``slope`` over the picture lies lower in each strip than in the middle."""
    return [(slope * (2 * strip - STRIPS + 1) + STRIPS - 1) // (2 * STRIPS - 2) for strip in range(STRIPS)]


_STRIP = np.arange(STRIPS)[:, None]
_SHIFTS = np.array([slope_shifts(slope) for slope in SLOPES])[:, :, None]
_SHIFT = int(np.abs(_SHIFTS).max())


def _lines(covered: Mask) -> NDArray[np.intp]:
    """The lines of all slopes that are ``covered``, bool (STRIPS, rows), but for one strip: their rows (STRIPS, L)."""
    # First, whichever the slope: only where enough strips are covered nearby can a line lie.
    near = _greatest_rows(covered, _SHIFT)[:, MARGIN:-MARGIN]
    (middle,) = (near.sum(0, dtype=np.uint8) >= STRIPS - 1).nonzero()
    if not middle.size:
        return np.zeros((STRIPS, 0), np.intp)
    along = _SHIFTS + (middle + MARGIN)
    slope, line = (covered[_STRIP, along].sum(1, dtype=np.uint8) >= STRIPS - 1).nonzero()
    lines: NDArray[np.intp] = along[slope, :, line].T
    return lines


def _greatest_rows(table: NDArray[Any], reach: int) -> NDArray[Any]:
    """The greatest value of (STRIPS, rows) within ``reach`` rows; nothing is beyond the first and the last."""
    best = table.copy()
    for step in range(1, reach + 1):
        np.maximum(best[:, step:], table[:, :-step], out=best[:, step:])
        np.maximum(best[:, :-step], table[:, step:], out=best[:, :-step])
    return best


def without_rules(ink: Grey) -> Grey:
    """Rules erased but for where strokes cross them.

    The longest stroke of a picture that is cut close to the character runs from side to side as well. It is known by
    what would be left: that still reaches the two other sides.
    """
    mask = ink >= VISIBLE
    level, upright = _erased(mask), _erased(mask.T).T
    if not (level.any() or upright.any()):
        return ink
    rest = (ink >= RIM) & ~(level | upright)
    if rest[0].any() and rest[-1].any():
        level[:] = False
    if rest[:, 0].any() and rest[:, -1].any():
        upright[:] = False
    return np.where(level | upright, np.uint8(0), ink)


def _erased(mask: Mask) -> Mask:
    """The nearly horizontal rules of a mask, less where strokes cross them."""
    rule = rules_in(mask)
    if not rule.any():
        return rule
    rest = mask & ~rule
    # A stroke that crosses comes out on a side: what is near it there stays.
    crossing = rest.copy()
    for step in (1, 2, 3):
        crossing[step:] |= rest[:-step]
        crossing[:-step] |= rest[step:]
    crossing[:, 1:] |= crossing[:, :-1].copy()
    crossing[:, :-1] |= crossing[:, 1:].copy()
    return rule & ~crossing


def without_specks(ink: Grey) -> Grey:
    """Specks removed: squares of up to three pixels with ink inside and paper all around, as dots of dotted lines."""
    largest = min(3, max(ink.shape) // LARGEST_SPECK)
    if not largest:
        return ink
    board = board_of(*ink.shape, EDGE)
    corner = EDGE * (board.row + 1)  # so that squares may begin above and left of the picture
    inked, inside = board.pack(ink >= VISIBLE) << corner, board.inside << corner
    gone = 0
    for size in range(1, largest + 1):
        gone |= _specks(inked, inside, size, board.row)
    gone = gone >> corner & board.inside
    return np.where(board.unpack(gone), np.uint8(0), ink) if gone else ink


def _specks(inked: int, inside: int, size: int, row: int) -> int:
    """The squares of ``size`` with ink inside and none around, whose middle lies ``inside`` the picture.

    Masks are whole numbers with ``row`` bits a row. A square is known by the corner of the ring around it: shifted
    right by ``n``, a mask has in each corner's place what lies ``n`` bits further on.
    """
    last = size + 1
    lines = _any_of(inked, size + 2, 1)
    columns = _any_of(inked >> row, size, row)
    ring = lines | lines >> last * row | columns | columns >> last
    middle = (size // 2 + 1) * (row + 1)
    alone = _any_of(columns >> 1, size, 1) & ~ring & inside >> middle
    for _ in range(1, size):
        alone |= alone << 1
    for _ in range(1, size):
        alone |= alone << row
    return alone << row + 1


def _any_of(bits: int, count: int, step: int) -> int:
    """Whether any of ``count`` bits is set, each ``step`` further on, from each bit on."""
    found = bits
    for further in range(1, count):
        found |= bits >> further * step
    return found
