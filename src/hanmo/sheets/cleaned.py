"""Cells without print, rules and neighbours' strokes, with black ink, for a second look at those not read for sure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hanmo.sheets.written import Writing, darkness, paper_of, print_of

Grey = NDArray[np.uint8]
Levels = NDArray[np.float32]

_SAMPLE = 96
"""Cells from which the print is found at full size: more change it little and take longer."""
_PRINTED = 0.06
"""Darkness from which something is printed at a place; the rest is the structure of the paper."""
_BEYOND, _NOISE = 1.15, 0.04
"""A pixel is print if it is no darker than so many times the usual print, and a little for the noise."""
_BLACK, _GRAIN = 0.97, 0.05
"""Levels of :func:`contrasted`: this quantile of a cell's darkness becomes black, and what has less than this share of
it becomes paper. On 39 drawn sheets 0.95 to 0.99 and 0 to 0.2 differ by less than 0.2 points."""
_PALEST = 0.02
"""Darkness that becomes black at least: a cell without ink stays white."""


def without_print(pictures: Grey, writing: Writing, printed: Levels) -> Grey:
    """The pictures (N, S, S), with paper for what is ``printed`` (S, S) and what is foreign to the cell."""
    print_ = (printed > _PRINTED) & (darkness(pictures) <= _BEYOND * printed + _NOISE)
    return without_foreign(np.where(print_, paper_of(pictures).astype(np.uint8), pictures), writing)


def without_foreign(pictures: Grey, writing: Writing) -> Grey:
    """The pictures (N, S, S), with paper for what is foreign to the cell alone."""
    foreign = _enlarged(writing.foreign.astype(np.float32), pictures.shape[1], Image.Resampling.NEAREST) > 0
    return np.where(foreign, paper_of(pictures).astype(np.uint8), pictures)


def contrasted(pictures: Grey) -> Grey:
    """The pictures (N, S, S) with white paper and black ink.

    The front end of a reader takes pale pencil for shadows. In a cell of a sheet it can only be writing.
    """
    dark = darkness(pictures)
    black = np.maximum(np.quantile(dark, _BLACK, axis=(1, 2), keepdims=True), _PALEST)
    ink = ((dark / black - _GRAIN) / (1 - _GRAIN)).clip(0, 1)
    return np.asarray(255 * (1 - ink), np.uint8)


def fine_print(pictures: Grey) -> Levels:
    """What is printed in all cells of a grid, uint8 (N, S, S): its darkness (S, S), 0 = paper, 1 = black."""
    return print_of(darkness(pictures[:: max(1, len(pictures) // _SAMPLE)][:_SAMPLE]))


def _enlarged(levels: Levels, side: int, how: Image.Resampling) -> Levels:
    """Levels (N, H, W) as (N, side, side)."""
    return np.stack([np.asarray(Image.fromarray(cell).resize((side, side), how)) for cell in levels])
