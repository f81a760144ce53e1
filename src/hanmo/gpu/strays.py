"""Print, rules and specks removed from the ink of many pictures: :mod:`hanmo.strays` in torch.

Ink is uint8 (N, P, P), 0 outside of the pictures. Tests compare the functions with those of the NumPy code, whose
docstrings explain each step.
"""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo import paper, rules, strays
from hanmo.gpu.pictures import Sizes, counted, grown, mask_of, where, words_of

_ROUND = rules.MARGIN


def without_print(ink: Tensor) -> Tensor:
    """:func:`hanmo.strays.without_print`."""
    strong = ink >= strays.STRONG
    weak = (ink >= paper.VISIBLE // 2) & ~grown(strong, strays.NEAR, strays.NEAR)
    count = weak.sum((1, 2))
    rows = where((count > 0) & (count * 100 >= strays.PRINT * strong.sum((1, 2))))
    if rows is None:
        return ink
    few = ink[rows]
    below = counted(few.long().masked_fill(~weak[rows], 256).flatten(1)).cumsum(1)
    level = (below * 100 < 90 * count[rows][:, None]).sum(1)[:, None, None]
    above = (few.int() - level).clamp(min=0)
    lighter = (255 * above // (255 - level).clamp(min=1)).clamp(max=255).to(torch.uint8)
    return ink.index_copy(0, rows, torch.where(level <= strays.PALE, lighter, few))


def without_rules(ink: Tensor, sizes: Sizes) -> Tensor:
    """:func:`hanmo.rules.without_rules`."""
    mask = ink >= paper.VISIBLE
    across, down = _strips(mask, sizes), _strips(mask.mT, sizes.turned)
    if (rows := where(_may_have_rules(across) | _may_have_rules(down))) is None:
        return ink
    few, mask, sizes = ink[rows], mask[rows], sizes.of(rows)
    level, upright = _erased(mask, sizes, across.of(rows)), _erased(mask.mT, sizes.turned, down.of(rows)).mT
    rest = (few >= paper.RIM) & ~(level | upright)
    level = level & ~_reaches(rest.any(2), sizes.height)
    upright = upright & ~_reaches(rest.any(1), sizes.width)
    return ink.index_copy(0, rows, few.masked_fill(level | upright, 0))


def _reaches(lines: Tensor, length: Tensor) -> Tensor:
    """bool (N, 1, 1): whether the first and the last of the lines (N, P) that belong to the picture are set."""
    return (lines[:, 0] & lines.gather(1, length[:, None] - 1)[:, 0])[:, None, None]


class _Strips(NamedTuple):
    """What rules are looked for in: every row with its margins in every strip, N pictures of P + 16 rows."""

    band: Tensor
    """Ink pixels of a row, or of the one above or below if they have more; int32 (N, P + 16, 8)."""
    covered: Tensor
    """Whether they cover the strip; bool (N, P + 16, 8)."""
    thin: Tensor
    """Whether there is little ink around; bool (N, P + 16, 8)."""
    ends: Tensor
    """The columns where strips begin and end; int64 (N, 9)."""

    def of(self, rows: Tensor) -> _Strips:
        """Those of some of the pictures."""
        return _Strips(*(table[rows] for table in self))


def _strips(mask: Tensor, sizes: Sizes) -> _Strips:
    ends = sizes.width[:, None] * torch.arange(rules.STRIPS + 1, device=mask.device) // rules.STRIPS
    column = torch.arange(mask.shape[2], device=mask.device)[:, None]
    adding = (column >= ends[:, None, :-1]) & (column < ends[:, None, 1:])
    # A matrix product adds up the pixels of each strip; floats hold so small whole numbers exactly.
    inked = F.pad((mask.float() @ adding.float()).int(), (0, 0, _ROUND, _ROUND))
    widths = ends.diff(dim=1).int()[:, None]
    around = rules.AROUND
    above = F.pad(inked.cumsum(1, dtype=torch.int32), (0, 0, 1, 0))
    beside = F.pad(above[:, 2 * around + 1 :] - above[:, : -2 * around - 1], (0, 0, around, around))
    band = _greatest_rows(inked)
    thin = beside <= rules.THICK * sizes.longer.int()[:, None, None] * widths // 1000
    return _Strips(band, band * 100 >= rules.COVERED * widths, thin, ends)


def _may_have_rules(strips: _Strips) -> Tensor:
    """bool (N,): whether some row may be the middle of a rule; quicker than :func:`_rules_in`, and no rule fails."""
    # Rows that a rule passes, in each strip, are at most so many rows off its middle; one more row is in its band.
    reach = max(abs(shift) for slope in rules.SLOPES for shift in rules.slope_shifts(slope))
    near = grown(strips.covered, reach, 0).sum(2) >= rules.STRIPS - 1
    near &= grown(strips.thin & strips.covered, reach, 0).sum(2) >= rules.STRIPS // 2
    return near[:, _ROUND:-_ROUND].any(1)


def _rules_in(sizes: Sizes, side: int, strips: _Strips) -> Tensor:
    """:func:`hanmo.rules.rules_in`, for all rows of pictures (N, P, P) as middles; ``side`` is P."""
    # Sums along a line of all three tables at once: none is greater than a byte holds.
    table = strips.covered.int() | strips.thin.int() << 8 | strips.band << 16
    table = table.permute(2, 0, 1).contiguous()  # (8, N, P + 16)
    in_picture = torch.arange(side, device=table.device) < sizes.height[:, None]
    found = torch.zeros(table.shape, dtype=torch.bool, device=table.device)
    for slope in rules.SLOPES:
        parts = [slice(_ROUND + shift, _ROUND + shift + side) for shift in rules.slope_shifts(slope)]
        along = torch.stack([table[strip, :, part] for strip, part in enumerate(parts)]).sum(0, dtype=torch.int32)
        is_rule = ((along & 255) >= rules.STRIPS - 1) & ((along >> 8 & 255) >= rules.STRIPS // 2 + 1) & in_picture
        is_rule &= (along >> 16) * 100 >= rules.WHOLE * sizes.width[:, None]
        for strip, part in enumerate(parts):
            found[strip, :, part] |= is_rule
    rule = _greatest_rows(found[..., _ROUND:-_ROUND].permute(1, 2, 0))  # (N, P, 8)
    number = torch.arange(side, device=table.device)[:, None]
    strip_of = (number >= strips.ends[:, None, 1:]).sum(2).clamp(max=rules.STRIPS - 1)
    return rule.gather(2, strip_of[:, None].expand(-1, side, -1)) & sizes.inside(side)


def _greatest_rows(table: Tensor) -> Tensor:
    padded = F.pad(table, (0, 0, 1, 1))
    return torch.maximum(torch.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])


def _erased(mask: Tensor, sizes: Sizes, strips: _Strips) -> Tensor:
    """The rules, without the places where strokes cross them."""
    rule = _rules_in(sizes, mask.shape[1], strips)
    return rule & ~grown(mask & ~rule, 3, 1)


def without_specks(ink: Tensor, sizes: Sizes) -> Tensor:
    """:func:`hanmo.strays.without_specks`."""
    rows, inside = words_of(ink >= paper.VISIBLE), words_of(sizes.inside(ink.shape[1]))
    largest = (sizes.longer // strays.LARGEST_SPECK)[:, None, None]
    gone = torch.zeros_like(rows)
    for size in range(1, 4):
        gone |= _specks(rows, size, inside * (largest >= size))
    return ink.masked_fill(mask_of(gone), 0)


def _specks(rows: Tensor, size: int, middles: Tensor) -> Tensor:
    """Squares of ``size`` pixels a side with ink inside, none around, and their middle at one of ``middles``.

    All are int64 (N, P, 2), as :func:`hanmo.gpu.pictures.words_of` has them.
    """
    first = size // 2 + 1  # so many rows above the middle, and columns before it, the ring around the square begins
    padded = F.pad(rows, (0, 0, first, size + 2 - first))
    above, *square, below = (padded[:, row : row + rows.shape[1]] for row in range(size + 2))
    inked = reduce(torch.bitwise_or, square)
    ring = _in_columns(above | below, size + 2) | inked | inked >> size + 1
    alone = _in_columns(inked, size) >> 1 & ~ring & middles >> first  # bits at the first column of the ring
    # From there to all columns of the square, and from its middle to all rows.
    wide = reduce(torch.bitwise_or, (alone << column for column in range(1, size + 1)))
    tall = F.pad(wide, (0, 0, size - 1 - size // 2, size // 2))
    return reduce(torch.bitwise_or, (tall[:, row : row + rows.shape[1]] for row in range(size)))


def _in_columns(rows: Tensor, count: int) -> Tensor:
    """For each column whether it or one of the next ones, ``count`` in all, is set."""
    return reduce(torch.bitwise_or, (rows >> column for column in range(count)))
