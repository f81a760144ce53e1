"""A page as a camera takes it and a program stores it: blur, noise, sharpening, compression, black and white."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.synth.paper.config import PageConfig
from hanmo.synth.paper.effects import Effects, Grain
from hanmo.synth.paper.optics import LENGTHS, SIGMAS, SIZES, Optics
from hanmo.synth.paper.placement import Placement, pixel_grid


def photograph(
    page: Tensor,
    effects: Effects,
    grain: Grain,
    optics: Optics,
    placement: Placement,
    depth: Tensor,
    config: PageConfig,
) -> Tensor:
    """The page (N, side, side) as a lens and a sensor see it: moire, blur, motion, few pixels, noise, specks.

    ``depth`` (N, 1, 1) is the difference between paper and ink, to which the noise is proportional.
    """
    side = page.shape[1]
    if config.moire:
        page = page + effects.has("moire") * config.moire_by * depth * _moire(effects, side)
    if config.blur or config.motion or config.small:
        page = _blur_and_resample(page, effects, optics, placement, config)
    if config.motion:
        page = _diagonal_motion(page, effects, placement, config)
    if config.noise:
        by, mix, *_ = effects.numbers("noise")
        # Two times in five the noise is spread over three rows (0.577 = 1 / sqrt(3) keeps its deviation).
        hiss = torch.lerp(grain.a, (grain.b + grain.b.roll(1, 1) + grain.b.roll(1, 2)) * 0.577, (mix > 0.6).float())
        by = (0.15 + 0.85 * by) * (0.4 + 0.6 * placement.half)  # small characters are lost in less noise
        page = page + effects.has("noise") * config.noise_by * depth * by * hiss
    if config.salt:
        by, kind, *_ = effects.numbers("salt")
        # The noise has a triangular distribution from -sqrt(6) to sqrt(6): this cuts the wanted share off each end.
        end = 6**0.5 * (1 - (effects.has("salt") * config.salt_by * (0.1 + 0.9 * by)).sqrt())
        speck = grain.b.roll(5, 1)
        page = torch.where((speck > end) & (kind < 0.8), 0.05, page)
        page = torch.where((speck < -end) & (kind > 0.2), 0.98, page)
    return page


def store(
    page: Tensor, effects: Effects, optics: Optics, light: Tensor, contrast: Tensor, config: PageConfig
) -> Tensor:
    """The page (N, side, side) as a program keeps it."""
    if config.sharpen:
        by, wide, *_ = effects.numbers("sharpen")
        fine, broad = (optics.lenses[SIGMAS.index(sigma)] for sigma in (1.1, 2.0))
        detail = page - torch.where(wide < 0.5, fine @ page @ fine.T, broad @ page @ broad.T)
        page = (page + effects.has("sharpen") * config.sharpen_by * (0.25 + 0.75 * by) * detail).clamp(0, 1)
    if config.copy:
        at, steep, *_ = effects.numbers("copy")
        split = light * (1 - contrast * (0.15 + 0.22 * at))
        slope = (2 + 14 * steep) / contrast.clamp(min=0.1)
        page = torch.where(effects.has("copy") > 0, ((page - split) * slope + 0.5).clamp(0, 1), page)
    if config.jpeg:
        page = _jpeg(page, effects, optics, contrast, config)
    if config.levels:
        # Faint ink gets more levels: paler than one step, it would become paper.
        count = config.fewest - 1 + (12 * effects.numbers("levels")[0] + 2 * (1 / contrast - 1)).floor()
        few = (page.clamp(0, 1) * count).round() / count
        page = torch.where(effects.has("levels") > 0, few, page)
    return page


def _moire(effects: Effects, side: int) -> Tensor:
    # A wave of 4 to 24 periods across the page, bent; two times in five a second one crosses it.
    angle, pitch, bend, phase, two, *_ = effects.numbers("moire")
    x, y = pixel_grid(side, angle.device)
    cos, sin = (2 * math.pi * angle).cos(), (2 * math.pi * angle).sin()
    along, across = x * cos + y * sin, y * cos - x * sin
    cycles = 4 + 20 * pitch.square()
    wave = (math.pi * cycles * (along + 0.3 * (bend - 0.5) * across.square()) + 6.28 * phase).sin()
    return wave * torch.where(two < 0.4, (math.pi * cycles * 0.8 * across).cos(), 1.0)


def _blur_and_resample(
    page: Tensor, effects: Effects, optics: Optics, placement: Placement, config: PageConfig
) -> Tensor:
    """Blur, motion along an axis and few pixels: one matrix for the columns and one for the rows of each page."""
    table = optics.lenses
    box = placement.half * page.shape[1]
    by, squeeze, *_ = effects.numbers("blur")
    sigma = effects.has("blur") * config.blur_by * box * (0.2 + 0.8 * by)
    sigma_y = sigma * (0.7 + 0.6 * squeeze)
    down, across = (_nearest(s, SIGMAS) for s in (sigma_y, sigma))
    length, kind, *_ = effects.numbers("motion")
    moved = len(SIGMAS) + _nearest(config.motion_by * box * (0.3 + 0.7 * length), LENGTHS)
    has = effects.has("motion") > 0
    down, across = torch.where(has & (kind < 0.25), moved, down), torch.where(has & (kind > 0.75), moved, across)
    fewer, smooth, *_ = effects.numbers("small")
    pixels = (config.small_to + 26 * fewer) / placement.half
    few = len(SIGMAS) + len(LENGTHS) + _nearest(pixels, SIZES) + torch.where(smooth < 0.3, len(SIZES), 0)
    has = effects.has("small") > 0
    down, across = (torch.where(has, few, other)[:, 0, 0] for other in (down, across))
    return torch.bmm(torch.bmm(table[down], page), table[across].transpose(1, 2))


def _nearest(value: Tensor, steps: tuple[float, ...]) -> Tensor:
    """The index of the first of the ascending ``steps`` that is not below the value, or of the last one."""
    return torch.bucketize(value, torch.tensor(steps, device=value.device)).clamp(max=len(steps) - 1)


def _diagonal_motion(page: Tensor, effects: Effects, placement: Placement, config: PageConfig) -> Tensor:
    """Motion blur along a diagonal, of up to seven pixels: the mean of the page shifted by -3 to 3 pixels."""
    length, kind, *_ = effects.numbers("motion")
    # Half of the movement, in rows: 0.5 / sqrt(2) of its length.
    far = config.motion_by * placement.half * page.shape[1] * (0.3 + 0.7 * length) * 0.3536
    falling = kind < 0.5
    wide = F.pad(page[:, None], (3, 3, 3, 3), mode="replicate")[:, 0]
    size = page.shape[1]
    total, weights = page.clone(), torch.ones_like(far)
    for k in (-3, -2, -1, 1, 2, 3):
        rows = wide[:, 3 + k : 3 + k + size]
        weight = (far + 0.5 - abs(k)).clamp(0, 1)
        step = torch.where(falling, rows[:, :, 3 + k : 3 + k + size], rows[:, :, 3 - k : 3 - k + size])
        total, weights = total + weight * step, weights + weight
    here = (effects.has("motion") > 0) & (kind >= 0.25) & (kind <= 0.75)
    return torch.where(here, total / weights, page)


def _jpeg(page: Tensor, effects: Effects, optics: Optics, contrast: Tensor, config: PageConfig) -> Tensor:
    """JPEG: the cosine coefficients of blocks of 8 x 8 pixels are rounded to multiples of their steps."""
    cosine = optics.cosine
    by, *_ = effects.numbers("jpeg")
    # In proportion to the contrast, as faint ink would vanish altogether.
    factor = config.jpeg_by * (0.15 + 0.85 * by.square()) * contrast
    step = optics.steps * (factor / 255)
    coefficients = cosine @ page @ cosine.T
    rounded = (coefficients / step).round() * step
    return torch.where(effects.has("jpeg") > 0, cosine.T @ rounded @ cosine, page)
