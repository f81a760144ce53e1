"""Test-time augmentation (TTA): slightly sheared and scaled views of a picture, whose predictions are averaged."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.normalize import PAPER


class View(NamedTuple):
    """An affine view: ``shear`` to the right per unit of height, and ``scale`` about the centre."""

    shear: float = 0.0
    scale: float = 1.0


_SHEARED = (View(shear=0.08), View(shear=-0.08))
VIEWS = {1: (View(),), 3: (*_SHEARED, View()), 5: (*_SHEARED, View(scale=0.93), View(scale=1.07), View())}
"""Number of views -> the views. The unchanged picture comes last, because hooked features are of the last one.

Shear and scale are small, within what one hand varies: 0.08 is a slant of under 5 degrees.
"""


def transform(x: Tensor, view: View) -> Tensor:
    """Standardised squares (N, 1, S, S), seen through ``view``. Places outside the picture are paper."""
    if view == View():
        return x
    side = x.shape[-1]
    centres = (torch.arange(side, device=x.device) * 2 + 1) / side - 1  # of the pixels, from -1 to 1
    rows, columns = centres[:, None].expand(side, side), centres[None, :].expand(side, side)
    # For each place in the view the place in the picture: x moves in proportion to y (shear), and both shrink as the
    # view enlarges.
    grid = torch.stack((columns / view.scale + view.shear * rows, rows / view.scale), -1)
    return sampled(x, grid.expand(len(x), side, side, 2).to(x.dtype))


def sampled(x: Tensor, grid: Tensor) -> Tensor:
    """Standardised squares (N, 1, S, S) at the places ``grid`` (N, T, T, 2), as (N, 1, T, T).

    Places are (x, y) from -1 to 1; outside the picture there is paper.
    """
    # grid_sample reads 0 outside the picture, so paper is made 0 before and what it was after.
    return F.grid_sample(x - PAPER, grid, align_corners=False) + PAPER
