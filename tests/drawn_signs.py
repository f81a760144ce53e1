"""Signs that stand in for characters where a test needs pictures that are easily told apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def glyph(number: int) -> NDArray[np.uint8]:
    """A drawn sign, (40, 40) uint8 with dark ink: a frame that holds six of 16 blocks, others for every number."""
    picture = np.full((40, 40), 255, np.uint8)
    picture[[4, 35], 4:36] = picture[4:36, [4, 35]] = 0
    for block in np.random.default_rng(number).choice(16, 6, replace=False):
        row, column = divmod(int(block), 4)
        picture[7 + 7 * row : 12 + 7 * row, 7 + 7 * column : 12 + 7 * column] = 0
    return picture
