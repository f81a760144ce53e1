"""A neat character on an even page, for tests of the front end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hanmo.medians import load_medians
from hanmo.strokes import draw

Floats = NDArray[np.float64]
Grey = NDArray[np.uint8]

SIDE = 96


def page(character: str, bright: int = 235, dark: int = 30) -> Floats:
    """The character, neat, in the middle of a page (96, 96) of the levels given; it fills 70 % of it."""
    drawn = Image.fromarray(draw(list(load_medians().of(character))))
    scale = 0.7 * SIDE / max(drawn.size)
    width, height = (round(length * scale) for length in drawn.size)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    ink = np.zeros((SIDE, SIDE))
    ink[top : top + height, left : left + width] = (
        1 - np.asarray(drawn.resize((width, height), Image.Resampling.BOX)) / 255
    )
    return bright - (bright - dark) * ink


def grey(levels: Floats) -> Grey:
    return np.clip(levels + 0.5, 0, 255).astype(np.uint8)
