"""Squares of one normalisation as those of another: the same character, on another number of pixels."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from hanmo.normalize import Normalization

FINER = 4 / 3
"""A character that goes on a page is drawn on a square with this many times the pixels a side: a page shows it larger
or smaller than the net's square does, and what is enlarged would be blurred."""


def finer(normalization: Normalization) -> Normalization:
    """The squares that are drawn for pages, 64 pixels a side where the net sees 48."""
    return replace(normalization, side=round(normalization.side * FINER), margin=round(normalization.margin * FINER))


def refit(squares: Tensor, own: Normalization, wanted: Normalization) -> Tensor:
    """Float (N, S, S) made as ``own`` says -> float (N, T, T) as ``wanted`` says; 0 is paper.

    The room inside one margin becomes the room inside the other; what stands in the margins moves along, and beyond
    the square there is paper. Pixels are averaged by area where the character shrinks and interpolated linearly where
    it grows, as in :mod:`hanmo.normalize`.
    """
    matrix = _resampling(own, wanted, squares.device)
    return torch.einsum("ts,nsu,vu->ntv", matrix, squares, matrix)


def as_bytes(squares: Tensor) -> Tensor:
    """Squares in [0, 1] as uint8."""
    return (squares * 255 + 0.5).to(torch.uint8)


def _resampling(own: Normalization, wanted: Normalization, device: torch.device) -> Tensor:
    """(T, S): row t holds the share that each pixel of an ``own`` line has in cell t of a ``wanted`` one."""
    scale = (own.side - 2 * own.margin) / (wanted.side - 2 * wanted.margin)
    cell = torch.arange(wanted.side, device=device) + (0.5 - wanted.margin)
    middle = (own.margin + cell * scale)[:, None]
    half = max(scale, 1) / 2  # a cell is at least a pixel wide, which makes growing linear interpolation
    pixel = torch.arange(own.side, device=device)
    covered = (middle + half - pixel).clamp(0, 1) - (middle - half - pixel).clamp(0, 1)
    return covered / (2 * half)
