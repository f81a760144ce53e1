"""Constant matrices that act on a line of pixels: blurs, motion, few pixels, and the cosine transform of JPEG.

Effects are sampled from a table of steps, so that each is one matrix product for pages of all strengths at once.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

SIGMAS = (0.0, 0.5, 0.7, 0.9, 1.1, 1.4, 1.7, 2.0, 2.4, 2.8, 3.3, 4.0)
"""Deviations of blurs, in pixels."""
LENGTHS = (3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0)
"""Pixels of motion."""
SIZES = (16, 18, 20, 22, 24, 28, 32, 36, 42, 48, 56, 64, 72, 80)
"""Pixels of a page of few pixels."""
# Luminance quantisation of quality 50: ITU-T T.81 (JPEG), table K.1.
_JPEG = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


class Optics(NamedTuple):
    """Matrices for pages of one side on one device; M @ page acts on columns, page @ M.T on rows."""

    lenses: Tensor
    """(K, side, side): blurs of SIGMAS, motions of LENGTHS, SIZES enlarged smoothly, SIZES enlarged in steps."""
    cosine: Tensor
    """(side, side): the cosine transform of blocks of 8 pixels; the last block may be shorter."""
    steps: Tensor
    """(side, side): how coarsely each coefficient is kept, in grey levels."""

    @staticmethod
    @cache
    def on(side: int, device: torch.device) -> Optics:
        """The matrices for one side of pages; cached, as a program uses few."""
        return Optics(_lenses(side).to(device), *(t.to(device) for t in _blocks(side)))


def _lenses(side: int) -> Tensor:
    at = torch.arange(side, dtype=torch.float32)
    away = (at[:, None] - at).abs()
    blurs = [(-away.square() / (2 * max(s, 1e-2) ** 2)).exp() for s in SIGMAS]
    moves = [(s / 2 + 0.5 - away).clamp(0, 1) for s in LENGTHS]
    smooth, steps = zip(*(_fewer(side, min(size, side)) for size in SIZES), strict=True)
    return torch.stack([*(m / m.sum(1, keepdim=True) for m in blurs + moves), *smooth, *steps])


def _fewer(side: int, size: int) -> tuple[Tensor, Tensor]:
    """Reduce a line to ``size`` pixels by area means and enlarge it again: by linear interpolation, and in steps."""
    edges = torch.arange(size + 1) * (side / size)
    at = torch.arange(side)
    down = (torch.minimum(edges[1:, None], at + 1) - torch.maximum(edges[:-1, None], at)).clamp(min=0) * (size / side)
    place = ((at + 0.5) * (size / side) - 0.5).clamp(0, size - 1)
    up = (1 - (place[:, None] - torch.arange(size)).abs()).clamp(min=0)
    nearest = F.one_hot(place.round().long(), size).float()
    return up @ down, nearest @ down


def _blocks(side: int) -> tuple[Tensor, Tensor]:
    at = torch.arange(side)
    block, row = at // 8, at % 8
    length = (side - block * 8).clamp(max=8)
    angle = math.pi * (row[None, :] + 0.5) * row[:, None] / length[:, None]
    scale = torch.where(row == 0, 1.0, 2.0) / length
    cosine = angle.cos() * scale.sqrt()[:, None] * (block[:, None] == block)
    return cosine, torch.tensor(_JPEG, dtype=torch.float32)[row][:, row]
