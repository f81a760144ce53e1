"""Where the strokes of a character lie in a picture of it: printed medians are fitted to the glyphs of fonts.

Fonts lay characters out in their own ways, and what their strokes have in common with the printed ones but for that is
known stroke by stroke once the medians lie on them. Points are matched with the nearest ink, and ink with the nearest
point, again and again while the strokes move (Besl and McKay, "A method for registration of 3-D shapes", 1992), first
all together and then each on its own, against a pull back to where they are printed.

Shapes: N pictures, T strokes of them all, P points a stroke, M points a picture (padded), K pieces of ink.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hanmo.synth.strokes.layouts import DISPLACEMENT, displaced

_INK = 128  # pieces of ink looked at
_DARK = 0.5  # pixels of at least this are ink
_EVERY = 2  # of its points a stroke is matched at each second
_TOGETHER, _ALONE = 15, 30  # steps
_RATE, _LAST_RATE = (0.03, 0.015), 0.001  # of both
_FAR = 0.25  # what is further off does not pull, in sides of the character
_USUAL = (0.06, 0.06, 0.3, 0.3, 0.2, 0.1)  # the pull back is as strong for each of these displacements
_BACK, _BACK_ALL = 5e-4, 2e-3


class Fitted(NamedTuple):
    moved: Tensor
    """(T, 6): the displacement of each stroke."""
    error: Tensor
    """(N,): root mean square distance between strokes and ink, in sides of the character."""


def fit_strokes(strokes: Tensor, along: Tensor, owner: Tensor, pictures: Tensor) -> Fitted:
    """Fit strokes (T, P, 2) of the unit square to the pictures (N, S, S) in [0, 1] of their ``owner``, ascending (T,).

    What all strokes of a picture have in common, an affine map, is no part of the displacements.
    """
    count = len(pictures)
    size = torch.bincount(owner, minlength=count)
    box_low, box_high = _boxes(strokes, owner, count)
    extent = (box_high - box_low).amax(1)
    unit = (strokes - ((box_low + box_high) / 2)[owner, None]) / extent[owner, None, None]
    ink, seen = _ink(pictures)
    seen = seen / seen.sum(1, keepdim=True).clamp(min=1)

    # Points of a picture side by side: place (N, M) in the flat list of points, there (N, M) whether there is one.
    chosen = unit.shape[1] // _EVERY
    width = int(size.max()) * chosen
    nth = torch.arange(width, device=strokes.device)
    there = nth < (size * chosen)[:, None]
    place = ((size.cumsum(0) - size) * chosen)[:, None] + nth.minimum((size * chosen)[:, None] - 1)
    length = (unit[:, 1:] - unit[:, :-1]).square().sum(2).sqrt().sum(1).clamp(min=0.08)
    share = length / torch.zeros(count, device=length.device).index_add_(0, owner, length)[owner] / chosen
    weight = share.repeat_interleave(chosen)[place] * there

    moved = torch.zeros(len(strokes), DISPLACEMENT, device=strokes.device, requires_grad=True)
    turned = torch.eye(2, device=strokes.device).repeat(count, 1, 1).requires_grad_()
    put = torch.zeros(count, 1, 2, device=strokes.device, requires_grad=True)
    usual = torch.tensor(_USUAL, device=strokes.device)

    def misfit() -> Tensor:
        points = displaced(unit, along, moved)[:, ::_EVERY].reshape(-1, 2)[place] @ turned.transpose(1, 2) + put
        with torch.no_grad():
            apart = torch.cdist(points, ink)
            to_point = apart.masked_fill(~there[:, :, None], torch.inf).argmin(1)
            to_ink = apart.masked_fill((seen == 0)[:, None], torch.inf).argmin(2)
        covered = _square(points.gather(1, to_point[:, :, None].expand(-1, -1, 2)) - ink)
        met = _square(ink.gather(1, to_ink[:, :, None].expand(-1, -1, 2)) - points)
        return (covered * seen).sum(1) + (met * weight).sum(1)

    for alone, steps in enumerate((_TOGETHER, _ALONE)):
        free = [turned, put, moved] if alone else [turned, put]
        optimizer = torch.optim.Adam(free)
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = _RATE[alone] * (1 - step / steps) + _LAST_RATE
            back = _BACK * ((moved / usual).square().sum(1) / size[owner]).sum()
            back_all = _BACK_ALL * (turned - torch.eye(2, device=turned.device)).square().sum()
            loss = misfit().sum() + back + back_all
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    with torch.no_grad():
        error = (misfit() / 2).sqrt()
        lengths = torch.cat([moved[:, :2] * extent[owner, None], moved[:, 2:]], 1)
    return Fitted(lengths, error)


def _square(gap: Tensor) -> Tensor:
    return gap.square().sum(-1).clamp(max=_FAR**2)


def _boxes(strokes: Tensor, owner: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The corners (N, 2) of what the strokes of each picture cover."""
    which = owner[:, None].expand(-1, 2)
    low = strokes.new_full((count, 2), torch.inf).scatter_reduce_(0, which, strokes.amin(1), "amin")
    high = strokes.new_full((count, 2), -torch.inf).scatter_reduce_(0, which, strokes.amax(1), "amax")
    return low, high


def _ink(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Some places of ink (N, K, 2) about the middle of its box, in units of its longer side; which are any, (N, K)."""
    count, side = pictures.shape[:2]
    dark = (pictures >= _DARK).view(count, -1)
    # An even choice that needs no generator: pixels in the order of a scrambled number of theirs.
    order = torch.arange(side * side, device=pictures.device) * 40_503 % 65_521
    rank = torch.where(dark, order, order.new_tensor(65_521))
    chosen = rank.topk(min(_INK, side * side), dim=1, largest=False).indices
    some = dark.gather(1, chosen)
    spot = torch.stack([chosen % side, torch.div(chosen, side, rounding_mode="floor")], 2).float()
    across, down = dark.view(count, side, side).any(1), dark.view(count, side, side).any(2)
    ends = torch.stack(
        [torch.stack([a.float().argmax(1), side - 1 - a.float().flip(1).argmax(1)], 1) for a in (across, down)], 1
    ).float()
    middle, longest = ends.mean(2), (ends[:, :, 1] - ends[:, :, 0]).amax(1).clamp(min=1)
    return (spot - middle[:, None]) / longest[:, None, None], some.float()
