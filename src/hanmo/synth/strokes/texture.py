"""Texture of a drawn line, from pen, paper and scanner: grain, dry spots, ragged edges, blur, black and white."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.synth.noise import Keys, derive, normal, uniform
from hanmo.synth.strokes.hand import StyleConfig

_PAPER = 0.06  # darkness up to which scanners show white paper
_SPOT = 4  # pixels between the knots of dry spots


def ink_on_paper(pictures: Tensor, keys: Keys, style: StyleConfig) -> Tensor:
    """Add texture to clean lines, uint8 (N, S, S), 255 = ink; same type and shape out.

    Each writer has one pen and one scanner: a ball-pen leaves even lines, a pencil grain, a dry brush spots; scans are
    anything from soft grey to black and white.
    """
    if not (style.grain or style.ragged or style.soft or style.binary):
        return pictures
    count, side, _ = pictures.shape
    own = normal(derive(keys.habit, -4), 4)
    grain, spots, ragged = ((1 + 0.5 * own[:, i, None, None]).clamp(min=0.1) for i in range(3))
    fine = uniform(derive(keys.sample, -5), side * side).view(count, side, side) * 2 - 1
    x = pictures.float() / 255
    loss = style.grain * (0.6 * grain * fine.abs() + 0.8 * spots * _spots(keys.sample, side).clamp(min=0))
    x = x * (1 - loss).clamp(min=0)
    # Ragged edges: noise where the ink is neither full nor absent, before the scanner's contrast.
    edge = (4 * x * (1 - x)).clamp(0, 1)
    x = x + style.ragged * ragged * fine.roll(1, 2) * edge
    scanner = uniform(derive(keys.habit, -6), 3)
    soft = style.soft * (0.4 + 1.2 * scanner[:, 2, None, None])
    x = torch.lerp(x, _blurred(x), soft.clamp(max=1))
    # Normalisation makes the darkest tenth of the ink black. These squares do not pass it, so the same is done here:
    # the ratio of two power sums is a smooth and fast estimate of that level.
    x = x / x.amax((1, 2), keepdim=True).clamp(min=1e-3)
    dark = x.pow(12).sum((1, 2)) / x.pow(11).sum((1, 2)).clamp(min=1e-6)
    x = x / dark.clamp(min=1e-3)[:, None, None]
    x = (x - _PAPER).clamp(min=0) / (1 - _PAPER)
    steep = torch.where(scanner[:, 0] < style.binary, 4 + 12 * scanner[:, 1], 1)[:, None, None]
    x = torch.where(steep > 1, (x - 0.3) * steep + 0.5, x)
    return (x.clamp(0, 1) * 255 + 0.5).to(torch.uint8)


def _blurred(x: Tensor) -> Tensor:
    """Binomial filter 1 4 6 4 1 by rows and columns of (N, S, S), as sums: convolutions of one channel are slow."""
    for axis in (2, 1):
        padded = F.pad(x, (2, 2, 0, 0) if axis == 2 else (0, 0, 2, 2))
        left2, left, middle, right, right2 = (padded.narrow(axis, i, x.shape[axis]) for i in range(5))
        x = (left + right).mul_(4).add_(middle, alpha=6).add_(left2).add_(right2).div_(16)
    return x


def _spots(samples: Tensor, side: int) -> Tensor:
    """Smooth noise (N, S, S) of about unit deviation: bilinear between random knots."""
    knots = side // _SPOT + 2
    coarse = normal(derive(samples, -7), knots * knots).view(-1, 1, knots, knots)
    # Interpolation lowers the deviation by about 1.4.
    return F.interpolate(coarse, (side, side), mode="bilinear", align_corners=True)[:, 0] * 1.4
