"""Slimming: glyphs of heavy fonts get the line width of a pen, while thick and thin lines keep their proportions.

A shape can be drawn again from its medial axis and the radius at each point of it (Blum, "A transformation for
extracting new descriptors of shape", 1967); with smaller radii the result is a slimmer shape. The axis is computed by
Lantuéjoul's formula: what an opening removes from each erosion of the shape (Serra, "Image analysis and mathematical
morphology", 1982).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Bits = NDArray[np.bool_]

_AT_ONCE = 512  # pictures processed at once, which bounds memory
_THICKEST = 24  # erosions at most: half the width in pixels of the thickest line


def slim(pictures: Bytes, width: float) -> Bytes:
    """Give the glyphs of one font, uint8 (n, S, S), 0 = paper, 255 = ink, lines of ``width`` pixels on average.

    A font whose lines are not wider is returned unchanged.
    """
    usual = line_width(pictures[:: max(1, len(pictures) // 200)])
    if usual <= width:
        return pictures
    parts = [_slim(pictures[i : i + _AT_ONCE], width / usual) for i in range(0, len(pictures), _AT_ONCE)]
    return np.concatenate(parts)


def line_width(pictures: Bytes) -> float:
    """The mean width of lines in pixels: twice the mean distance of their axis from the edge, plus the axis."""
    lengths = [int(layer.sum()) for layer in _axis(pictures > 127)]
    return 1 + 2 * sum(radius * length for radius, length in enumerate(lengths)) / max(sum(lengths), 1)


def _axis(shape: Bits) -> list[Bits]:
    """The medial axis of shapes (n, S, S): a mask for each radius, from 0 on."""
    layers = []
    for step in range(_THICKEST):
        if not shape.any():
            break
        less = ~_dilated(~shape, step)
        layers.append(shape & ~_dilated(less, step))
        shape = less
    return layers


def _slim(pictures: Bytes, share: float) -> Bytes:
    """Scale all radii by ``share``; the mean of rounding down and rounding to the nearest gives half steps of grey."""
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
    """Dilate (n, S, S) by a pixel: by a cross in even steps, a square in odd ones, which approaches a disc."""
    if step % 2:
        return _grown(_grown(shape, 1), 2)
    return _grown(shape, 1) | _grown(shape, 2)


def _grown(shape: Bits, axis: int) -> Bits:
    """Dilate by one pixel to both sides along an axis."""
    grown = shape.copy()
    ahead, behind = [slice(None)] * 3, [slice(None)] * 3
    ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
    grown[tuple(ahead)] |= shape[tuple(behind)]
    grown[tuple(behind)] |= shape[tuple(ahead)]
    return grown
