"""Letters of heavy fonts written with a pen: lines keep their middle and their rhythm, and lose their fat.

The medial axis of a shape with its radii draws the shape again (Blum, "A transformation for extracting new descriptors
of shape", 1967); with radii scaled down it draws a slimmer one. The axis is Lantuéjoul's: what opening takes away from
every erosion.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Bytes = NDArray[np.uint8]

_AT_ONCE = 512
_THICKEST = 24  # erosions: pixels of half a line, at most


def slim(pictures: Bytes, width: float) -> Bytes:
    """Pictures of one font, uint8 (n, S, S), 0 = paper, 255 = ink, their lines made ``width`` pixels wide on average.

    A font that is not heavier than that is returned as it is.
    """
    usual = line_width(pictures[:: max(1, len(pictures) // 200)])
    if usual <= width:
        return pictures
    parts = [
        _slim(torch.from_numpy(pictures[i : i + _AT_ONCE]), width / usual) for i in range(0, len(pictures), _AT_ONCE)
    ]
    return torch.cat(parts).numpy()


def line_width(pictures: Bytes) -> float:
    """The mean width of the lines in pixels: ink over the length of the axis."""
    ink = torch.from_numpy(pictures)[:, None] > 127
    axis = sum(int(layer.sum()) for layer in _axis(ink))
    return 1 + 2 * sum(k * int(layer.sum()) for k, layer in enumerate(_axis(ink))) / max(axis, 1)


def _axis(ink: Tensor) -> list[Tensor]:
    """The medial axis of (n, 1, S, S): a picture for each radius, from 0 on."""
    layers = []
    shape = ink.float()
    for step in range(_THICKEST):
        if not shape.any():
            break
        less = _eroded(shape, step)
        layers.append((shape - _dilated(less, step)).clamp(min=0))
        shape = less
    return layers


def _slim(pictures: Tensor, share: float) -> Tensor:
    """Radii become ``share`` of what they are; between whole pixels the results of both are mixed."""
    layers = _axis(pictures[:, None] > 127)
    drawn = _redrawn(layers, share, 0.0), _redrawn(layers, share, 0.5)
    return ((drawn[0] + drawn[1])[:, 0] * 127.5 + 0.5).to(torch.uint8)


def _redrawn(layers: list[Tensor], share: float, more: float) -> Tensor:
    """The shape of an axis whose radius k is ``share`` k + ``more``, rounded down."""
    radii = [int(share * k + more) for k in range(len(layers))]
    shape = torch.zeros_like(layers[0])
    for radius in range(max(radii), -1, -1):
        for k, layer in enumerate(layers):
            if radii[k] == radius:
                shape = torch.maximum(shape, layer)
        if radius:
            shape = _dilated(shape, radius)
    return shape


def _dilated(shape: Tensor, step: int) -> Tensor:
    """Grown by a pixel: by a square and by a cross in turn, which together come near a disc."""
    if step % 2:
        return F.max_pool2d(shape, 3, 1, 1)
    return torch.maximum(F.max_pool2d(shape, (1, 3), 1, (0, 1)), F.max_pool2d(shape, (3, 1), 1, (1, 0)))


def _eroded(shape: Tensor, step: int) -> Tensor:
    return 1 - _dilated(1 - shape, step)
