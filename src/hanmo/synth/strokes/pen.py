"""Pen paths as a tablet records them: the strokes of each character, from touching the paper to lifting the pen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hanmo.synth.strokes.render import Segments


def strokes_of(path: Segments, count: int) -> list[list[NDArray[np.float32]]]:
    """The strokes (n, 2) of ``count`` characters in writing order, from the movements of the pen on the paper.

    Links join strokes of the print to one, and the faint tails of strokes belong to them, as on a tablet.
    """
    start, end, owner = (t.cpu().numpy() for t in (path.start, path.end, path.owner))
    # A movement that begins where the one before it ended goes on without lifting the pen.
    lifted = (start[1:] != end[:-1]).any(1) | (owner[1:] != owner[:-1])
    begins = np.flatnonzero(np.concatenate([[True], lifted])[: len(owner)])
    characters: list[list[NDArray[np.float32]]] = [[] for _ in range(count)]
    for first, stop in zip(begins, [*begins[1:], len(owner)], strict=True):
        characters[owner[first]].append(np.concatenate([start[first:stop], end[stop - 1 : stop]]))
    return characters
