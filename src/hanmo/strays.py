"""Stray marks that do not belong to the character: light print, ruled lines and specks are removed.

Three independent steps, each from ink to ink, (H, W) uint8 as :func:`hanmo.paper.ink_of` returns it, 0 = paper:

1. :func:`without_print`: print that is lighter than the pen, such as the lines of practice cells, found by its level.
2. :func:`hanmo.rules.without_rules`: straight lines across the whole picture.
3. :func:`without_specks`: dots of up to 3 x 3 pixels with paper all around, found by a hit-or-miss transform (Serra,
   "Image analysis and mathematical morphology", 1982).

Parts of other characters come next (:mod:`hanmo.neighbours`). In doubt everything stays, since a lost stroke costs more
than a line too many.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hanmo.bitboard import any_of, board_of
from hanmo.paper import VISIBLE

Grey = NDArray[np.uint8]

STRONG = 158
"""Ink, of 255, that only the pen reaches where the print is lighter (62 %)."""

NEAR = 2
"""Pixels around strong ink that belong to it: the soft edges of strokes are weak ink, too."""

PRINT = 25
"""Weak ink away from strong ink, in per cent of the strong ink, from which it counts as print; less may be a stroke."""

PALE = 110
"""Darkest print that is removed, in ink of 255 (43 %); what is darker may be a faint stroke."""

LARGEST_SPECK = 32
"""The longer side, divided by this, is the side of the largest speck, 3 pixels at most; larger ones may be dots."""

EDGE = 3
"""Empty pixels added on all sides when specks are looked for: as many as the largest speck has."""


def without_print(ink: Grey) -> Grey:
    """Remove print that is lighter than the pen.

    If there is much weak ink away from strong ink, it is print. The level that nine tenths of it stay below becomes the
    new paper, and the ink above is stretched to the whole range again.
    """
    board = board_of(*ink.shape)
    # From half of what is visible on: edges of thin printed lines, which would stay otherwise, count as weak ink.
    strong, weak = board.at_least(ink, STRONG, VISIBLE // 2)
    weak &= ~board.grow(strong, NEAR)
    count = weak.bit_count()
    if count * 100 < PRINT * strong.bit_count():
        return ink
    histogram = np.bincount(ink[board.unpack(weak)], minlength=256).cumsum()
    level = int((histogram * 100 < 90 * count).sum())
    if level > PALE:
        return ink
    return (255 * (np.arange(256) - level) // (255 - level)).clip(0, 255).astype(np.uint8).take(ink)


def without_specks(ink: Grey) -> Grey:
    """Remove specks: squares of one to three pixels with ink inside and paper all around, such as dots of dotted lines.

    Masks are whole numbers with a bit for each pixel (:mod:`hanmo.bitboard`), so that a shift moves all pixels at once.
    """
    largest = min(3, max(ink.shape) // LARGEST_SPECK)
    if not largest:
        return ink
    board = board_of(*ink.shape, EDGE)
    corner = EDGE * (board.row + 1)  # the picture is moved down and right: squares may begin above and left of it
    inked, inside = board.pack(ink >= VISIBLE) << corner, board.inside << corner
    gone = 0
    for size in range(1, largest + 1):
        gone |= _specks(inked, inside, size, board.row)
    gone = gone >> corner & board.inside
    return np.where(board.unpack(gone), np.uint8(0), ink) if gone else ink


def _specks(inked: int, inside: int, size: int, row: int) -> int:
    """The squares of ``size`` pixels a side with ink inside and none around, whose middle lies ``inside`` the picture.

    ``inked`` and ``inside`` are masks with ``row`` bits a row. The bit of a square is the upper left corner of the ring
    of pixels around it. A mask shifted right by n bits has at each place what lies n bits further on, so n = row looks
    one pixel down, and n = 1 one to the right.
    """
    last = size + 1
    # Ink on the ring: on its upper and lower side, corners included, and on the left and right side between them.
    lines = any_of(inked, size + 2, 1)
    columns = any_of(inked >> row, size, row)
    ring = lines | lines >> last * row | columns | columns >> last
    middle = (size // 2 + 1) * (row + 1)
    alone = any_of(columns >> 1, size, 1) & ~ring & inside >> middle
    # From the corner of each square found to all its pixels: to the right, down, and past the ring.
    for _ in range(1, size):
        alone |= alone << 1
    for _ in range(1, size):
        alone |= alone << row
    return alone << row + 1
