"""From pages to squares in torch, for thousands of pages at a time: :mod:`hanmo.strays` and :mod:`hanmo.neighbours`.

It removes print, rules, specks and neighbouring characters as the NumPy code of these modules does, whose docstrings
explain each step; :mod:`hanmo.train.page_squares` scales what is left into squares. Tests compare the two.

Shapes: N pages, P pixels a side, S the side of a square, L lines with a margin, 8 strips.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo import bitboard, neighbours, paper, rules, strays
from hanmo.train.page_ink import counted, ink_of
from hanmo.train.page_squares import boxes_of, squares_of


def normalize_pages(pages: Tensor, side: int, margin: int, *, keep_faint: bool = True) -> tuple[Tensor, Tensor]:
    """Normalise pages, uint8 (N, P, P) with P at most 96 and dark ink, as ``Normalization(side=side, margin=margin)``.

    ``keep_faint``: whether the faintest pixels of a page without noise are ink, as from version 3 on.

    Returns squares, uint8 (N, S, S) with bright ink, and bool (N,): True where no ink was found.
    """
    assert pages.shape[1] == pages.shape[2] <= paper.SIDE
    ink, blank, noiseless = ink_of(pages, keep_faint=keep_faint)
    ink = _own_ink(ink, noiseless)
    seen = ink >= paper.VISIBLE
    blank |= ~seen.flatten(1).any(1)
    seen |= blank[:, None, None]  # a blank page gets the whole page as its box; the result is not used
    return squares_of(ink, boxes_of(ink, seen), side, margin), blank


def _own_ink(ink: Tensor, noiseless: Tensor) -> Tensor:
    """The ink of the characters alone, int32 (N, P, P), as :mod:`hanmo.ink` has it."""
    unprinted = without_rules(without_print(ink))
    # A clean picture cut to the character's box needs no cleaning, and its strokes at the edge must stay.
    as_it_is = noiseless & is_cut_close(unprinted) & (unprinted == ink).flatten(1).all(1)
    rest = without_specks(unprinted)
    near = _grown(own_cells(rest), 1)
    size = neighbours.cell_of(ink.shape[-1])
    # From cells (N, h, h) back to pixels, cut because the last cell may stick out; grown, so that soft edges stay.
    near = near.repeat_interleave(size, 1).repeat_interleave(size, 2)[:, : ink.shape[1], : ink.shape[2]]
    return torch.where(as_it_is[:, None, None], ink, rest * near)


def without_print(ink: Tensor) -> Tensor:
    """:func:`hanmo.strays.without_print` of int32 (N, P, P)."""
    strong = ink >= strays.STRONG
    weak = (ink >= paper.VISIBLE // 2) & ~_grown(strong, strays.NEAR)
    count = weak.sum((1, 2))
    histogram = counted(ink.flatten(1), weak.flatten(1)).cumsum(1)
    # The ink that nine tenths of the print stay below becomes the new paper.
    level = (histogram * 100 < 90 * count[:, None]).sum(1)
    found = (count * 100 >= strays.PRINT * strong.sum((1, 2))) & (level <= strays.PALE)
    level = level.clamp(max=254)[:, None, None]
    lighter = torch.div(255 * (ink - level), 255 - level, rounding_mode="floor").clamp(0, 255).int()
    return torch.where(found[:, None, None], lighter, ink)


def without_rules(ink: Tensor) -> Tensor:
    """:func:`hanmo.rules.without_rules` of int32 (N, P, P)."""
    mask = ink >= paper.VISIBLE
    level, upright = _erased(mask), _erased(mask.mT).mT
    rest = (ink >= paper.RIM) & ~(level | upright)
    level = level & ~_reaches(rest, 1)[:, None, None]
    upright = upright & ~_reaches(rest, 2)[:, None, None]
    return ink.masked_fill(level | upright, 0)


def _reaches(mask: Tensor, axis: int) -> Tensor:
    """Which masks (N, h, w) are set somewhere on the first and on the last line of an axis: bool (N,)."""
    first, last = mask.select(axis, 0), mask.select(axis, -1)
    return first.any(1) & last.any(1)


def _erased(mask: Tensor) -> Tensor:
    """The rules, without the places where strokes cross them."""
    rule = rules_in(mask)
    rest = mask & ~rule
    crossing = F.max_pool2d(rest.float()[:, None], (7, 3), 1, (3, 1))[:, 0] > 0
    return rule & ~crossing


def rules_in(mask: Tensor) -> Tensor:
    """:func:`hanmo.rules.rules_in` of bool (N, P, P)."""
    side, margin = mask.shape[-1], rules.MARGIN
    edges = side * np.arange(rules.STRIPS + 1) // rules.STRIPS
    widths = torch.from_numpy(np.diff(edges)).to(mask.device)
    # Sums along rows, so that the ink of any strip is one difference.
    sums = F.pad(mask.cumsum(2, dtype=torch.int32), (1, 0))
    ends = torch.from_numpy(edges).to(mask.device)
    inked = F.pad(sums[..., ends[1:]] - sums[..., ends[:-1]], (0, 0, margin, margin))  # (N, L, 8)
    band = _greatest_rows(inked, 1)
    above = F.pad(inked.cumsum(1), (0, 0, 1, 0))
    reach = 2 * rules.AROUND + 1
    around = F.pad(above[:, reach:] - above[:, :-reach], (0, 0, rules.AROUND, rules.AROUND))
    covered = band * 100 >= rules.COVERED * widths
    thin = around * 1000 <= rules.THICK * side * widths
    # Three properties of each line in each strip, so that one gather along a slope collects all of them.
    tables = torch.stack((covered.long(), thin.long(), band), 3)  # (N, L, 8, 3)
    found = torch.zeros_like(covered)
    # A rule may be a little slanted: for each slope the strips are shifted against each other and added up.
    for slope in rules.SLOPES:
        shifts = [margin + shift for shift in rules.slope_shifts(slope)]
        along = torch.stack([tables[:, s : s + side, strip] for strip, s in enumerate(shifts)]).sum(0)  # (N, P, 3)
        is_rule = (along[..., 0] >= rules.STRIPS - 1) & (along[..., 1] >= rules.STRIPS // 2 + 1)
        is_rule &= along[..., 2] * 100 >= rules.WHOLE * side
        # Written back along the same slope, into the lines with margin: (N, L, 8).
        found |= torch.stack([F.pad(is_rule, (s, 2 * margin - s)) for s in shifts], 2)
    # Lines beside a rule belong to it, as rules are up to three pixels thick. Then from strips to pixels.
    rule = _greatest_rows(found[:, margin:-margin].int(), 1) > 0
    strip = np.repeat(np.arange(rules.STRIPS), np.diff(edges))
    return rule[..., torch.from_numpy(strip).to(mask.device)]


def _greatest_rows(table: Tensor, reach: int) -> Tensor:
    padded = F.pad(table, (0, 0, reach, reach))
    return torch.stack([padded[:, i : i + table.shape[1]] for i in range(2 * reach + 1)]).amax(0)


def without_specks(ink: Tensor) -> Tensor:
    """:func:`hanmo.strays.without_specks` of int32 (N, P, P)."""
    side, edge = ink.shape[-1], strays.EDGE
    mask = (ink >= paper.VISIBLE).int()
    # A summed-area table: the ink in any square is four look-ups.
    sums = F.pad(F.pad(mask, [edge] * 4).cumsum(1, dtype=torch.int32).cumsum(2, dtype=torch.int32), (1, 0, 1, 0))

    def inked(size: int) -> Tensor:
        first = edge - size // 2
        near, far = slice(first, first + side), slice(first + size, first + size + side)
        return sums[:, far, far] - sums[:, near, far] - sums[:, far, near] + sums[:, near, near]

    gone = torch.zeros_like(mask, dtype=torch.bool)
    for size in range(1, 1 + min(3, side // strays.LARGEST_SPECK)):
        inside = inked(size)
        # A speck is ink within a square of this size and none in the ring around it.
        alone = F.pad((inside > 0) & (inked(size + 2) == inside), [size] * 4)
        first = size // 2 + 1
        # All size x size squares that contain a pixel: it goes if any of them is a speck.
        for down in range(first, first + size):
            for right in range(first, first + size):
                gone |= alone[:, down : down + side, right : right + side]
    return ink.masked_fill(gone, 0)


def own_cells(ink: Tensor) -> Tensor:
    """:func:`hanmo.neighbours.own_cells` of int32 (N, P, P): bool (N, h, h)."""
    size = neighbours.cell_of(ink.shape[-1])
    inked = _cells(ink >= paper.VISIBLE, size)
    side = inked.shape[-1]
    clear = 1 + side * neighbours.CLEAR // 100
    rim, shallow_ring = (
        torch.from_numpy(neighbours.ring(side, side, depth)).to(ink.device)
        for depth in (1, 1 + side * neighbours.SHALLOW // 100)
    )
    reaching = _flood(inked & rim, inked)
    # Ink that touches the edge and reaches no deeper than SHALLOW.
    shallow = reaching & ~_flood(reaching & ~shallow_ring, inked)
    rest = inked & ~shallow
    rows, columns = rest.any(2), rest.any(1)
    reached = torch.stack([lines.any(1) for all_ in (rows, columns) for lines in (all_[:, :clear], all_[:, -clear:])])
    slight = shallow.sum((1, 2)) * 100 <= neighbours.SLIGHT * inked.sum((1, 2))
    ends = shallow & (slight & (reached.sum(0) <= neighbours.REACHED))[:, None, None]
    inked, reaching = inked & ~ends, reaching & ~ends
    solid = _cells(ink >= neighbours.SOLID, size) & inked
    parts = _parts(inked, reaching, neighbours.KEPT_CENTRED)
    hard = _parts(solid, _flood(solid & rim, solid), neighbours.KEPT)
    # Parts found in solid ink take their soft edges along, but not those that are the character's as well.
    soft = _flood(hard, inked & ~_grown(solid & ~hard, 1))
    parts = torch.where(parts.flatten(1).any(1)[:, None, None], parts, soft)
    return inked & ~(parts & ~is_cut_close(ink)[:, None, None])


def is_cut_close(ink: Tensor) -> Tensor:
    """:func:`hanmo.neighbours.is_cut_close` of int32 (N, P, P): bool (N,)."""
    cell, weak = neighbours.cell_of(ink.shape[-1]), ink >= paper.RIM
    sides = (weak[:, :cell], weak[:, -cell:], weak[..., :cell], weak[..., -cell:])
    return torch.stack([side.flatten(1).any(1) for side in sides]).all(0)


def _cells(mask: Tensor, size: int) -> Tensor:
    """:func:`hanmo.neighbours.by_cells` of bool (N, P, P)."""
    short = -mask.shape[-1] % size
    return F.max_pool2d(F.pad(mask.float(), (0, short, 0, short))[:, None], size)[:, 0] > 0


def _parts(inked: Tensor, reaching: Tensor, kept: int) -> Tensor:
    """Parts of bool (N, h, h) that reach in from the rim a little way, as :mod:`hanmo.neighbours` finds them."""
    side = inked.shape[-1]
    deep_ring, clear_ring = (
        torch.from_numpy(neighbours.ring(side, side, depth)).to(inked.device)
        for depth in (side * neighbours.DEEP // 100, 1 + side * neighbours.CLEAR // 100)
    )
    parts = reaching & ~_flood(reaching & ~deep_ring, inked)
    parts = parts & ~_flood(parts & _grown(inked & ~parts, side * neighbours.APART // 100), parts)
    rest = inked & ~parts
    least = torch.where(_is_centred(rest), kept, neighbours.KEPT)
    enough = rest.sum((1, 2)) * 100 >= least * inked.sum((1, 2))
    free = rest.flatten(1).any(1) & ~(rest & clear_ring).flatten(1).any(1)
    return parts & (enough & free)[:, None, None]


def _is_centred(cells: Tensor) -> Tensor:
    """Which masks (N, h, h) are as large as a character and centred: bool (N,)."""
    side = cells.shape[-1]
    number = torch.arange(side, device=cells.device)
    lines = torch.stack([cells.any(2), cells.any(1)])
    start = number.where(lines, side).amin(2)
    stop = number.where(lines, -1).amax(2) + 1
    extent, off = stop - start, (start + stop - side).abs()
    large = (extent.amax(0) * 100 >= neighbours.LONG * side) & (extent.amin(0) * 100 >= neighbours.SHORT * side)
    # ``off`` is twice the distance between the middles of box and picture: hence 50 and not 100 for per cent.
    return large & (off.amax(0) * 50 <= neighbours.OFF * side)


def _grown(mask: Tensor, steps: int) -> Tensor:
    """``mask`` (N, h, w) and everything within ``steps`` of it."""
    return F.max_pool2d(mask.float()[:, None], 2 * steps + 1, 1, steps)[:, 0] > 0 if steps else mask


def _flood(seed: Tensor, inside: Tensor) -> Tensor:
    """Flood fill: all of ``inside`` (N, h, w) within :data:`hanmo.bitboard.STEPS` steps of ``seed``, diagonals too.

    Each row is one int64 with a bit for each cell, so a step is a few operations on (N, h).
    """
    place = torch.arange(inside.shape[2], device=inside.device)
    assert len(place) < 63  # a row must fit into the bits of a positive int64
    room = (inside.long() << place).sum(2)
    grown = (seed.long() << place).sum(2) & room
    rows = F.pad(torch.zeros_like(grown), (1, 1))
    for _ in range(bitboard.STEPS):
        wide = grown | grown << 1 | grown >> 1
        rows[:, 1:-1] = wide
        grown = (wide | rows[:, :-2] | rows[:, 2:]) & room
    return (grown[..., None] >> place & 1) > 0
