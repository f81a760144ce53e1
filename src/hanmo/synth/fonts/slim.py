"""Letters of heavy fonts written with a pen: lines keep their middle and their rhythm, and lose their fat.

The medial axis of a shape with its radii draws the shape again (Blum, "A transformation for extracting new descriptors
of shape", 1967); with radii scaled down it draws a slimmer one. The axis is Lantuéjoul's: what opening takes away from
every erosion.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Bits = NDArray[np.bool_]

_AT_ONCE = 512
_THICKEST = 24  # erosions: pixels of half a line, at most


def slim(pictures: Bytes, width: float) -> Bytes:
    """Pictures of one font, uint8 (n, S, S), 0 = paper, 255 = ink, their lines made ``width`` pixels wide on average.

    A font that is not heavier than that is returned as it is.
    """
    usual = line_width(pictures[:: max(1, len(pictures) // 200)])
    if usual <= width:
        return pictures
    parts = [_slim(pictures[i : i + _AT_ONCE], width / usual) for i in range(0, len(pictures), _AT_ONCE)]
    return np.concatenate(parts)


def line_width(pictures: Bytes) -> float:
    """The mean width of the lines in pixels: twice the mean distance of their axis from the edge."""
    lengths = [int(layer.sum()) for layer in _axis(pictures > 127)]
    return 1 + 2 * sum(radius * length for radius, length in enumerate(lengths)) / max(sum(lengths), 1)


def _axis(shape: Bits) -> list[Bits]:
    """The medial axis of (n, S, S): a picture for each radius, from 0 on."""
    layers = []
    for step in range(_THICKEST):
        if not shape.any():
            break
        less = ~_dilated(~shape, step)
        layers.append(shape & ~_dilated(less, step))
        shape = less
    return layers


def _slim(pictures: Bytes, share: float) -> Bytes:
    """Radii become ``share`` of what they are; between whole pixels the results of both are mixed."""
    layers = _axis(pictures > 127)
    slimmer, fatter = (_redrawn(layers, share, more) for more in (0.0, 0.5))
    mixed: Bytes = slimmer * np.uint8(128) + fatter * np.uint8(127)
    return mixed


def _redrawn(layers: list[Bits], share: float, more: float) -> Bits:
    """The shape of an axis whose radius k is ``share`` k + ``more``, rounded down."""
    radii = [int(share * k + more) for k in range(len(layers))]
    shape = np.zeros_like(layers[0])
    for radius in range(max(radii), -1, -1):
        for k, layer in enumerate(layers):
            if radii[k] == radius:
                shape = shape | layer
        if radius:
            shape = _dilated(shape, radius)
    return shape


def _dilated(shape: Bits, step: int) -> Bits:
    """(n, S, S) grown by a pixel: by a square and by a cross in turn, which together come near a disc."""
    if step % 2:
        return _grown(_grown(shape, 1), 2)
    return _grown(shape, 1) | _grown(shape, 2)


def _grown(shape: Bits, axis: int) -> Bits:
    """With both neighbours along an axis."""
    grown = shape.copy()
    ahead, behind = [slice(None)] * 3, [slice(None)] * 3
    ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
    grown[tuple(ahead)] |= shape[tuple(behind)]
    grown[tuple(behind)] |= shape[tuple(ahead)]
    return grown
