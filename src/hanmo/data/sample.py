"""One labelled picture, as every reader yields it and every writer takes it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Sample(NamedTuple):
    """``image`` is uint8 (H, W), 255 = paper; ``source`` names its file, ``writer`` the hand, both where known."""

    label: str
    image: NDArray[np.uint8]
    source: str = ""
    writer: str = ""


class OnlineSample(NamedTuple):
    """``strokes`` are in writing order, each float32 (n, 2) of points x, y with y downwards; the rest as above."""

    label: str
    strokes: list[NDArray[np.float32]]
    source: str = ""
    writer: str = ""
