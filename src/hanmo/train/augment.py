"""Augmentation of whole batches on the device.

Randomness and picture work are apart: :func:`draw` takes all random numbers from one explicit generator,
:func:`apply` is a pure function of pictures and numbers, so it compiles into few kernels and is easy to test.

Shapes: N pictures, S the side, G the cells of the elastic grid.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.train.config import AugmentConfig


class Changes(NamedTuple):
    """What is done to each picture of a batch; tensors on the batch's device, float32."""

    warp: Tensor  # (N, 3, 3) homography from output to input coordinates, both in [-1, 1]
    elastic: Tensor  # (N, 2, G, G) displacements in [-1, 1] coordinates, x first
    stroke: Tensor  # (N, 1, 1, 1) pixels, negative thins
    blur: Tensor  # (N, 1, 1, 1) share of a unit Gaussian blur
    gain: Tensor  # (N, 1, 1, 1) ink darkness
    gamma: Tensor  # (N, 1, 1, 1) exponent
    noise: Tensor  # (N, 1, S, S) added
    hole: Tensor  # (N, 4) left, top, right, bottom in pixels


def draw(config: AugmentConfig, count: int, side: int, generator: torch.Generator) -> Changes:
    """Random changes for ``count`` pictures, on the generator's device; the same generator state, the same changes."""
    device = generator.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device) * 2 - 1

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    angle = uniform(count) * math.radians(config.rotate)
    stretch = torch.exp(uniform(count, 2) * config.scale)
    shear = uniform(count, 2) * config.shear
    shift = uniform(count, 2) * 2 * config.translate
    tilt = uniform(count, 2) * config.perspective
    cos, sin = torch.cos(angle), torch.sin(angle)
    warp = torch.zeros(count, 3, 3, device=device)
    warp[:, 0, 0] = stretch[:, 0] * (cos + shear[:, 0] * sin)
    warp[:, 0, 1] = stretch[:, 0] * (shear[:, 0] * cos - sin)
    warp[:, 1, 0] = stretch[:, 1] * (sin + shear[:, 1] * cos)
    warp[:, 1, 1] = stretch[:, 1] * (cos - shear[:, 1] * sin)
    warp[:, :2, 2] = shift
    warp[:, 2, :2] = tilt
    warp[:, 2, 2] = 1
    elastic = normal(count, 2, config.elastic_cells, config.elastic_cells) * 2 * config.elastic
    stroke = uniform(count, 1, 1, 1) * config.stroke
    blur = uniform(count, 1, 1, 1).abs() * config.blur
    gain = 1 + uniform(count, 1, 1, 1) * config.contrast / 2
    gamma = torch.exp(uniform(count, 1, 1, 1) * config.contrast)
    noise = normal(count, 1, side, side) * (uniform(count, 1, 1, 1).abs() * config.noise)
    size = uniform(count, 2).abs() * config.cutout * side
    corner = (uniform(count, 2) + 1) / 2 * side
    hole = torch.cat((corner - size / 2, corner + size / 2), 1)
    return Changes(warp, elastic, stroke, blur, gain, gamma, noise, hole)


def apply(images: Tensor, changes: Changes) -> Tensor:
    """uint8 (N, S, S) -> float32 (N, 1, S, S) in [0, 1], 0 = paper, changed as told."""
    x = images.unsqueeze(1).float() / 255
    x = F.grid_sample(x, _grid(changes, images.shape[-1]), align_corners=False)
    thick = F.max_pool2d(x, 3, 1, 1)
    thin = -F.max_pool2d(-x, 3, 1, 1)
    x = x + changes.stroke.clamp(min=0) * (thick - x) + changes.stroke.clamp(max=0) * (x - thin)
    x = x + changes.blur * (_blur(x) - x)
    x = x.clamp(min=1e-4) ** changes.gamma * changes.gain
    pixel = torch.arange(images.shape[-1], device=images.device) + 0.5
    left, top, right, bottom = changes.hole.T[:, :, None]
    across = (pixel > left) & (pixel < right)
    down = (pixel > top) & (pixel < bottom)
    kept = ~(down[:, None, :, None] & across[:, None, None, :])
    return (x * kept + changes.noise).clamp(0, 1)


def unchanged(images: Tensor) -> Tensor:
    """What :func:`apply` gives without any change: uint8 (N, S, S) -> float32 (N, 1, S, S) in [0, 1]."""
    return images.unsqueeze(1).float() / 255


def _grid(changes: Changes, side: int) -> Tensor:
    """Where each output pixel looks: (N, S, S, 2) in [-1, 1], homography first, then the elastic field."""
    axis = (torch.arange(side, device=changes.warp.device) + 0.5) * (2 / side) - 1
    ones = torch.ones(side, side, device=axis.device)
    plane = torch.stack((axis.expand(side, side), axis[:, None].expand(side, side), ones), -1)
    seen = torch.einsum("hwk,njk->nhwj", plane, changes.warp)
    spline = _spline(side, changes.elastic.shape[-1], axis.device)
    field = torch.einsum("hg,njgk,wk->nhwj", spline, changes.elastic, spline)
    return seen[..., :2] / seen[..., 2:].clamp(min=0.2) + field


def _spline(side: int, cells: int, device: torch.device) -> Tensor:
    """Cubic B-spline weights (side, cells): a smooth curve through scattered knots, unit variance kept at the knots."""
    place = torch.linspace(0, cells - 1, side, device=device)
    far = (place[:, None] - torch.arange(cells, device=device)).abs()
    near = (4 - 6 * far**2 + 3 * far**3) / 6
    tail = (2 - far).clamp(min=0) ** 3 / 6
    weights = torch.where(far < 1, near, tail)
    return weights / weights.square().sum(1, keepdim=True).sqrt()


def _blur(x: Tensor) -> Tensor:
    """A 5-tap Gaussian of one pixel, by rows and columns."""
    taps = torch.tensor([0.0545, 0.2442, 0.4026, 0.2442, 0.0545], device=x.device)
    x = F.conv2d(x, taps.view(1, 1, 1, 5), padding=(0, 2))
    return F.conv2d(x, taps.view(1, 1, 5, 1), padding=(2, 0))
