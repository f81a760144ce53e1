"""Read the strokes of animCJK: its SVG files hold the median of every stroke, in writing order.

Only files that name the Arphic Public License in themselves are read. The others, of kana and of single strokes, are
under another licence (LGPL) and are left out.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Strokes = list[NDArray[np.float64]]

FOLDERS = ("svgsZhHans", "svgsZhHant", "svgsJa")
"""Where a character has several forms, the first folder that has it wins: mainland, Taiwan, Japan."""
SHORTEST = 20
"""In units of the grid. One character (嗥) has a stroke of no length; it is left out as a whole."""
LICENCE = "Arphic Public License"

# Outlines are paths with an id; medians are those with a clip path, of straight lines only.
_MEDIAN = re.compile(r'<path [^>]*clip-path="[^"]*"[^>]* d="M([-\d. L]*)"')


def read_strokes(folder: Path) -> dict[str, Strokes]:
    """Strokes (n, 2) of every character below the unpacked ``folder``, on a 1024 grid, y down."""
    found: dict[str, Strokes] = {}
    for kind in FOLDERS:
        for path in sorted((folder / kind).glob("*.svg")):
            character, text = chr(int(path.stem)), path.read_text(encoding="utf-8")
            if character in found or LICENCE not in text:
                continue
            strokes = _medians(text)
            if min(map(_length, strokes)) >= SHORTEST:
                found[character] = strokes
    return found


def _medians(text: str) -> Strokes:
    strokes = [np.array(m.replace("L", " ").split(), np.float64).reshape(-1, 2) for m in _MEDIAN.findall(text)]
    if not strokes or min(map(len, strokes)) < 2:
        raise ValueError("an SVG of animCJK without medians")
    return strokes


def _length(stroke: NDArray[np.float64]) -> float:
    return float(np.hypot(*np.diff(stroke, axis=0).T).sum())
