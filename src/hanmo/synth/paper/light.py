"""The light that comes back from a page without ink: gradients, blotches, shadows, and the paper's own texture."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hanmo.synth.paper.config import PageConfig
from hanmo.synth.paper.draws import Draws, Grain
from hanmo.synth.paper.printing import plane


def lit(draws: Draws, grain: Grain, contrast: Tensor, config: PageConfig, side: int) -> Tensor:
    """Light of the empty page, (N, side, side) or (N, 1, 1), 1 where nothing takes any away."""
    x, y = plane(side, contrast.device)
    light = torch.ones_like(contrast)
    if config.gradient:
        by, angle, curve, *_ = draws.numbers("gradient")
        away = (_along(x, y, angle) * 0.35 + 0.5).clamp(0, 1)
        light = light - draws.has("gradient") * config.gradient_by * (0.3 + 0.7 * by) * away ** (0.6 + 1.6 * curve)
    if config.veil:
        by, *_ = draws.numbers("veil")
        field = (2.5 * grain.smooth(5)).sigmoid()
        light = light * (1 - draws.has("veil") * config.veil_by * (0.3 + 0.7 * by) * field)
    if config.shadow:
        by, angle, offset, soft, second, *_ = draws.numbers("shadow")
        width = 0.02 + 0.5 * soft.square()
        dark = ((_along(x, y, angle) - 1.2 * offset + 0.6) / width).sigmoid()
        # Two times in five the shadow has a corner.
        other = ((_along(x, y, angle + 0.15 + 0.2 * second) - 0.3) / width).sigmoid()
        dark = dark * torch.where(second < 0.4, other, 1.0)
        light = light * (1 - draws.has("shadow") * config.shadow_by * (0.3 + 0.7 * by) * dark)
    if config.rim:
        by, turn, depth, slant, *_ = draws.numbers("rim")
        edge = _along(x, y, (turn * 4).floor() / 4 + 0.02 * (slant - 0.5)) - 1 + 2 * config.rim_by * by
        light = light * (1 - draws.has("rim") * (0.3 + 0.6 * depth) * (edge * side / 3).clamp(0, 1))
    return _textured(light, draws, grain, contrast, config)


def _along(x: Tensor, y: Tensor, angle: Tensor) -> Tensor:
    """Pixels' places along a direction; ``angle`` in whole turns."""
    return x * (2 * math.pi * angle).cos() + y * (2 * math.pi * angle).sin()


def _textured(light: Tensor, draws: Draws, grain: Grain, contrast: Tensor, config: PageConfig) -> Tensor:
    # Rough paper under faint ink would hide it: texture is half as strong there.
    kept = 0.3 + 0.7 * contrast
    if config.grain:
        by, mix, *_ = draws.numbers("grain")
        rough = torch.lerp(grain.b.roll(3, 2), grain.smooth(36, 17), 0.2 + 0.7 * mix)
        light = light * (1 + draws.has("grain") * config.grain_by * kept * (0.2 + 0.8 * by) * rough)
    if config.fibre:
        by, across, *_ = draws.numbers("fibre")
        turned = torch.where(across < 0.5, grain.a, grain.a.transpose(1, 2))
        long = sum((turned.roll(k, 2) for k in range(-4, 5)), torch.zeros_like(turned)) / 3
        light = light * (1 + draws.has("fibre") * config.fibre_by * kept * (0.3 + 0.7 * by) * long)
    return light
