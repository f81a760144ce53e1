"""What is printed on a page: practice cells (frame, 田字格, 米字格, 回宫格), ruled lines, a teacher's marks.

Each function returns a darkness, (N, side, side) in [0, 1]. An effect has eleven random numbers, too few for a
cell: ``x * 17 % 1`` and ``x * 41 % 1`` make further ones of a number x, nearly independent of it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hanmo.synth.paper.config import PageConfig
from hanmo.synth.paper.effects import Effects
from hanmo.synth.paper.placement import Placement, box_coordinates, pixel_grid


def print_darkness(effects: Effects, placement: Placement, contrast: Tensor, config: PageConfig, side: int) -> Tensor:
    """Everything that is printed on the page."""
    dark = torch.zeros_like(contrast)
    if config.cell:
        dark = _cell(effects, placement, contrast, config, side)
    if config.ruled:
        dark = torch.maximum(dark, _ruled(effects, placement, contrast, config, side))
    if config.mark:
        dark = torch.maximum(dark, _mark(effects, placement, contrast, config, side))
    return dark


def _tone(number: Tensor, contrast: Tensor, config: PageConfig) -> Tensor:
    """Darkness of a printed line, by a uniform number: 0.2 to ``print_by`` times the ink's contrast."""
    return (contrast * (0.2 + (config.print_by - 0.2) * number)).clamp(0, 1)


def _line(distance: Tensor, width: Tensor, side: int) -> Tensor:
    """Coverage of pixels by a line ``width`` pixels wide, antialiased; ``distance`` from its middle in half pages."""
    return (width / 2 + 0.5 - distance * (side / 2)).clamp(0, 1) * width.clamp(max=1)


def _cell(effects: Effects, placement: Placement, contrast: Tensor, config: PageConfig, side: int) -> Tensor:
    size, off_x, off_y, thick, tone, guide, dash, reach, kinds, sides, slant = effects.numbers("cell")
    x, y = pixel_grid(side, contrast.device)
    half = 0.8 + 0.25 * size  # the cell's half side: about the page's, whatever the character's size
    # Cells are printed straighter than people write: the turn is smaller, and a little the cell's own.
    slanted = placement._replace(turn=0.7 * placement.turn + 0.06 * (slant - 0.5) * effects.has("turned"))
    u, v = box_coordinates(x - 0.12 * (off_x - 0.5), y - 0.12 * (off_y - 0.5), half, slanted)
    width, fine = 0.6 + 2.6 * thick.square(), 0.5 + 1.2 * (thick * 7 % 1)
    dark = torch.zeros_like(contrast)
    if config.frame:
        # Half of the frames show all sides; of the others each side is seen two times in three.
        whole = sides < 0.5
        seen = [torch.where(whole | (sides * k % 1 < 0.67), 1.0, 0.0) for k in (17, 41, 97, 193)]
        right, left, below, above = (
            _line((edge - end).abs() * half + 4 * (across.abs() - 1.02).clamp(min=0), width, side) * on
            for edge, across, end, on in zip((u, u, v, v), (v, v, u, u), (1, -1, 1, -1), seen, strict=True)
        )
        outline = torch.maximum(torch.maximum(right, left), torch.maximum(below, above))
        dark = outline * _tone(tone, contrast, config) * (kinds < config.frame)
    # Guides within the cell, dashed seven times in ten, in a tone of their own; they may end before the frame.
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
    return dark * effects.has("cell")


def _dashes(along: Tensor, period: Tensor, solid: Tensor) -> Tensor:
    """1 on the dashes of a line and 0 between them, with soft ends; symmetric about the middle."""
    phase = (along.abs() / period + 0.3) % 1
    return torch.where(solid, 1.0, ((0.3 - (phase - 0.5).abs()) * 8 + 0.5).clamp(0, 1))


def _ruled(effects: Effects, placement: Placement, contrast: Tensor, config: PageConfig, side: int) -> Tensor:
    pitch, phase, width, tone, upright, double, *_ = effects.numbers("ruled")
    x, y = pixel_grid(side, contrast.device)
    along = torch.where(upright < 0.2, x, y) + torch.where(upright < 0.2, y, x) * placement.turn.sin()
    pitch = 0.35 + 0.9 * pitch
    place = ((along / pitch + phase) % 1 - 0.5).abs() * pitch
    width = 0.6 + 1.8 * width.square()
    lines = _line(place, width, side)
    second = _line((place - 0.08).abs(), 0.7 * width, side) * (double < 0.2)
    return torch.maximum(lines, second) * _tone(tone, contrast, config) * effects.has("ruled")


def _mark(effects: Effects, placement: Placement, contrast: Tensor, config: PageConfig, side: int) -> Tensor:
    """A loose ring around the character, or a small hollow triangle below it."""
    kind, size, off_x, off_y, width, tone, squeeze, *_ = effects.numbers("mark")
    x, y = pixel_grid(side, contrast.device)
    dx, dy = x - placement.x, y - placement.y
    radius = placement.half * (0.95 + 0.3 * size)
    angle = torch.atan2(dy, dx)
    wobble = 1 + 0.06 * (angle * 2 + 6 * off_x).sin() + 0.04 * (angle * 3 + 6 * off_y).sin()
    stretched = (dx.square() * (0.8 + 0.5 * squeeze) + dy.square() + 1e-6).sqrt()
    ring = (stretched - radius * wobble).abs()
    half = 0.05 + 0.06 * size
    tx = x - (placement.x + placement.half * (off_x - 0.5))
    ty = y - (placement.y + placement.half + 0.12 + 0.1 * off_y).clamp(max=0.9)
    corner = torch.maximum(ty, tx.abs() * 0.866 - ty * 0.5) - half * 0.5
    triangle = corner.abs()
    shape = _line(torch.where(kind < 0.5, ring, triangle), 0.8 + 1.6 * width, side)
    return shape * _tone(tone, contrast, config) * effects.has("mark")
