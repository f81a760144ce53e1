"""The photograph of a page: the desk around it, light, blur and noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from hanmo.synth.paper.config import PageConfig
from hanmo.synth.paper.effects import Effects, Grain, sample_numbers
from hanmo.synth.paper.light import illumination
from hanmo.synth.sheets.camera import Camera

Random = np.random.Generator
Pixels = NDArray[np.float32]

_STEP = 16  # pixels between the knots of the map from the photograph to the page; it is smooth, so few are enough
_FIELD = 160  # side of the picture of the light, which is then enlarged
_DESKS = ((112, 84, 62), (140, 108, 78), (64, 62, 66), (84, 90, 100), (176, 146, 112), (44, 46, 52), (150, 154, 158))
_WHITENED = 1.2  # contrast from which on the paper is made white as well
_BAND = 256  # rows of the photograph that are sampled at a time, to save memory


class Exposure(NamedTuple):
    """Light and camera of one photograph."""

    light: Pixels
    """(side, side): the light on the page, 1 = full."""
    tint: tuple[float, float, float]
    """Of the light: warm or cool."""
    desk: tuple[int, int, int]
    blur: float
    """Deviation in pixels."""
    noise: float
    """Deviation, as a part of white."""
    contrast: float
    """1 as taken; more where a program has whitened the paper."""
    quality: int
    """Of the JPEG file."""


def make_exposure(rng: Random, cell: float) -> Exposure:
    """Light and camera for a photograph whose cells are ``cell`` pixels wide."""
    whitened = rng.random() < 0.2
    warm = rng.normal(0, 0.035)
    level = rng.uniform(0.9, 1.0) if whitened else rng.uniform(0.68, 0.98)
    return Exposure(
        light=_light(rng) ** np.float32(0.2 if whitened else 1) * np.float32(level),
        tint=(1 + warm, 1.0, 1 - warm),
        desk=_DESKS[rng.integers(len(_DESKS))],
        # Out of focus by up to a seventieth of a cell; more, and small characters run together.
        blur=float(rng.choice([0.0, 0.5, 0.8, cell * rng.uniform(0.006, 0.014)])),
        noise=float(rng.choice([0.003, 0.008, 0.018], p=[0.4, 0.4, 0.2])),
        contrast=rng.uniform(1.3, 1.7) if whitened else rng.uniform(0.95, 1.15),
        quality=int(rng.integers(62, 96)),
    )


def _light(rng: Random) -> Pixels:
    """The light on the page, from the page model of single characters: gradients, blotches, shadows."""
    config = PageConfig.off(gradient=0.6, veil=0.35, shadow=0.35)
    key = torch.tensor([int(rng.integers(2**62))])
    numbers, seeds = sample_numbers(key)
    one = torch.ones(1, 1, 1)
    field = illumination(Effects(numbers, config), Grain.sample(seeds, _FIELD), one, config, _FIELD)
    light: Pixels = field.expand(1, _FIELD, _FIELD)[0].numpy()
    # A camera measures the light, so the page as a whole is bright; the darkest corner keeps a third of the light.
    exposed: Pixels = np.clip(light / np.quantile(light, 0.6), 0.34, 1.08)
    return exposed


def photograph(page: Image.Image, camera: Camera, exposure: Exposure, rng: Random) -> Image.Image:
    """The page (RGB, of any resolution) as ``camera`` sees it in this light."""
    width, height = camera.size
    flat = torch.from_numpy(np.asarray(page, np.uint8).copy()).permute(2, 0, 1).float()[None]
    places = _map(camera)
    seen = np.empty((height, width, 3), np.uint8)
    desk = _desk(rng, camera, exposure)
    for first in range(0, height, _BAND):
        rows = slice(first, min(first + _BAND, height))
        seen[rows] = _band(flat, places, desk, camera, exposure, rows)
    return _develop(seen, exposure, rng)


def _map(camera: Camera) -> Tensor:
    """(1, 2, h, w): the place on the page, in millimetres, at knots from the first to the last pixel's centre."""
    width, height = camera.size
    x, y = (np.linspace(0.5, n - 0.5, max(2, n // _STEP)) for n in (width, height))
    knots = np.stack(np.broadcast_arrays(x, y[:, None]), -1)
    return torch.from_numpy(camera.unproject(knots).astype(np.float32)).permute(2, 0, 1)[None]


def _rows(field: Tensor, size: tuple[int, int], rows: slice) -> Tensor:
    """Some rows of a field (1, C, h, w) enlarged to ``size`` (width, height), its first and last knots at the ends."""
    width, height = size
    x = torch.linspace(-1, 1, width)
    y = torch.linspace(-1, 1, height)[rows]
    grid = torch.stack([x.expand(len(y), width), y[:, None].expand(len(y), width)], 2)[None]
    return F.grid_sample(field, grid, mode="bilinear", padding_mode="border", align_corners=True)


def _band(
    flat: Tensor, places: Tensor, desk: Tensor, camera: Camera, exposure: Exposure, rows: slice
) -> NDArray[np.uint8]:
    """Some rows of the photograph: page and desk in the light, uint8 (rows, W, 3)."""
    size = torch.tensor(camera.page)
    here = _rows(places, camera.size, rows)[0].permute(1, 2, 0)
    page = F.grid_sample(flat, (here / size * 2 - 1)[None], padding_mode="border", align_corners=False)[0]
    outside = torch.maximum(-here, here - size).amax(2)  # millimetres beyond the edge, below 0 on the page
    pixels = camera.focal / camera.distance
    on_page = (0.5 - outside * pixels).clamp(0, 1)
    below = _rows(desk, camera.size, rows)[0] * (1 - 0.45 * (-outside.clamp(min=0) / 4).exp())  # the page's own shadow
    light = _rows(torch.from_numpy(exposure.light)[None, None], camera.size, rows)[0]
    tint = torch.tensor(exposure.tint)[:, None, None]
    seen = torch.lerp(below, page, on_page) * light * tint
    return (seen.clamp(0, 255) + 0.5).to(torch.uint8).permute(1, 2, 0).numpy()


def _desk(rng: Random, camera: Camera, exposure: Exposure) -> Tensor:
    """The desk (1, 3, h, w): one colour with long streaks, as of wood, or nearly plain."""
    streaks = rng.normal(0, 1, (160, 12)).astype(np.float32)
    streaks = streaks if rng.random() < 0.5 else streaks.T
    fine = rng.normal(0, 1, (160, 160)).astype(np.float32)
    wood = F.interpolate(torch.from_numpy(streaks)[None, None], (160, 160), mode="bilinear", align_corners=True)
    tone = 1 + rng.uniform(0.0, 0.12) * wood + 0.03 * torch.from_numpy(fine)
    return torch.tensor(exposure.desk, dtype=torch.float32)[None, :, None, None] * tone


def _develop(seen: NDArray[np.uint8], exposure: Exposure, rng: Random) -> Image.Image:
    """Blur, sensor noise and contrast."""
    picture = Image.fromarray(seen)
    if exposure.blur:
        picture = picture.filter(ImageFilter.GaussianBlur(exposure.blur))
    x = np.asarray(picture, np.float32)
    # Noise of light, which all colours share, and a weaker one of each colour.
    x = x + exposure.noise * 255 * rng.standard_normal((*x.shape[:2], 1), np.float32)
    x += exposure.noise * 90 * rng.standard_normal(x.shape, np.float32)
    if exposure.contrast != 1:
        white = float(np.percentile(x[::16, ::16], 80))
        bright = max(white, 235) if exposure.contrast > _WHITENED else white
        x = bright + (x - white) * exposure.contrast
    return Image.fromarray((x.clip(0, 255) + 0.5).astype(np.uint8))
