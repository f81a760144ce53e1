"""What cameras and programs make of a page: blur, few pixels, noise, sharpening, compression, black and white."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.synth.paper.config import PageConfig
from hanmo.synth.paper.draws import Draws, Grain
from hanmo.synth.paper.optics import LENGTHS, SIGMAS, SIZES, Optics
from hanmo.synth.paper.printing import Spot, plane


def taken(
    page: Tensor,
    draws: Draws,
    grain: Grain,
    optics: Optics,
    spot: Spot,
    depth: Tensor,
    config: PageConfig,
) -> Tensor:
    """The page (N, side, side) as a lens and a sensor see it; ``depth`` (N, 1, 1) is how far ink is from paper."""
    side = page.shape[1]
    if config.moire:
        page = page + draws.has("moire") * config.moire_by * depth * _waves(draws, side)
    if config.blur or config.motion or config.small:
        page = _focused(page, draws, optics, spot, config)
    if config.motion:
        page = _moved(page, draws, spot, config)
    if config.noise:
        by, mix, *_ = draws.numbers("noise")
        hiss = torch.lerp(grain.a, (grain.b + grain.b.roll(1, 1) + grain.b.roll(1, 2)) * 0.577, (mix > 0.6).float())
        by = (0.15 + 0.85 * by) * (0.4 + 0.6 * spot.half)  # small characters drown in less noise
        page = page + draws.has("noise") * config.noise_by * depth * by * hiss
    if config.salt:
        by, kind, *_ = draws.numbers("salt")
        # The noise has a triangular distribution: this cuts the wanted part off each end.
        end = 6**0.5 * (1 - (draws.has("salt") * config.salt_by * (0.1 + 0.9 * by)).sqrt())
        speck = grain.b.roll(5, 1)
        page = torch.where((speck > end) & (kind < 0.8), 0.05, page)
        page = torch.where((speck < -end) & (kind > 0.2), 0.98, page)
    return page


def stored(page: Tensor, draws: Draws, optics: Optics, light: Tensor, contrast: Tensor, config: PageConfig) -> Tensor:
    """The page (N, side, side) as a program keeps it."""
    if config.sharpen:
        by, wide, *_ = draws.numbers("sharpen")
        fine, broad = (optics.lenses[SIGMAS.index(sigma)] for sigma in (1.1, 2.0))
        detail = page - torch.where(wide < 0.5, fine @ page @ fine.T, broad @ page @ broad.T)
        page = (page + draws.has("sharpen") * config.sharpen_by * (0.25 + 0.75 * by) * detail).clamp(0, 1)
    if config.copy:
        at, steep, *_ = draws.numbers("copy")
        split = light * (1 - contrast * (0.15 + 0.22 * at))
        slope = (2 + 14 * steep) / contrast.clamp(min=0.1)
        page = torch.where(draws.has("copy") > 0, ((page - split) * slope + 0.5).clamp(0, 1), page)
    if config.jpeg:
        page = _compressed(page, draws, optics, contrast, config)
    if config.levels:
        # Ink that is paler than a step would fall to the level of the paper.
        count = config.fewest - 1 + (12 * draws.numbers("levels")[0] + 2 * (1 / contrast - 1)).floor()
        few = (page.clamp(0, 1) * count).round() / count
        page = torch.where(draws.has("levels") > 0, few, page)
    return page


def _waves(draws: Draws, side: int) -> Tensor:
    angle, pitch, bend, phase, two, *_ = draws.numbers("moire")
    x, y = plane(side, angle.device)
    cos, sin = (2 * math.pi * angle).cos(), (2 * math.pi * angle).sin()
    along, across = x * cos + y * sin, y * cos - x * sin
    cycles = 4 + 20 * pitch.square()
    wave = (math.pi * cycles * (along + 0.3 * (bend - 0.5) * across.square()) + 6.28 * phase).sin()
    return wave * torch.where(two < 0.4, (math.pi * cycles * 0.8 * across).cos(), 1.0)


def _focused(page: Tensor, draws: Draws, optics: Optics, spot: Spot, config: PageConfig) -> Tensor:
    """Blur, motion along an axis and few pixels: one matrix for the columns and one for the rows of each page."""
    table = optics.lenses
    box = spot.half * page.shape[1]
    by, squeeze, *_ = draws.numbers("blur")
    sigma = draws.has("blur") * config.blur_by * box * (0.2 + 0.8 * by)
    sigma_y = sigma * (0.7 + 0.6 * squeeze)
    down, across = (_nearest(s, SIGMAS) for s in (sigma_y, sigma))
    length, kind, *_ = draws.numbers("motion")
    moved = len(SIGMAS) + _nearest(config.motion_by * box * (0.3 + 0.7 * length), LENGTHS)
    has = draws.has("motion") > 0
    down, across = torch.where(has & (kind < 0.25), moved, down), torch.where(has & (kind > 0.75), moved, across)
    fewer, smooth, *_ = draws.numbers("small")
    pixels = (config.small_to + 26 * fewer) / spot.half
    few = len(SIGMAS) + len(LENGTHS) + _nearest(pixels, SIZES) + torch.where(smooth < 0.3, len(SIZES), 0)
    has = draws.has("small") > 0
    down, across = (torch.where(has, few, other)[:, 0, 0] for other in (down, across))
    return torch.bmm(torch.bmm(table[down], page), table[across].transpose(1, 2))


def _nearest(value: Tensor, steps: tuple[float, ...]) -> Tensor:
    """The index of the first step that is not below the value, or the last one."""
    return torch.bucketize(value, torch.tensor(steps, device=value.device)).clamp(max=len(steps) - 1)


def _moved(page: Tensor, draws: Draws, spot: Spot, config: PageConfig) -> Tensor:
    """Motion along a diagonal, of up to seven pixels."""
    length, kind, *_ = draws.numbers("motion")
    far = config.motion_by * spot.half * page.shape[1] * (0.3 + 0.7 * length) * 0.3536  # half of it, in rows
    falling = kind < 0.5
    wide = F.pad(page[:, None], (3, 3, 3, 3), mode="replicate")[:, 0]
    size = page.shape[1]
    total, weights = page.clone(), torch.ones_like(far)
    for k in (-3, -2, -1, 1, 2, 3):
        rows = wide[:, 3 + k : 3 + k + size]
        weight = (far + 0.5 - abs(k)).clamp(0, 1)
        step = torch.where(falling, rows[:, :, 3 + k : 3 + k + size], rows[:, :, 3 - k : 3 - k + size])
        total, weights = total + weight * step, weights + weight
    here = (draws.has("motion") > 0) & (kind >= 0.25) & (kind <= 0.75)
    return torch.where(here, total / weights, page)


def _compressed(page: Tensor, draws: Draws, optics: Optics, contrast: Tensor, config: PageConfig) -> Tensor:
    """Rounded cosine coefficients of blocks of 8 x 8 pixels, as in JPEG."""
    cosine = optics.cosine
    by, *_ = draws.numbers("jpeg")
    # Faint ink would vanish altogether.
    factor = config.jpeg_by * (0.15 + 0.85 * by.square()) * contrast
    step = optics.steps * (factor / 255)
    coefficients = cosine @ page @ cosine.T
    rounded = (coefficients / step).round() * step
    return torch.where(draws.has("jpeg") > 0, cosine.T @ rounded @ cosine, page)
