"""Spatial stochastic max-pooling: max-pooling over regions that are moved at random in training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class StochasticMaxPool(nn.Module):
    """(N, C, H, W) -> (N, C, ⌈H/2⌉, ⌈W/2⌉): maxima of 2x2 regions.

    In training the rows of regions and the columns of regions are each moved by -1, 0 or 1 pixels at random, for all
    pictures of a batch alike: a small distortion of the map. In evaluation this is the plain max-pool.

    Lai, Jin, Yang, "Toward high-performance online HCCR: a CNN approach with DropDistortion, path signature and spatial
    stochastic max-pooling", Pattern Recognition Letters 89, 2017. Their maps shrink by 1.5, as in fractional
    max-pooling (Graham, 2014), and they average the answers of several passes with other regions. Halving the map, the
    size of the moves and the plain pool in evaluation are our reading: the net keeps its shapes, and reads once.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            # ceil_mode keeps the last row of a map with an odd side.
            return F.max_pool2d(x, 2, ceil_mode=True)
        height, width = x.shape[2:]
        # The maxima of all 2x2 regions, of which a part is chosen. A map of a single row has regions of one row.
        size = min(2, height), min(2, width)
        every = F.max_pool2d(x, size, 1)
        rows, columns = (_moved(length, of, x.device) for length, of in zip((height, width), size, strict=True))
        return every.index_select(2, rows).index_select(3, columns)


def _moved(length: int, size: int, device: torch.device) -> Tensor:
    """The first pixels of ⌈length/2⌉ regions of ``size`` pixels, each moved at random within the map."""
    first = 2 * torch.arange(-(-length // 2), device=device)
    return (first + torch.randint(-1, 2, first.shape, device=device)).clamp(0, length - size)
