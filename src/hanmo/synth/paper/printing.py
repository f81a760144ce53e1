"""Where things stand on a page, and what is printed on it: practice cells, ruled lines, a teacher's marks."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hanmo.synth.paper.config import PageConfig
from hanmo.synth.paper.draws import Draws


def plane(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """x (1, 1, side) and y (1, side, 1) of the pixels' middles, from -1 to 1."""
    line = (torch.arange(side, device=device, dtype=torch.float32) + 0.5) * (2 / side) - 1
    return line[None, None, :], line[None, :, None]


class Spot(NamedTuple):
    """Where the characters' boxes lie; every field (N, 1, 1), lengths in halves of the page's side."""

    x: Tensor
    y: Tensor
    half: Tensor
    """Half the side of the box."""
    turn: Tensor
    """Radians."""
    lean_x: Tensor
    """Perspective: how much larger the right end is than the middle, ..."""
    lean_y: Tensor
    """... and the lower end."""

    @classmethod
    def draw(cls, draws: Draws, config: PageConfig) -> Spot:
        """Places by ``place``, ``cut`` and ``turned``; without them the box is the page."""
        placed, (size, x, y, *_) = draws.has("place"), draws.numbers("place")
        half = 1 - placed * (1 - config.smallest - (config.largest - config.smallest) * size)
        x, y = (placed * (1 - half) * (2 * v - 1) for v in (x, y))
        cut, (side, by, *_) = draws.has("cut"), draws.numbers("cut")
        beyond = 1 - half + 2 * half * config.cut_by * by
        sign = torch.where(side * 4 % 2 < 1, -1.0, 1.0)
        x = torch.where((cut > 0) & (side < 0.5), sign * beyond, x)
        y = torch.where((cut > 0) & (side >= 0.5), sign * beyond, y)
        turned, (turn, lean_x, lean_y, *_) = draws.has("turned"), draws.numbers("turned")
        turn = turned * config.turned_by * (2 * turn - 1)
        lean_x, lean_y = (turned * config.perspective * (2 * v - 1) for v in (lean_x, lean_y))
        return cls(x, y, half, turn, lean_x, lean_y)

    def inside(self, side: int) -> tuple[Tensor, Tensor]:
        """For every pixel the place in the box, from -1 to 1 in it, (N, side, side) each."""
        x, y = plane(side, self.x.device)
        return _frame(x - self.x, y - self.y, self.half, self)

    def beside(self, draws: Draws, config: PageConfig, side: int) -> tuple[Tensor, Tensor]:
        """For every pixel the place in the box of the neighbour there; beyond 1 where there is none."""
        x, y = plane(side, self.x.device)
        *edges, which, off_x, off_y = draws.numbers("neighbours")[:7]
        # One side is always on, each of the others one time in three.
        far, on = 9.0, draws.has("neighbours") > 0
        near = []
        for i, (edge, outer) in enumerate(zip(edges, (self.x, self.x, self.y, self.y), strict=True)):
            sign = 1 - 2 * (i % 2)
            seen = on & (((which * 4).floor() == i) | (edge * 3 % 1 < 0.33))
            free = (sign * outer + 0.92 * self.half).clamp(max=0.97)  # a little into the box at most
            begin = torch.maximum(1 - 2 * config.neighbours_by * (0.3 + 0.7 * edge), free)
            near.append(sign * torch.where(seen, begin, far))
        right, left, below, above = near
        lying = (x > right) | (x < left)
        ahead = torch.where(x > right, (x - right) / self.half - 1, (x - left) / self.half + 1)
        ahead_y = torch.where(y > below, (y - below) / self.half - 1, (y - above) / self.half + 1)
        level = (y - self.y) / self.half + 0.6 * off_y - 0.3
        level_x = (x - self.x) / self.half + 0.6 * off_x - 0.3
        none = ~(lying | (y > below) | (y < above))
        return torch.where(none, far, torch.where(lying, ahead, level_x)), torch.where(lying, level, ahead_y)

    def behind(self, draws: Draws, side: int) -> tuple[Tensor, Tensor]:
        """For every pixel the place in the box of what is written on the back."""
        x, y = plane(side, self.x.device)
        *_, size, off_x, off_y = draws.numbers("through")
        half = self.half * (0.8 + 0.4 * size)
        return _frame(x - 0.8 * off_x + 0.4, y - 0.8 * off_y + 0.4, half, self)


def _frame(x: Tensor, y: Tensor, half: Tensor, spot: Spot) -> tuple[Tensor, Tensor]:
    """Offsets from a middle, as places in a square of that half side, turned and in perspective as the spot is."""
    cos, sin = spot.turn.cos() / half, spot.turn.sin() / half
    u, v = x * cos + y * sin, y * cos - x * sin
    away = 1 / (1 + spot.lean_x * u + spot.lean_y * v).clamp(min=0.3)
    return u * away, v * away


def printed(draws: Draws, spot: Spot, contrast: Tensor, config: PageConfig, side: int) -> Tensor:
    """Darkness of what is printed on the page, (N, side, side) in [0, 1]."""
    dark = torch.zeros_like(contrast)
    if config.cell:
        dark = _cell(draws, spot, contrast, config, side)
    if config.ruled:
        dark = torch.maximum(dark, _ruled(draws, spot, contrast, config, side))
    if config.mark:
        dark = torch.maximum(dark, _mark(draws, spot, contrast, config, side))
    return dark


def _tone(number: Tensor, contrast: Tensor, config: PageConfig) -> Tensor:
    """Darkness of a printed line: from a fifth of the ink's contrast to ``print_by`` times it."""
    return (contrast * (0.2 + (config.print_by - 0.2) * number)).clamp(0, 1)


def _line(distance: Tensor, width: Tensor, side: int) -> Tensor:
    """How far pixels lie in a line of ``width`` pixels; ``distance`` from its middle in halves of the page's side."""
    return (width / 2 + 0.5 - distance * (side / 2)).clamp(0, 1) * width.clamp(max=1)


def _cell(draws: Draws, spot: Spot, contrast: Tensor, config: PageConfig, side: int) -> Tensor:
    size, off_x, off_y, thick, tone, guide, dash, reach, kinds, sides, slant = draws.numbers("cell")
    x, y = plane(side, contrast.device)
    half = 0.8 + 0.25 * size
    slanted = spot._replace(turn=0.7 * spot.turn + 0.06 * (slant - 0.5) * draws.has("turned"))
    u, v = _frame(x - 0.12 * (off_x - 0.5), y - 0.12 * (off_y - 0.5), half, slanted)
    width, fine = 0.6 + 2.6 * thick.square(), 0.5 + 1.2 * (thick * 7 % 1)
    dark = torch.zeros_like(contrast)
    if config.frame:
        # Seen: all sides half of the time, else each of them two times in three.
        whole = sides < 0.5
        seen = [torch.where(whole | (sides * k % 1 < 0.67), 1.0, 0.0) for k in (17, 41, 97, 193)]
        right, left, below, above = (
            _line((edge - end).abs() * half + 4 * (across.abs() - 1.02).clamp(min=0), width, side) * on
            for edge, across, end, on in zip((u, u, v, v), (v, v, u, u), (1, -1, 1, -1), seen, strict=True)
        )
        outline = torch.maximum(torch.maximum(right, left), torch.maximum(below, above))
        dark = outline * _tone(tone, contrast, config) * (kinds < config.frame)
    shade = _tone(guide, contrast, config)
    period, solid = 0.07 + 0.2 * dash, dash * 9 % 1 < 0.3
    until = 0.5 + 0.52 * (reach * 1.6).clamp(max=1)
    for name, first, second in (("cross", u, v), ("diagonals", (u + v) * 0.7071, (u - v) * 0.7071)):
        if share := getattr(config, name):
            end = until if name == "cross" else until * 1.35
            on = (kinds * (23 if name == "cross" else 59) % 1 < share).float() * shade
            lines = [
                _line(p.abs() * half + 4 * (q.abs() - end).clamp(min=0), fine, side) * _dashes(q, period, solid)
                for p, q in ((first, second), (second, first))
            ]
            dark = torch.maximum(dark, torch.maximum(*lines) * on)
    if config.ring:
        circle = ((u.square() + v.square() + 1e-6).sqrt() - 0.72 - 0.25 * reach).abs() * half
        on = (kinds * 131 % 1 < config.ring).float() * shade
        dark = torch.maximum(dark, _line(circle, fine, side) * on)
    return dark * draws.has("cell")


def _dashes(along: Tensor, period: Tensor, solid: Tensor) -> Tensor:
    """1 on the dashes of a line and 0 between them, with soft ends; symmetric about the middle."""
    phase = (along.abs() / period + 0.3) % 1
    return torch.where(solid, 1.0, ((0.3 - (phase - 0.5).abs()) * 8 + 0.5).clamp(0, 1))


def _ruled(draws: Draws, spot: Spot, contrast: Tensor, config: PageConfig, side: int) -> Tensor:
    pitch, phase, width, tone, upright, double, *_ = draws.numbers("ruled")
    x, y = plane(side, contrast.device)
    along = torch.where(upright < 0.2, x, y) + torch.where(upright < 0.2, y, x) * spot.turn.sin()
    pitch = 0.35 + 0.9 * pitch
    place = ((along / pitch + phase) % 1 - 0.5).abs() * pitch
    width = 0.6 + 1.8 * width.square()
    lines = _line(place, width, side)
    second = _line((place - 0.08).abs(), 0.7 * width, side) * (double < 0.2)
    return torch.maximum(lines, second) * _tone(tone, contrast, config) * draws.has("ruled")


def _mark(draws: Draws, spot: Spot, contrast: Tensor, config: PageConfig, side: int) -> Tensor:
    """A loose ring around the character, or a small hollow triangle below it."""
    kind, size, off_x, off_y, width, tone, squeeze, *_ = draws.numbers("mark")
    x, y = plane(side, contrast.device)
    dx, dy = x - spot.x, y - spot.y
    radius = spot.half * (0.95 + 0.3 * size)
    angle = torch.atan2(dy, dx)
    wobble = 1 + 0.06 * (angle * 2 + 6 * off_x).sin() + 0.04 * (angle * 3 + 6 * off_y).sin()
    stretched = (dx.square() * (0.8 + 0.5 * squeeze) + dy.square() + 1e-6).sqrt()
    ring = (stretched - radius * wobble).abs()
    half = 0.05 + 0.06 * size
    tx = x - (spot.x + spot.half * (off_x - 0.5))
    ty = y - (spot.y + spot.half + 0.12 + 0.1 * off_y).clamp(max=0.9)
    corner = torch.maximum(ty, tx.abs() * 0.866 - ty * 0.5) - half * 0.5
    triangle = corner.abs()
    shape = _line(torch.where(kind < 0.5, ring, triangle), 0.8 + 1.6 * width, side)
    return shape * _tone(tone, contrast, config) * draws.has("mark")
