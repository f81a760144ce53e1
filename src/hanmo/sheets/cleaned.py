"""Cells without print, rules and neighbours' strokes, for a second look at those that were not read for sure.

Three ways, since each does well where the others do not: :func:`writing_alone` keeps only what is surely written,
:func:`without_print` removes only what is surely printed, and :func:`without_foreign` removes no print at all, for
sheets whose characters have strokes in common that look like print.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hanmo.sheets.written import PAPER, Writing, darkness, print_of, spread

Grey = NDArray[np.uint8]
Levels = NDArray[np.float32]

_EDGE = 0.25
"""Where a mask of 0 and 1 is enlarged, this level is half a pixel of the small mask outside of its edge."""
_SAMPLE = 96
"""Cells from which the print is found at full size: more change it little and take longer."""
_PRINTED = 0.06
"""Darkness from which something is printed at a place; the rest is the structure of the paper."""
_BEYOND, _NOISE = 1.15, 0.04
"""A pixel is print if it is no darker than so many times the usual print, and a little for the noise."""


def writing_alone(pictures: Grey, writing: Writing) -> Grey:
    """The pictures (N, S, S), with paper wherever there is no ``writing``."""
    inked = spread((writing.ink > 0).astype(np.float32))  # strokes keep their soft edges
    shown = _enlarged(inked, pictures.shape[1], Image.Resampling.BILINEAR) > _EDGE
    return np.where(shown, pictures, _paper(pictures))


def without_print(pictures: Grey, writing: Writing, printed: Levels) -> Grey:
    """The pictures (N, S, S), with paper for what is ``printed`` (S, S) and what is foreign to the cell."""
    print_ = (printed > _PRINTED) & (darkness(pictures) <= _BEYOND * printed + _NOISE)
    return without_foreign(np.where(print_, _paper(pictures), pictures), writing)


def without_foreign(pictures: Grey, writing: Writing) -> Grey:
    """The pictures (N, S, S), with paper for what is foreign to the cell alone."""
    foreign = _enlarged(writing.foreign.astype(np.float32), pictures.shape[1], Image.Resampling.NEAREST) > 0
    return np.where(foreign, _paper(pictures), pictures)


def fine_print(pictures: Grey) -> Levels:
    """What is printed in all cells of a grid, uint8 (N, S, S): its darkness (S, S), 0 = paper, 1 = black."""
    return print_of(darkness(pictures[:: max(1, len(pictures) // _SAMPLE)][:_SAMPLE]))


def _enlarged(levels: Levels, side: int, how: Image.Resampling) -> Levels:
    """Levels (N, H, W) as (N, side, side)."""
    return np.stack([np.asarray(Image.fromarray(cell).resize((side, side), how)) for cell in levels])


def _paper(pictures: Grey) -> Grey:
    """The level of each cell's paper, (N, 1, 1)."""
    levels: Grey = np.quantile(pictures, PAPER, axis=(1, 2), keepdims=True).astype(np.uint8)
    return levels
