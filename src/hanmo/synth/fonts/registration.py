"""Registration: the printed strokes of a character are fitted to a picture of it, the glyph of a font.

Every font arranges the strokes of a character in its own way. Once the medians lie on the glyph's ink, it is known
stroke by stroke how its arrangement differs from the print. The fit is an iterative closest point algorithm (Besl and
McKay, "A method for registration of 3-D shapes", 1992) in both directions: points of strokes are matched with the
nearest ink and ink with the nearest point, again after each step of a gradient descent. First an affine map moves all
strokes of a picture together, then each stroke moves on its own, too, with a penalty on its displacement.

Shapes: N pictures, T strokes of them all, P points a stroke, M points a picture (padded), K pixels of ink.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hanmo.synth.strokes.layouts import DISPLACEMENT, displaced

_INK = 128  # pixels of ink that are matched: a random subset, as more change little
_DARK = 0.5  # pixels of at least this level are ink
_EVERY = 2  # every second point of a stroke is matched
_TOGETHER, _ALONE = 15, 30  # steps of both stages
_RATE, _LAST_RATE = (0.03, 0.015), 0.001  # learning rate at the start of each stage, and at the end of both
_FAR = 0.25  # distances are cut off here, in sides of the character: what is further away is another stroke
_USUAL = (0.06, 0.06, 0.3, 0.3, 0.2, 0.1)  # usual displacements: the penalty weighs each in units of it
_BACK, _BACK_ALL = 5e-4, 2e-3  # weights of the penalties on displacements, and on the affine map


class Fitted(NamedTuple):
    """The result of :func:`fit_strokes`."""

    moved: Tensor
    """float32 (T, 6): the displacement of each stroke, see :data:`hanmo.synth.strokes.layouts.DISPLACEMENT`."""
    error: Tensor
    """float32 (N,): root mean square distance between strokes and ink, in sides of the character."""


def fit_strokes(strokes: Tensor, along: Tensor, owner: Tensor, pictures: Tensor) -> Fitted:
    """Fit strokes (T, P, 2) of the unit square to pictures (N, S, S) in [0, 1], ink bright.

    ``along`` (T, P) is the arc length up to each point, 0 to 1; ``owner`` int64 (T,), ascending, is the picture of each
    stroke. The affine map that all strokes of a picture have in common is no part of the displacements.
    """
    match = _Match(strokes, along, owner, pictures)
    free = _Free.at_rest(len(pictures), len(strokes), strokes.device)
    _descend(match, free)
    with torch.no_grad():
        error = (match.misfit(free) / 2).sqrt()
        moved = torch.cat([free.moved[:, :2] * match.extent[owner, None], free.moved[:, 2:]], 1)
    return Fitted(moved, error)


class _Free(NamedTuple):
    """The numbers that are fitted."""

    matrix: Tensor
    """(N, 2, 2) and ..."""
    shift: Tensor
    """... (N, 1, 2): the affine map of all strokes of a picture."""
    moved: Tensor
    """(T, 6): the displacement of each stroke, shifts in sides of the character."""

    @classmethod
    def at_rest(cls, count: int, strokes: int, device: torch.device) -> _Free:
        """The identity, and no displacement."""
        return cls(
            torch.eye(2, device=device).repeat(count, 1, 1).requires_grad_(),
            torch.zeros(count, 1, 2, device=device, requires_grad=True),
            torch.zeros(strokes, DISPLACEMENT, device=device, requires_grad=True),
        )


class _Match:
    """Points of strokes and pixels of ink, both relative to their boxes, and the distance between them."""

    def __init__(self, strokes: Tensor, along: Tensor, owner: Tensor, pictures: Tensor) -> None:
        count = len(pictures)
        self.along, self.owner, self.size = along, owner, torch.bincount(owner, minlength=count)
        low, high = _boxes(strokes, owner, count)
        self.extent = (high - low).amax(1)
        self.unit = (strokes - ((low + high) / 2)[owner, None]) / self.extent[owner, None, None]
        self.ink, seen = _ink(pictures)
        self.seen = seen / seen.sum(1, keepdim=True).clamp(min=1)

        # The points of each picture as rows of a padded table: place (N, M) in the flat list, there (N, M) if any.
        chosen = self.unit.shape[1] // _EVERY
        points = self.size * chosen
        nth = torch.arange(int(self.size.max()) * chosen, device=strokes.device)
        self.there = nth < points[:, None]
        self.place = (points.cumsum(0) - points)[:, None] + nth.minimum(points[:, None] - 1)
        # Points are weighted so that each stroke counts by its length, dots a little more.
        length = (self.unit[:, 1:] - self.unit[:, :-1]).square().sum(2).sqrt().sum(1).clamp(min=0.08)
        share = length / torch.zeros(count, device=length.device).index_add_(0, owner, length)[owner] / chosen
        self.weight = share.repeat_interleave(chosen)[self.place] * self.there

    def misfit(self, free: _Free) -> Tensor:
        """(N,): mean squared distance of ink to the nearest point, plus that of points to the nearest ink."""
        points = displaced(self.unit, self.along, free.moved)[:, ::_EVERY].reshape(-1, 2)[self.place]
        points = points @ free.matrix.transpose(1, 2) + free.shift
        # The pairs are fixed within a step; only their distances are differentiated.
        with torch.no_grad():
            apart = torch.cdist(points, self.ink)
            to_point = apart.masked_fill(~self.there[:, :, None], torch.inf).argmin(1)
            to_ink = apart.masked_fill((self.seen == 0)[:, None], torch.inf).argmin(2)
        from_ink = _square(points.gather(1, to_point[:, :, None].expand(-1, -1, 2)) - self.ink)
        from_points = _square(self.ink.gather(1, to_ink[:, :, None].expand(-1, -1, 2)) - points)
        return (from_ink * self.seen).sum(1) + (from_points * self.weight).sum(1)

    def penalty(self, free: _Free) -> Tensor:
        """What displacements and the affine map cost, of all pictures."""
        usual = torch.tensor(_USUAL, device=free.moved.device)
        strokes = _BACK * ((free.moved / usual).square().sum(1) / self.size[self.owner]).sum()
        return strokes + _BACK_ALL * (free.matrix - torch.eye(2, device=free.matrix.device)).square().sum()


def _descend(match: _Match, free: _Free) -> None:
    """Fit ``free``: first the affine maps, then the displacements as well, with falling learning rates."""
    for stage, (steps, parameters) in enumerate(((_TOGETHER, free[:2]), (_ALONE, free))):
        optimizer = torch.optim.Adam(parameters)
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = _RATE[stage] * (1 - step / steps) + _LAST_RATE
            loss = match.misfit(free).sum() + match.penalty(free)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def _square(gap: Tensor) -> Tensor:
    """The squared length of vectors (..., 2), cut off at _FAR."""
    return gap.square().sum(-1).clamp(max=_FAR**2)


def _boxes(strokes: Tensor, owner: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The corners, (N, 2) each, of the box around the strokes of each picture."""
    which = owner[:, None].expand(-1, 2)
    low = strokes.new_full((count, 2), torch.inf).scatter_reduce_(0, which, strokes.amin(1), "amin")
    high = strokes.new_full((count, 2), -torch.inf).scatter_reduce_(0, which, strokes.amax(1), "amax")
    return low, high


def _ink(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """K pixels of ink, (N, K, 2), relative to the centre of the ink's box in units of its longer side.

    Also returns 1 where there is such a pixel and 0 where a picture has fewer, float32 (N, K).
    """
    count, side = pictures.shape[:2]
    dark = (pictures >= _DARK).view(count, -1)
    # An even choice without a generator: pixels in the order of their numbers times 40,503 modulo the prime 65,521.
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
