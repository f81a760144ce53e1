"""The light that a page without ink reflects: gradients, blotches, shadows, and the texture of the paper."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hanmo.synth.paper.config import PageConfig
from hanmo.synth.paper.effects import Effects, Grain
from hanmo.synth.paper.placement import pixel_grid


def illumination(effects: Effects, grain: Grain, contrast: Tensor, config: PageConfig, side: int) -> Tensor:
    """The light of the empty page, (N, side, side), or (N, 1, 1) without any effect; 1 = full light.

    ``contrast`` (N, 1, 1) is the ink's.
    """
    x, y = pixel_grid(side, contrast.device)
    light = torch.ones_like(contrast)
    if config.gradient:
        by, angle, curve, *_ = effects.numbers("gradient")
        away = (_along(x, y, angle) * 0.35 + 0.5).clamp(0, 1)
        light = light - effects.has("gradient") * config.gradient_by * (0.3 + 0.7 * by) * away ** (0.6 + 1.6 * curve)
    if config.veil:
        by, *_ = effects.numbers("veil")
        field = (2.5 * grain.smooth(5)).sigmoid()
        light = light * (1 - effects.has("veil") * config.veil_by * (0.3 + 0.7 * by) * field)
    if config.shadow:
        by, angle, offset, soft, second, *_ = effects.numbers("shadow")
        width = 0.02 + 0.5 * soft.square()
        dark = ((_along(x, y, angle) - 1.2 * offset + 0.6) / width).sigmoid()
        # Two times in five a second edge makes a corner of the shadow.
        other = ((_along(x, y, angle + 0.15 + 0.2 * second) - 0.3) / width).sigmoid()
        dark = dark * torch.where(second < 0.4, other, 1.0)
        light = light * (1 - effects.has("shadow") * config.shadow_by * (0.3 + 0.7 * by) * dark)
    if config.rim:
        by, turn, depth, slant, *_ = effects.numbers("rim")
        edge = _along(x, y, (turn * 4).floor() / 4 + 0.02 * (slant - 0.5)) - 1 + 2 * config.rim_by * by
        light = light * (1 - effects.has("rim") * (0.3 + 0.6 * depth) * (edge * side / 3).clamp(0, 1))
    return _textured(light, effects, grain, contrast, config)


def _along(x: Tensor, y: Tensor, angle: Tensor) -> Tensor:
    """The pixels' coordinates along a direction; ``angle`` in turns."""
    return x * (2 * math.pi * angle).cos() + y * (2 * math.pi * angle).sin()


def _textured(light: Tensor, effects: Effects, grain: Grain, contrast: Tensor, config: PageConfig) -> Tensor:
    # Rough paper would hide faint ink: the fainter it is, the weaker the texture, down to 30 %.
    kept = 0.3 + 0.7 * contrast
    if config.grain:
        by, mix, *_ = effects.numbers("grain")
        rough = torch.lerp(grain.b.roll(3, 2), grain.smooth(36, 17), 0.2 + 0.7 * mix)
        light = light * (1 + effects.has("grain") * config.grain_by * kept * (0.2 + 0.8 * by) * rough)
    if config.fibre:
        by, across, *_ = effects.numbers("fibre")
        turned = torch.where(across < 0.5, grain.a, grain.a.transpose(1, 2))
        long = sum((turned.roll(k, 2) for k in range(-4, 5)), torch.zeros_like(turned)) / 3
        light = light * (1 + effects.has("fibre") * config.fibre_by * kept * (0.3 + 0.7 * by) * long)
    return light
