"""Round spots on or beside the character: stains, which darken the page, and gaps, where ink and print are missing."""

from __future__ import annotations

import torch
from torch import Tensor

from hanmo.synth.paper.config import PageConfig
from hanmo.synth.paper.effects import Effects
from hanmo.synth.paper.placement import Placement, pixel_grid


def stains(effects: Effects, placement: Placement, config: PageConfig, side: int) -> Tensor:
    """The share of light that stains take away, (N, side, side); most at the rim, where a drop dries last."""
    size, by, rim, *shape = effects.numbers("stain")
    inside = _round(placement, (0.25 + 0.65 * size) * placement.half, shape, side)
    cover = inside.clamp(0, 1)
    edge = cover * (1 - (inside - 1) / 4).clamp(0, 1)  # four pixels wide
    strength = effects.has("stain") * config.stain_by * (0.25 + 0.75 * by)
    return strength * (cover * (1 - 0.4 * rim) + 0.4 * rim * edge)


def gaps(effects: Effects, placement: Placement, config: PageConfig, side: int) -> Tensor:
    """The share of ink that is missing, (N, side, side)."""
    size, *shape = effects.numbers("gap")
    radius = config.gap_by * (0.3 + 0.7 * size) * placement.half
    return effects.has("gap") * _round(placement, radius, shape, side).clamp(0, 1)


def _round(placement: Placement, radius: Tensor, shape: list[Tensor], side: int) -> Tensor:
    """Signed distance of each pixel, in pixels, from the uneven outline of a spot: above 0 inside.

    Its centre lies in the middle 70 % of the character's box, in x and in y.
    """
    off_x, off_y, first, second, phase, *_ = shape
    x, y = pixel_grid(side, radius.device)
    dx = x - (placement.x + placement.half * 1.4 * (off_x - 0.5))
    dy = y - (placement.y + placement.half * 1.4 * (off_y - 0.5))
    angle = torch.atan2(dy, dx)
    waves = 0.14 * first * (2 * angle + 6.3 * phase).sin() + 0.09 * second * (3 * angle + 25 * phase).sin()
    return (radius * (1 + waves) - (dx.square() + dy.square()).sqrt()) * (side / 2) + 0.5
