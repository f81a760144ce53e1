"""Contacts between strokes, kept after each stroke has slipped on its own.

Whoever writes the ㇗ of 亡 begins it on the bar, wherever the bar has come to lie, and the dot stays above it. Such
contacts and gaps distinguish 亡 from 七, 干 from 于, 甲 from 田, so random slips must not change them.

1. :func:`find_contacts` finds what each printed stroke touches of the strokes written before it.
2. :func:`keep_contacts` moves and stretches the slipped strokes so that the contacts are restored, by weighted least
   squares.

Strokes are flat batches (T, P, 2) in writing order; each has K = 3 contacts at most.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_BEFORE = 12  # strokes before a stroke that it may touch; more would cost time, and few characters need them
_TOUCH, _BLUR = 0.045, 0.006  # medians end inside of strokes: up to this distance strokes touch; width of the sigmoid
_NEAR, _LESS = 0.1, 0.8  # strokes about this near keep their gap, too, with this greatest weight
_STIFF, _STAY = 0.1, 0.1  # regularisation: the cost of stretching and turning a stroke, and of moving it at all
_ROUNDS = 3  # a moved stroke moves those that touch it: after three rounds, chains of three contacts are restored


class Contacts(NamedTuple):
    """What T strokes touch of the strokes before them: with the first tip, with the last tip, and in between (K = 3).

    Places on strokes are counted in points: 2.5 lies midway between the third and the fourth point.
    """

    here: Tensor
    """float32 (T, K): the place on the stroke."""
    other: Tensor
    """int64 (T, K): the stroke that is touched."""
    there: Tensor
    """float32 (T, K): the place on that stroke."""
    weight: Tensor
    """float32 (T, K): 1 where both touch, less where they are near, 0 where they are far apart."""


def find_contacts(model: Tensor, owner: Tensor) -> Contacts:
    """The contacts of printed strokes (T, P, 2), where ``owner``, int64 (T,), ascending, numbers their characters."""
    count, size = model.shape[:2]
    other = torch.arange(count, device=model.device)[:, None] - torch.arange(1, _BEFORE + 1, device=model.device)
    # Strokes of other characters, and those before the first one, are infinitely far away.
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
    """Move slipped strokes ``points`` (T, P, 2) so that they touch again what they touched in ``placed`` (T, P, 2).

    ``amount`` (T,) is how strictly, from 0 (not at all) to 1. Returns (T, P, 2).
    """
    here = torch.arange(len(points), device=points.device)[:, None].expand_as(contacts.other)
    # The gap that each contact should have, and where on the stroke it is, from -0.5 to 0.5.
    apart = _at(placed, here, contacts.here) - _at(placed, contacts.other, contacts.there)
    size = points.shape[1]
    side = contacts.here / (size - 1) - 0.5
    along = torch.linspace(-0.5, 0.5, size, device=points.device)
    weight = contacts.weight * amount[:, None]
    # Least squares for each stroke: the shift a and the stretch b for which a + b * side is nearest to the correction
    # that each contact needs. The normal equations are 2 x 2: solved by Cramer's rule.
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
    """The distance of tips (..., E, 2) to polylines (..., P, 2), and the nearest place on these; both (..., E)."""
    start = lines[..., None, :-1, :]
    step = lines[..., None, 1:, :] - start
    away = tips[..., None, :] - start
    share = ((away * step).sum(-1) / step.square().sum(-1).clamp(min=1e-9)).clamp(0, 1)
    distance, segment = (away - share[..., None] * step).square().sum(-1).min(-1)
    return distance.sqrt(), segment + share.gather(-1, segment[..., None])[..., 0]
