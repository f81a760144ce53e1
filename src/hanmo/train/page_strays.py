""":mod:`hanmo.strays` for thousands of pages at a time, in torch, and the squares of what is left.

Shapes: N pages, P pixels a side, S the side of a square, L lines with a margin, 8 strips.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo import paper, strays
from hanmo.ink import DUST, DUST_GAP
from hanmo.train.page_ink import counted, ink_of


def normalize_pages(pages: Tensor, side: int, margin: int) -> tuple[Tensor, Tensor]:
    """What ``Normalization(side=side, margin=margin)`` makes of pages, uint8 (N, P, P), P at most 96, ink dark.

    Returns squares, uint8 (N, S, S), ink bright, and bool (N,): where no ink was found.
    """
    assert pages.shape[1] == pages.shape[2] <= paper.SIDE
    ink, blank = ink_of(pages)
    ink = without_specks(without_rules(without_print(ink)))
    near = _grown(own_cells(ink >= paper.VISIBLE), 1)
    size = strays.cell_of(pages.shape[-1])
    near = near.repeat_interleave(size, 1).repeat_interleave(size, 2)[:, : ink.shape[1], : ink.shape[2]]
    ink = ink * near
    seen = ink >= paper.VISIBLE
    blank |= ~seen.flatten(1).any(1)
    seen |= blank[:, None, None]  # a box there must be
    return _squares(ink, seen, side, margin), blank


def without_print(ink: Tensor) -> Tensor:
    """:func:`hanmo.strays.without_print` of int32 (N, P, P)."""
    strong = ink >= strays.STRONG
    weak = (ink >= paper.VISIBLE // 2) & ~_grown(strong, strays.NEAR)
    count = weak.sum((1, 2))
    histogram = counted(ink.flatten(1), weak.flatten(1)).cumsum(1)
    level = (histogram * 100 < 90 * count[:, None]).sum(1)
    found = (count * 100 >= strays.PRINT * strong.sum((1, 2))) & (level <= strays.PALE)
    level = level.clamp(max=254)[:, None, None]
    lighter = torch.div(255 * (ink - level), 255 - level, rounding_mode="floor").clamp(0, 255).int()
    return torch.where(found[:, None, None], lighter, ink)


def without_rules(ink: Tensor) -> Tensor:
    """:func:`hanmo.strays.without_rules` of int32 (N, P, P)."""
    mask = ink >= paper.VISIBLE
    gone = _erased(mask) | _erased(mask.mT).mT
    return ink.masked_fill(gone, 0)


def _erased(mask: Tensor) -> Tensor:
    """Rules but for where strokes cross them."""
    rule = rules_in(mask)
    rest = mask & ~rule
    crossing = F.max_pool2d(rest.float()[:, None], (7, 3), 1, (3, 1))[:, 0] > 0
    return rule & ~crossing


def rules_in(mask: Tensor) -> Tensor:
    """:func:`hanmo.strays.rules_in` of bool (N, P, P)."""
    side, margin = mask.shape[-1], strays.MARGIN
    edges = side * np.arange(strays.STRIPS + 1) // strays.STRIPS
    widths = torch.from_numpy(np.diff(edges)).to(mask.device)
    sums = F.pad(mask.cumsum(2, dtype=torch.int32), (1, 0))
    ends = torch.from_numpy(edges).to(mask.device)
    inked = F.pad(sums[..., ends[1:]] - sums[..., ends[:-1]], (0, 0, margin, margin))  # (N, L, 8)
    band = _greatest_rows(inked, 1)
    above = F.pad(inked.cumsum(1), (0, 0, 1, 0))
    around = F.pad(above[:, 9:] - above[:, :-9], (0, 0, 4, 4))
    covered = band * 100 >= strays.COVERED * widths
    thin = around * 1000 <= strays.THICK * side * widths
    tables = torch.stack((covered.long(), thin.long(), band), 3)  # (N, L, 8, 3)
    found = torch.zeros_like(covered)
    for slope in strays.SLOPES:
        shifts = [margin + shift for shift in strays.slope_shifts(slope)]
        along = torch.stack([tables[:, s : s + side, strip] for strip, s in enumerate(shifts)]).sum(0)  # (N, P, 3)
        is_rule = (along[..., 0] >= strays.STRIPS - 1) & (along[..., 1] >= strays.STRIPS // 2 + 1)
        is_rule &= along[..., 2] * 100 >= strays.WHOLE * side
        found |= torch.stack([F.pad(is_rule, (s, 2 * margin - s)) for s in shifts], 2)
    rule = _greatest_rows(found[:, margin:-margin].int(), 1) > 0
    strip = np.repeat(np.arange(strays.STRIPS), np.diff(edges))
    return rule[..., torch.from_numpy(strip).to(mask.device)]


def _greatest_rows(table: Tensor, reach: int) -> Tensor:
    padded = F.pad(table, (0, 0, reach, reach))
    return torch.stack([padded[:, i : i + table.shape[1]] for i in range(2 * reach + 1)]).amax(0)


def without_specks(ink: Tensor) -> Tensor:
    """:func:`hanmo.strays.without_specks` of int32 (N, P, P)."""
    side, edge = ink.shape[-1], strays.EDGE
    mask = (ink >= paper.VISIBLE).int()
    sums = F.pad(F.pad(mask, [edge] * 4).cumsum(1, dtype=torch.int32).cumsum(2, dtype=torch.int32), (1, 0, 1, 0))

    def inked(size: int) -> Tensor:
        first = edge - size // 2
        near, far = slice(first, first + side), slice(first + size, first + size + side)
        return sums[:, far, far] - sums[:, near, far] - sums[:, far, near] + sums[:, near, near]

    gone = torch.zeros_like(mask, dtype=torch.bool)
    for size in range(1, 1 + min(3, side // strays.LARGEST_SPECK)):
        inside = inked(size)
        alone = F.pad((inside > 0) & (inked(size + 2) == inside), [size] * 4)
        first = size // 2 + 1
        for down in range(first, first + size):
            for right in range(first, first + size):
                gone |= alone[:, down : down + side, right : right + side]
    return ink.masked_fill(gone, 0)


def own_cells(mask: Tensor) -> Tensor:
    """:func:`hanmo.strays.own_cells` of bool (N, P, P): bool (N, h, h)."""
    size = strays.cell_of(mask.shape[-1])
    short = -mask.shape[-1] % size
    inked = F.max_pool2d(F.pad(mask.float(), (0, short, 0, short))[:, None], size)[:, 0] > 0
    side = inked.shape[-1]
    rim, shallow_ring, deep_ring, clear_ring = (
        torch.from_numpy(strays.ring(side, side, depth)).to(mask.device)
        for depth in (1, 1 + side * strays.SHALLOW // 100, side * strays.DEEP // 100, 1 + side * strays.CLEAR // 100)
    )
    reaching = _flood(inked & rim, inked)
    inner, deep = _flood(torch.cat((reaching & ~shallow_ring, reaching & ~deep_ring)), inked.repeat(2, 1, 1)).chunk(2)
    shallow = reaching & ~inner
    slight = shallow.sum((1, 2)) * 100 <= strays.SLIGHT * inked.sum((1, 2))
    inked = inked & ~(shallow & slight[:, None, None])
    parts = reaching & inked & ~deep
    parts &= ~_flood(parts & _grown(inked & ~parts, side * strays.APART // 100), parts)
    rest = inked & ~parts
    enough = rest.sum((1, 2)) * 100 >= strays.KEPT * inked.sum((1, 2))
    clear = ~(rest & clear_ring).flatten(1).any(1)
    return torch.where((enough & clear)[:, None, None], rest, inked)


def _grown(mask: Tensor, steps: int) -> Tensor:
    """``mask`` (N, h, w) and everything within ``steps`` of it."""
    return F.max_pool2d(mask.float()[:, None], 2 * steps + 1, 1, steps)[:, 0] > 0 if steps else mask


def _flood(seed: Tensor, inside: Tensor) -> Tensor:
    """Everything of ``inside`` (N, h, w) that touches ``seed`` within :data:`hanmo.strays.STEPS`, corners too.

    A row is one whole number, a bit a cell, so a step is a few operations on (N, h).
    """
    place = torch.arange(inside.shape[2], device=inside.device)
    assert len(place) < 63
    room = (inside.long() << place).sum(2)
    grown = (seed.long() << place).sum(2) & room
    rows = F.pad(torch.zeros_like(grown), (1, 1))
    for _ in range(strays.STEPS):
        wide = grown | grown << 1 | grown >> 1
        rows[:, 1:-1] = wide
        grown = (wide | rows[:, :-2] | rows[:, 2:]) & room
    return (grown[..., None] >> place & 1) > 0


def _squares(ink: Tensor, seen: Tensor, side: int, margin: int) -> Tensor:
    """The boxes of what is ``seen``, (N, P, P), scaled into squares as :class:`hanmo.normalize.Normalization` does."""
    rows, columns = seen.any(2), seen.any(1)
    gap = DUST_GAP * torch.maximum(_extent(rows), _extent(columns)).double()
    top, bottom = _box(rows, ink.sum(2), gap)
    left, right = _box(columns, ink.sum(1), gap)
    cell = torch.maximum(bottom - top, right - left).double() / (side - 2 * margin)
    down = _resampling(top, bottom, cell, ink.shape[1], side, margin)
    across = _resampling(left, right, cell, ink.shape[2], side, margin)
    square = down @ (ink.float() / 255) @ across.mT
    return (square * 255 + 0.5).to(torch.uint8)


def _extent(lines: Tensor) -> Tensor:
    number = torch.arange(lines.shape[1], device=lines.device)
    last = number.masked_fill(~lines, -1).amax(1)
    return last - number.masked_fill(~lines, lines.shape[1]).amin(1)


def _box(lines: Tensor, mass: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
    """From the first to after the last line that is seen, dust aside: :func:`hanmo.ink.crop_box` along one axis."""
    count = lines.shape[1]
    number = torch.arange(count, device=lines.device).expand_as(lines)
    place = number.masked_fill(~lines, count)
    following = F.pad(place.flip(1).cummin(1).values.flip(1)[:, 1:], (0, 1), value=count)
    wide = lines & (following < count) & (following - number > gap[:, None] + 1)
    share = mass.cumsum(1).double() / mass.sum(1, keepdim=True).double().clamp(min=1)
    start = following.masked_fill(~(wide & (share < DUST)), 0).amax(1)
    stop = number.masked_fill(~(wide & (share > 1 - DUST)), count).amin(1) + 1
    last = number.masked_fill(~lines, -1).amax(1) + 1
    return torch.maximum(start, place.amin(1)), torch.minimum(stop, last)


def _resampling(first: Tensor, stop: Tensor, cell: Tensor, length: int, side: int, margin: int) -> Tensor:
    """(N, S, P): row i averages the pixels of a box over cell i of the square."""
    room = side - 2 * margin
    edge = torch.arange(room + 1, device=first.device).double() - room / 2
    edges = ((stop - first).double() / 2)[:, None] + edge * cell[:, None]
    middle = (edges[:, 1:] + edges[:, :-1]) / 2
    half = (edges[:, 1:] - edges[:, :-1]).clamp(min=1) / 2
    pixel = (torch.arange(length, device=first.device) - first[:, None]).double()[:, None]
    covered = ((middle + half)[..., None] - pixel).clamp(0, 1) - ((middle - half)[..., None] - pixel).clamp(0, 1)
    inside = (pixel >= 0) & (pixel < (stop - first)[:, None, None])
    covered = covered / (2 * half)[..., None] * inside
    return F.pad(covered.float(), (0, 0, margin, margin))
