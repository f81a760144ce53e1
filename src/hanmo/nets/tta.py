"""Other looks at the same pictures: what is left of an answer when the hand slants or the size changes a little."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.normalize import MEAN, STD


class View(NamedTuple):
    """``shear`` to the right per unit of height, and ``scale`` about the middle."""

    shear: float = 0.0
    scale: float = 1.0


_SHEARED = (View(shear=0.08), View(shear=-0.08))
VIEWS = {1: (View(),), 3: (*_SHEARED, View()), 5: (*_SHEARED, View(scale=0.93), View(scale=1.07), View())}
"""Number of views -> which; the picture itself comes last."""


def transform(x: Tensor, view: View) -> Tensor:
    """Standardised squares (N, 1, S, S) in a view of them; paper comes in from outside."""
    if view == View():
        return x
    side = x.shape[-1]
    at = (torch.arange(side, device=x.device) * 2 + 1) / side - 1
    rows, columns = at[:, None].expand(side, side), at[None, :].expand(side, side)
    grid = torch.stack((columns / view.scale + view.shear * rows, rows / view.scale), -1)
    paper = -MEAN / STD
    grid = grid.expand(len(x), side, side, 2).to(x.dtype)
    return F.grid_sample(x - paper, grid, align_corners=False) + paper
