"""Round spots on or beside the character: stains that darken the page, and gaps where ink, and print, is missing."""

from __future__ import annotations

import torch
from torch import Tensor

from hanmo.synth.paper.config import PageConfig
from hanmo.synth.paper.draws import Draws
from hanmo.synth.paper.printing import Spot, plane


def stains(draws: Draws, spot: Spot, config: PageConfig, side: int) -> Tensor:
    """The part of the light that stains take away, (N, side, side); most at the rim, where a drop dries last."""
    size, by, rim, *shape = draws.numbers("stain")
    inside = _round(spot, (0.25 + 0.65 * size) * spot.half, shape, side)
    cover = inside.clamp(0, 1)
    edge = cover * (1 - (inside - 1) / 4).clamp(0, 1)  # four pixels wide
    strength = draws.has("stain") * config.stain_by * (0.25 + 0.75 * by)
    return strength * (cover * (1 - 0.4 * rim) + 0.4 * rim * edge)


def gaps(draws: Draws, spot: Spot, config: PageConfig, side: int) -> Tensor:
    """How much of the ink is missing, (N, side, side)."""
    size, *shape = draws.numbers("gap")
    radius = config.gap_by * (0.3 + 0.7 * size) * spot.half
    return draws.has("gap") * _round(spot, radius, shape, side).clamp(0, 1)


def _round(spot: Spot, radius: Tensor, shape: list[Tensor], side: int) -> Tensor:
    """How many pixels each pixel lies inside a spot with an uneven outline; 0 and less outside.

    Its middle lies in the middle 70 % of the character's box, each way.
    """
    off_x, off_y, first, second, phase, *_ = shape
    x, y = plane(side, radius.device)
    dx = x - (spot.x + spot.half * 1.4 * (off_x - 0.5))
    dy = y - (spot.y + spot.half * 1.4 * (off_y - 0.5))
    angle = torch.atan2(dy, dx)
    waves = 0.14 * first * (2 * angle + 6.3 * phase).sin() + 0.09 * second * (3 * angle + 25 * phase).sin()
    return (radius * (1 + waves) - (dx.square() + dy.square()).sqrt()) * (side / 2) + 0.5
