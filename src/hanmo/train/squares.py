"""Converts squares of one normalisation to those of another: the same character on another number of pixels."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from hanmo.normalize import Normalization

FINER = 4 / 3
"""Characters for pages are drawn on squares whose side is so many times the net's.

A page may show a character larger than the net's square does, and enlarging that square would blur it.
"""


def finer(normalization: Normalization) -> Normalization:
    """The normalisation of squares that are drawn for pages: 64 pixels a side where the net's input has 48."""
    return replace(normalization, side=round(normalization.side * FINER), margin=round(normalization.margin * FINER))


def refit(squares: Tensor, own: Normalization, wanted: Normalization) -> Tensor:
    """Float (N, S, S) of the normalisation ``own`` -> float (N, T, T) of ``wanted``; 0 is paper.

    The area inside one margin becomes the area inside the other. Ink in the margins moves along, and outside the square
    there is paper. Pixels are averaged by area where the character shrinks and interpolated linearly where
    it grows, as in :mod:`hanmo.normalize`.
    """
    matrix = _resampling(own, wanted, squares.device)
    return torch.einsum("ts,nsu,vu->ntv", matrix, squares, matrix)


def as_bytes(squares: Tensor) -> Tensor:
    """Squares in [0, 1] as uint8."""
    return (squares * 255 + 0.5).to(torch.uint8)


def _resampling(own: Normalization, wanted: Normalization, device: torch.device) -> Tensor:
    """(T, S): row t holds the weight of each pixel of an ``own`` line in pixel t of a ``wanted`` line."""
    # Pixels of the old square for each pixel of the new one.
    scale = (own.side - 2 * own.margin) / (wanted.side - 2 * wanted.margin)
    cell = torch.arange(wanted.side, device=device) + (0.5 - wanted.margin)
    middle = (own.margin + cell * scale)[:, None]
    half = max(scale, 1) / 2  # at least half a pixel, so that enlarging becomes linear interpolation
    pixel = torch.arange(own.side, device=device)
    covered = (middle + half - pixel).clamp(0, 1) - (middle - half - pixel).clamp(0, 1)
    return covered / (2 * half)
