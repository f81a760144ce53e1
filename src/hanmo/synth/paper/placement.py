"""Where things lie on a page: the character's box, the boxes beside it, and what is written on the back.

Every ``*_grid`` is what :func:`torch.nn.functional.grid_sample` takes: for each pixel of the page the coordinates in a
square, from -1 to 1; beyond that there is paper. Lengths are in halves of the page's side, x to the right, y down.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hanmo.synth.paper.config import PageConfig
from hanmo.synth.paper.effects import Effects


def pixel_grid(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Coordinates of the pixels' centres from -1 to 1: x (1, 1, side) and y (1, side, 1)."""
    line = (torch.arange(side, device=device, dtype=torch.float32) + 0.5) * (2 / side) - 1
    return line[None, None, :], line[None, :, None]


class Placement(NamedTuple):
    """Where the boxes of N characters lie on their pages; every field (N, 1, 1)."""

    x: Tensor
    y: Tensor
    """The box's centre."""
    half: Tensor
    """Half the side of the box."""
    turn: Tensor
    """Rotation in radians."""
    lean_x: Tensor
    """Perspective: how much larger the right end is than the middle ..."""
    lean_y: Tensor
    """... and the lower end."""

    @classmethod
    def sample(cls, effects: Effects, config: PageConfig) -> Placement:
        """Sample placements by the effects ``place``, ``cut`` and ``turned``; without them a box is the whole page."""
        placed, (size, x, y, *_) = effects.has("place"), effects.numbers("place")
        half = 1 - placed * (1 - config.smallest - (config.largest - config.smallest) * size)
        x, y = (placed * (1 - half) * (2 * v - 1) for v in (x, y))
        # A cut box is moved out over one of the four sides, which one number chooses: the axis, and then the direction.
        cut, (side, by, *_) = effects.has("cut"), effects.numbers("cut")
        beyond = 1 - half + 2 * half * config.cut_by * by
        sign = torch.where(side * 4 % 2 < 1, -1.0, 1.0)
        x = torch.where((cut > 0) & (side < 0.5), sign * beyond, x)
        y = torch.where((cut > 0) & (side >= 0.5), sign * beyond, y)
        turned, (turn, lean_x, lean_y, *_) = effects.has("turned"), effects.numbers("turned")
        turn = turned * config.turned_by * (2 * turn - 1)
        lean_x, lean_y = (turned * config.perspective * (2 * v - 1) for v in (lean_x, lean_y))
        return cls(x, y, half, turn, lean_x, lean_y)

    def box_grid(self, side: int) -> tuple[Tensor, Tensor]:
        """The grid of the character's own square: x and y, (N, side, side) each."""
        x, y = pixel_grid(side, self.x.device)
        return box_coordinates(x - self.x, y - self.y, self.half, self)

    def neighbour_grid(self, effects: Effects, config: PageConfig, side: int) -> tuple[Tensor, Tensor]:
        """The grid of a neighbouring character, the same one on all sides; beyond 1 where there is none.

        x and y, (N, side, side) each. Its nearer end reaches in from the page's edge, up to the character's box.
        """
        x, y = pixel_grid(side, self.x.device)
        *edges, which, off_x, off_y = effects.numbers("neighbours")[:7]
        # One of the four sides always has the neighbour, each of the others one time in three. 9 is just far beyond 1.
        far, on = 9.0, effects.has("neighbours") > 0
        near = []
        for i, (edge, outer) in enumerate(zip(edges, (self.x, self.x, self.y, self.y), strict=True)):
            sign = 1 - 2 * (i % 2)
            seen = on & (((which * 4).floor() == i) | (edge * 3 % 1 < 0.33))
            free = (sign * outer + 0.92 * self.half).clamp(max=0.97)  # it may reach into the box by 8 % of its half
            begin = torch.maximum(1 - 2 * config.neighbours_by * (0.3 + 0.7 * edge), free)
            near.append(sign * torch.where(seen, begin, far))
        right, left, below, above = near
        # Right and left of the character the neighbour is counted from its nearer end, and shifted a little up or down.
        lying = (x > right) | (x < left)
        ahead = torch.where(x > right, (x - right) / self.half - 1, (x - left) / self.half + 1)
        ahead_y = torch.where(y > below, (y - below) / self.half - 1, (y - above) / self.half + 1)
        level = (y - self.y) / self.half + 0.6 * off_y - 0.3
        level_x = (x - self.x) / self.half + 0.6 * off_x - 0.3
        none = ~(lying | (y > below) | (y < above))
        return torch.where(none, far, torch.where(lying, ahead, level_x)), torch.where(lying, level, ahead_y)

    def back_grid(self, effects: Effects, side: int) -> tuple[Tensor, Tensor]:
        """The grid of what is written on the back, anywhere on the page: x and y, (N, side, side) each."""
        x, y = pixel_grid(side, self.x.device)
        *_, size, off_x, off_y = effects.numbers("through")
        half = self.half * (0.8 + 0.4 * size)
        return box_coordinates(x - 0.8 * off_x + 0.4, y - 0.8 * off_y + 0.4, half, self)


def box_coordinates(x: Tensor, y: Tensor, half: Tensor, placement: Placement) -> tuple[Tensor, Tensor]:
    """Coordinates in a square of half side ``half``, turned and in perspective, from offsets x and y to its centre."""
    cos, sin = placement.turn.cos() / half, placement.turn.sin() / half
    u, v = x * cos + y * sin, y * cos - x * sin
    away = 1 / (1 + placement.lean_x * u + placement.lean_y * v).clamp(min=0.3)
    return u * away, v * away
