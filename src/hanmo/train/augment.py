"""Augmentation of whole batches on the device.

Random numbers and image operations are apart. :func:`sample_augmentation` takes all random numbers from one generator
in three calls; :func:`apply` is a pure function of squares and numbers, so torch.compile makes few kernels of it.

Shapes: N pictures, S the side, G the cells of the elastic grid, K numbers a picture.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.synth.morphology import thickened
from hanmo.train.config import AugmentConfig


class Randomness(NamedTuple):
    """Random numbers for the augmentation of a batch of N pictures, float32 on its device."""

    uniform: Tensor  # (N, K) in [-1, 1]
    knots: Tensor  # (N, 3, G, G) normal: displacement across, down, darkness
    grain: Tensor  # (N, 1, S, S) normal


_SHARES = [1, 2, 2, 2, 2, 1, 1, 1, 1, 1, 2, 2, 3]
"""How many of the K numbers of a picture each operation takes, in the order in which :func:`apply` unpacks them."""


def sample_augmentation(config: AugmentConfig, count: int, side: int, generator: torch.Generator) -> Randomness:
    """All random numbers for ``count`` pictures of ``side`` pixels; they depend on the generator's state alone."""
    device, cells = generator.device, config.elastic_cells
    return Randomness(
        torch.rand(count, sum(_SHARES), generator=generator, device=device) * 2 - 1,
        torch.randn(count, 3, cells, cells, generator=generator, device=device),
        torch.randn(count, 1, side, side, generator=generator, device=device),
    )


_DISTORTIONS = sum(_SHARES[:5])
"""The first numbers of a picture distort it: angle, stretch, shear, shift and tilt."""


def distortion_left(config: AugmentConfig, step: int, steps: int) -> float:
    """The share of the distortions at ``step``, 0 to ``steps`` - 1: from 1 evenly down to ``drop_distortion``."""
    if config.drop_distortion is None:
        return 1.0
    return 1 - (1 - config.drop_distortion) * step / max(1, steps - 1)


def weaken(randomness: Randomness, share: float) -> Randomness:
    """The same random numbers with distortions of ``share`` of their strength, changed in place.

    They are numbers of the batch, not settings, so a compiled step stays as it is.
    """
    if share != 1:
        randomness.uniform[:, :_DISTORTIONS].mul_(share)
        randomness.knots[:, :2].mul_(share)  # the elastic displacement; the third field is the darkness
    return randomness


def apply(squares: Tensor, randomness: Randomness, config: AugmentConfig) -> Tensor:
    """Augment squares uint8 (N, S, S) -> pictures float32 (N, 1, S, S) in [0, 1], where 0 is paper."""
    side = squares.shape[-1]
    angle, stretch, shear, shift, tilt, stroke, blur, gain, gamma, noise, corner, size, visit = torch.split(
        randomness.uniform, _SHARES, 1
    )
    warp = _homography(
        angle * math.radians(config.rotate),
        torch.exp(stretch * config.scale),
        shear * config.shear,
        shift * 2 * config.translate,
        tilt * config.perspective,
    )
    fields = _smooth(randomness.knots, side)
    x = unchanged(squares)
    # A recipe's setting, not a value of the batch, so torch.compile sees one branch only.
    if config.intrude:
        x = torch.maximum(x, _neighbour(x, visit, config.intrude))
    # Geometry in a single resampling: every further one would blur the strokes.
    x = F.grid_sample(x, _grid(warp, fields[..., :2] * 2 * config.elastic), align_corners=False)
    x = x * (1 + fields[..., 2].unsqueeze(1) * config.fade).clamp(0, 2)
    x = thickened(x, _per_picture(stroke) * config.stroke)
    x = x + _per_picture(blur).abs() * config.blur * (_blur(x) - x)
    # The exponent bends the grey levels; the factor below dims or darkens the ink. The clamp guards
    # against a base below 0, whose power is not a number.
    x = x.clamp(min=1e-4) ** torch.exp(_per_picture(gamma) * config.contrast)
    x = x * (1 + _per_picture(gain) * config.contrast / 2)
    x = x * _outside_hole((corner + 1) / 2 * side, size.abs() * config.cutout * side, side)
    return (x + randomness.grain * _per_picture(noise).abs() * config.noise).clamp(0, 1)


def unchanged(squares: Tensor) -> Tensor:
    """Squares without augmentation, in the format of :func:`apply`: uint8 (N, S, S) -> float32 (N, 1, S, S)."""
    return squares.unsqueeze(1).float() / 255


def _per_picture(numbers: Tensor) -> Tensor:
    return numbers[:, :, None, None]


def _homography(angle: Tensor, stretch: Tensor, shear: Tensor, shift: Tensor, tilt: Tensor) -> Tensor:
    """(N, 3, 3) from output to input coordinates, both in [-1, 1]: shear, rotation, stretch, shift, perspective."""
    cos, sin = torch.cos(angle)[:, 0], torch.sin(angle)[:, 0]
    rows = (
        torch.stack(
            (stretch[:, 0] * (cos + shear[:, 0] * sin), stretch[:, 0] * (shear[:, 0] * cos - sin), shift[:, 0]), 1
        ),
        torch.stack(
            (stretch[:, 1] * (sin + shear[:, 1] * cos), stretch[:, 1] * (cos - shear[:, 1] * sin), shift[:, 1]), 1
        ),
        torch.cat((tilt, torch.ones_like(angle)), 1),
    )
    return torch.stack(rows, 1)


def _smooth(knots: Tensor, side: int) -> Tensor:
    """Random fields through normal knots (N, J, G, G) -> (N, S, S, J), unit variance everywhere."""
    spline = _spline(side, knots.shape[-1], knots.device)
    return torch.einsum("hg,njgk,wk->nhwj", spline, knots, spline)


def _neighbour(x: Tensor, visit: Tensor, share: float) -> Tensor:
    """Neighbouring characters for a ``share`` of the pictures: the edge of another picture of the batch."""
    which, along, across = visit.T
    # Shifts are in half sides: by 1.5 to 1.9 the outer quarter to twentieth of the neighbour reaches into the picture,
    # by 4 nothing of it.
    near = torch.where((which.abs() < share)[:, None], 1.5 + 0.4 * along.abs()[:, None], 4.0)
    sideways = torch.stack((torch.where(across > 0, 1.0, -1.0), torch.zeros_like(across)), 1)
    direction = torch.where((which > 0)[:, None], sideways, sideways.flip(1))
    shift = torch.cat((torch.eye(2, device=x.device).expand(len(x), 2, 2), (direction * near)[:, :, None]), 2)
    return F.grid_sample(x.flip(0), F.affine_grid(shift, list(x.shape), align_corners=False), align_corners=False)


def _grid(warp: Tensor, field: Tensor) -> Tensor:
    """The input place of each output pixel, (N, S, S, 2) in [-1, 1]: the homography, then the elastic ``field``."""
    side = field.shape[1]
    axis = (torch.arange(side, device=warp.device) + 0.5) * (2 / side) - 1
    ones = torch.ones(side, side, device=warp.device)
    plane = torch.stack((axis.expand(side, side), axis[:, None].expand(side, side), ones), -1)
    seen = torch.einsum("hwk,njk->nhwj", plane, warp)
    # Divided by the homogeneous coordinate, which a strong perspective could bring near 0.
    return seen[..., :2] / seen[..., 2:].clamp(min=0.2) + field


def _spline(side: int, cells: int, device: torch.device) -> Tensor:
    """Cubic B-spline weights (side, cells): a smooth curve through scattered knots, unit variance kept at the knots."""
    place = torch.linspace(0, cells - 1, side, device=device)
    far = (place[:, None] - torch.arange(cells, device=device)).abs()
    near = (4 - 6 * far**2 + 3 * far**3) / 6
    tail = (2 - far).clamp(min=0) ** 3 / 6
    weights = torch.where(far < 1, near, tail)
    return weights / weights.square().sum(1, keepdim=True).sqrt()


def _outside_hole(centre: Tensor, size: Tensor, side: int) -> Tensor:
    """(N, 1, S, S) True outside a rectangle given by (N, 2) centre and size in pixels, x first."""
    pixel = torch.arange(side, device=centre.device) + 0.5
    inside = (pixel[None, None] - centre[:, :, None]).abs() < size[:, :, None] / 2
    return ~(inside[:, 1, None, :, None] & inside[:, 0, None, None, :])


def _blur(x: Tensor) -> Tensor:
    """A Gaussian blur with a standard deviation of one pixel, by rows and columns."""
    # Computed on the device: numbers copied from the CPU at every step would make a GPU wait, and torch.compile would
    # not put the step into a CUDA graph.
    distance = (torch.arange(5, device=x.device) - 2).abs()
    kernel = torch.where(distance == 0, 0.4026, torch.where(distance == 1, 0.2442, 0.0545))
    x = F.conv2d(x, kernel.view(1, 1, 1, 5), padding=(0, 2))
    return F.conv2d(x, kernel.view(1, 1, 5, 1), padding=(2, 0))
