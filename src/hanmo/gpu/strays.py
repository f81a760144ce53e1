"""Print, rules and specks removed from the ink of many pictures: :mod:`hanmo.strays` in torch.

Ink is uint8 (N, P, P), 0 outside of the pictures. Tests compare the functions with those of the NumPy code, whose
docstrings explain each step.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo import paper, rules, strays
from hanmo.gpu.pictures import Sizes, any_of, counted, grown, where

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
    candidates = _may_have_rules(mask, sizes) | _may_have_rules(mask.mT, sizes.turned)
    if (rows := where(candidates)) is None:
        return ink
    few, mask, sizes = ink[rows], mask[rows], sizes.of(rows)
    level, upright = _erased(mask, sizes), _erased(mask.mT, sizes.turned).mT
    rest = (few >= paper.RIM) & ~(level | upright)
    level = level & ~_reaches(rest.any(2), sizes.height)
    upright = upright & ~_reaches(rest.any(1), sizes.width)
    return ink.index_copy(0, rows, few.masked_fill(level | upright, 0))


def _reaches(lines: Tensor, length: Tensor) -> Tensor:
    """bool (N, 1, 1): whether the first and the last of the lines (N, P) that belong to the picture are set."""
    return (lines[:, 0] & lines.gather(1, length[:, None] - 1)[:, 0])[:, None, None]


def _strips(mask: Tensor, sizes: Sizes) -> tuple[Tensor, Tensor]:
    """Ink pixels in every row of every strip, int64 (N, P, 8), and the widths of the strips, int64 (N, 1, 8)."""
    number = torch.arange(rules.STRIPS + 1, device=mask.device)
    ends = sizes.width[:, None] * number // rules.STRIPS
    sums = F.pad(mask.cumsum(2, dtype=torch.int32), (1, 0))
    at_ends = sums.gather(2, ends[:, None].expand(-1, mask.shape[1], -1))
    return at_ends.diff(dim=2).long(), ends.diff(dim=1)[:, None]


def _covered_and_thin(inked: Tensor, widths: Tensor, longer: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each row with its margins, (N, P + 16, 8): the ink of its band, whether it covers the strip, and is thin."""
    inked = F.pad(inked, (0, 0, _ROUND, _ROUND))
    around = rules.AROUND
    above = F.pad(inked.cumsum(1), (0, 0, 1, 0))
    beside = F.pad(above[:, 2 * around + 1 :] - above[:, : -2 * around - 1], (0, 0, around, around))
    band = _greatest_rows(inked)
    thin = beside <= rules.THICK * longer[:, None, None] * widths // 1000
    return band, band * 100 >= rules.COVERED * widths, thin


def _may_have_rules(mask: Tensor, sizes: Sizes) -> Tensor:
    """bool (N,): whether some row may be the middle of a rule; quicker than :func:`rules_in`, and no rule fails."""
    band, covered, thin = _covered_and_thin(*_strips(mask, sizes), sizes.longer)
    del band
    # Rows that a rule passes, in each strip, are at most so many rows off its middle; one more row is in its band.
    reach = max(abs(shift) for slope in rules.SLOPES for shift in rules.slope_shifts(slope))
    near = grown(covered, reach, 0).sum(2) >= rules.STRIPS - 1
    near &= grown(thin & covered, reach, 0).sum(2) >= rules.STRIPS // 2
    return near[:, _ROUND:-_ROUND].any(1)


def rules_in(mask: Tensor, sizes: Sizes) -> Tensor:
    """:func:`hanmo.rules.rules_in` of bool (N, P, P), for all rows as middles."""
    side = mask.shape[1]
    inked, widths = _strips(mask, sizes)
    band, covered, thin = _covered_and_thin(inked, widths, sizes.longer)
    tables = torch.stack((covered.long(), thin.long(), band), 3)  # (N, P + 16, 8, 3)
    in_picture = torch.arange(side, device=mask.device) < sizes.height[:, None]
    found = torch.zeros_like(covered)
    for slope in rules.SLOPES:
        shifts = [_ROUND + shift for shift in rules.slope_shifts(slope)]
        along = torch.stack([tables[:, s : s + side, strip] for strip, s in enumerate(shifts)]).sum(0)  # (N, P, 3)
        is_rule = (along[..., 0] >= rules.STRIPS - 1) & (along[..., 1] >= rules.STRIPS // 2 + 1) & in_picture
        is_rule &= along[..., 2] * 100 >= rules.WHOLE * sizes.width[:, None]
        found |= torch.stack([F.pad(is_rule, (s, 2 * _ROUND - s)) for s in shifts], 2)
    rule = _greatest_rows(found[:, _ROUND:-_ROUND].int()) > 0  # (N, P, 8)
    ends = widths[:, 0].cumsum(1)
    strip = (torch.arange(side, device=mask.device)[:, None] >= ends[:, None]).sum(2).clamp(max=rules.STRIPS - 1)
    return rule.gather(2, strip[:, None].expand(-1, side, -1)) & sizes.inside(side)


def _greatest_rows(table: Tensor) -> Tensor:
    padded = F.pad(table, (0, 0, 1, 1))
    return torch.maximum(torch.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])


def _erased(mask: Tensor, sizes: Sizes) -> Tensor:
    """The rules, without the places where strokes cross them."""
    rule = rules_in(mask, sizes)
    return rule & ~grown(mask & ~rule, 3, 1)


def without_specks(ink: Tensor, sizes: Sizes) -> Tensor:
    """:func:`hanmo.strays.without_specks`."""
    mask, inside = ink >= paper.VISIBLE, sizes.inside(ink.shape[1])
    largest = (sizes.longer // strays.LARGEST_SPECK)[:, None, None]
    gone = torch.zeros_like(mask)
    for size in range(1, 4):
        gone |= _specks(mask, size, inside & (largest >= size))
    return ink.masked_fill(gone, 0)


def _specks(mask: Tensor, size: int, middles: Tensor) -> Tensor:
    """Squares of ``size`` pixels a side with ink inside, none around, and their middle at one of ``middles``."""
    side, last = mask.shape[1], size + 1
    # So many empty pixels that the ring around a square whose middle is at the edge lies inside.
    first = size // 2 + 1
    padded = F.pad(mask, (first, size + 2 - first, first, size + 2 - first))
    lines, columns = any_of(padded, size + 2, 2), any_of(padded, size, 1)[:, 1:]
    # Each table is looked at from the upper left corner of the ring, which is ``first`` before the middle.
    ring = lines[:, :side, :side] | lines[:, last : last + side, :side]
    ring |= columns[:, :side, :side] | columns[:, :side, last : last + side]
    alone = any_of(columns[:, :side, 1:], size, 2)[:, :, :side] & ~ring & middles
    # From each middle to all pixels of its square, which begins ``size // 2`` before the middle.
    spread = F.pad(alone, (size - 1, first - 1, size - 1, first - 1))
    return any_of(any_of(spread, size, 1), size, 2)[:, first - 1 :, first - 1 :]
