"""From the ink of many pages to squares, in torch: the box of the ink, and resampling as in :mod:`hanmo.normalize`.

Shapes: N pages, H by W or P by P pixels, S the side of a square.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.ink import DUST, DUST_GAP


class Boxes(NamedTuple):
    """First lines of boxes, and the lines after their last ones: int64 (N,) each."""

    top: Tensor
    bottom: Tensor
    left: Tensor
    right: Tensor


def boxes_of(ink: Tensor, seen: Tensor) -> Boxes:
    """The bounding boxes of ``seen``, bool (N, H, W), dust aside: :func:`hanmo.ink.crop_box`; each has some ink."""
    rows, columns = seen.any(2), seen.any(1)
    gap = DUST_GAP * torch.maximum(_extent(rows), _extent(columns)).double()
    return Boxes(*_box(rows, ink.sum(2, dtype=torch.int64), gap), *_box(columns, ink.sum(1, dtype=torch.int64), gap))


def squares_of(ink: Tensor, boxes: Boxes, side: int, margin: int) -> Tensor:
    """Scale boxes of ink (N, H, W) into squares, uint8 (N, S, S), as :class:`hanmo.normalize.Normalization` does."""
    longer = torch.maximum(boxes.bottom - boxes.top, boxes.right - boxes.left)
    cell = longer.double() / (side - 2 * margin)
    down = _resampling(boxes.top, boxes.bottom, cell, ink.shape[1], side, margin)
    across = _resampling(boxes.left, boxes.right, cell, ink.shape[2], side, margin)
    # Resampling by rows and by columns is a matrix product on each side.
    square = down @ (ink.float() / 255) @ across.mT
    return (square * 255 + 0.5).to(torch.uint8)


def _extent(lines: Tensor) -> Tensor:
    number = torch.arange(lines.shape[1], device=lines.device)
    last = number.masked_fill(~lines, -1).amax(1)
    return last - number.masked_fill(~lines, lines.shape[1]).amin(1)


def _box(lines: Tensor, mass: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
    """First line of the box and the line after its last, without dust: :func:`hanmo.ink.crop_box` along one axis."""
    count = lines.shape[1]
    number = torch.arange(count, device=lines.device).expand_as(lines)
    # For each line the next one with ink: the least number of an inked line from there on, taken from the end.
    place = number.masked_fill(~lines, count)
    following = F.pad(place.flip(1).cummin(1).values.flip(1)[:, 1:], (0, 1), value=count)
    # Dust is a little ink that is far from the rest: gaps wider than ``gap`` with little ink before, or after, them.
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
    # At least half a pixel, so that enlarging becomes linear interpolation.
    half = (edges[:, 1:] - edges[:, :-1]).clamp(min=1) / 2
    pixel = (torch.arange(length, device=first.device) - first[:, None]).double()[:, None]
    # How much of each pixel lies in the cell: the covered length up to the cell's end less that up to its start.
    covered = ((middle + half)[..., None] - pixel).clamp(0, 1) - ((middle - half)[..., None] - pixel).clamp(0, 1)
    inside = (pixel >= 0) & (pixel < (stop - first)[:, None, None])
    covered = covered / (2 * half)[..., None] * inside
    return F.pad(covered.float(), (0, 0, margin, margin))
