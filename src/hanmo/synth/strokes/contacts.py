"""Where strokes touch, and how they go on touching when each has slipped on its own.

Whoever writes the ㇗ of 亡 begins it on the bar, wherever the bar has come to lie, and the dot stays above it: by such
contacts and gaps 亡 and 七, 干 and 于, 甲 and 田 differ. Strokes are flat batches (T, P, 2) in writing order; K = 3
contacts a stroke at most.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_BEFORE = 12  # so many strokes before its own may be touched by a stroke
_TOUCH, _BLUR = 0.045, 0.006  # medians of strokes that touch come so near (they end inside the strokes), and the doubt
_NEAR, _LESS = 0.1, 0.8  # strokes so near keep their distance, too, if less strictly
_STIFF, _STAY = 0.1, 0.1  # against being stretched or turned rather than shifted, and against moving at all
_ROUNDS = 3  # a chain of so many contacts is held


class Contacts(NamedTuple):
    """What T strokes touch or come near of the strokes before them: with their first tip, their last, and between.

    Places on strokes are in points: 2.5 lies midway between the third point and the fourth.
    """

    here: Tensor
    """(T, K): where on the stroke."""
    other: Tensor
    """(T, K): which stroke is touched, int64."""
    there: Tensor
    """(T, K): where on that."""
    weight: Tensor
    """(T, K): 1 where they touch, less where they are near, 0 where they are far apart."""


def find_contacts(model: Tensor, owner: Tensor) -> Contacts:
    """The contacts of strokes as printed, (T, P, 2), of the characters ``owner``, ascending (T,)."""
    count, size = model.shape[:2]
    other = torch.arange(count, device=model.device)[:, None] - torch.arange(1, _BEFORE + 1, device=model.device)
    strange = (other < 0) | (owner[other.clamp(min=0)] != owner[:, None])
    other = other.clamp(min=0)
    before = model[other]
    tips = [0, size - 1]
    to_line, there = _nearest(model[:, None, tips], before)
    from_line, here = _nearest(before[:, :, tips], model[:, None])
    to_line.masked_fill_(strange[:, :, None], torch.inf)
    from_line.masked_fill_(strange[:, :, None], torch.inf)
    distance, best = to_line.min(1)  # (T, 2): of all earlier strokes the nearest to each tip
    between, which = from_line.flatten(1).min(1, keepdim=True)  # (T, 1): of all their tips the nearest to the stroke
    tip = here.new_tensor(tips)
    gap = torch.cat([distance, between], 1)
    return Contacts(
        torch.cat([tip.expand(count, 2), here.flatten(1).gather(1, which)], 1),
        other.gather(1, torch.cat([best, which // 2], 1)),
        torch.cat([there.gather(1, best[:, None])[:, 0], tip[which % 2]], 1),
        ((_TOUCH - gap) / _BLUR).sigmoid().maximum(_LESS * (-((gap / _NEAR) ** 2)).exp()),
    )


def keep_contacts(points: Tensor, placed: Tensor, contacts: Contacts, amount: Tensor) -> Tensor:
    """Strokes (T, P, 2), slipped from ``placed``, moved by (T,) shares of the way back to what they touch."""
    here = torch.arange(len(points), device=points.device)[:, None].expand_as(contacts.other)
    apart = _at(placed, here, contacts.here) - _at(placed, contacts.other, contacts.there)
    size = points.shape[1]
    side = contacts.here / (size - 1) - 0.5
    along = torch.linspace(-0.5, 0.5, size, device=points.device)
    weight = contacts.weight * amount[:, None]
    # The shift a and the stretch b that bring a + b * side nearest to what is missing at each contact.
    n, first, second = weight.sum(1) + _STAY, (weight * side).sum(1), (weight * side.square()).sum(1) + _STIFF
    scale = 1 / (n * second - first.square())
    for _ in range(_ROUNDS):
        missing = _at(points, contacts.other, contacts.there) + apart - _at(points, here, contacts.here)
        pull = weight[:, :, None] * missing
        total, moment = pull.sum(1), (pull * side[:, :, None]).sum(1)
        shift = (total * second[:, None] - moment * first[:, None]) * scale[:, None]
        stretch = (moment * n[:, None] - total * first[:, None]) * scale[:, None]
        points = points + shift[:, None] + stretch[:, None] * along[None, :, None]
    return points


def _at(points: Tensor, stroke: Tensor, place: Tensor) -> Tensor:
    """(T, K, 2): the points at ``place`` (T, K) of the strokes (T, K)."""
    low = place.long().clamp(max=points.shape[1] - 2)
    return torch.lerp(points[stroke, low], points[stroke, low + 1], (place - low)[:, :, None])


def _nearest(tips: Tensor, lines: Tensor) -> tuple[Tensor, Tensor]:
    """How far tips (..., E, 2) are from lines (..., P, 2) and where on these the nearest place is, both (..., E)."""
    start = lines[..., None, :-1, :]
    step = lines[..., None, 1:, :] - start
    away = tips[..., None, :] - start
    share = ((away * step).sum(-1) / step.square().sum(-1).clamp(min=1e-9)).clamp(0, 1)
    distance, segment = (away - share[..., None] * step).square().sum(-1).min(-1)
    return distance.sqrt(), segment + share.gather(-1, segment[..., None])[..., 0]
