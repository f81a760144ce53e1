"""The clean page of HWDB-C and the tools that its corruptions share.

A page is uint8 (112, 112): one character, its longer side 72 pixels, dark in the middle of even paper. Everything here
is numpy and Pillow alone, and it uses no part of hanmo's own normalisation: when that changes, the pages must not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]
Corners = NDArray[np.float64]
Point = tuple[float, float]
"""x to the right and y down, in pixels of the page."""

SIDE, CELL = 112, 72
"""Sides in pixels of the page and of the square in its middle that the character fits."""
PAPER, INK = 245, 40
"""Grey levels of the clean page: its paper, and the darkest part of the character."""
EDGE = (SIDE - CELL) // 2
"""Pixels between the border of the page and the character's square."""

_VISIBLE = 0.3
"""Share of full ink from which a pixel counts as part of the character when its box is found."""
_LEAST_CONTRAST = 8
"""Grey levels between the brightest and the darkest pixel below which a sample counts as blank."""
_FINER = 4
"""Lines are drawn this many times larger and then averaged, so that their edges are smooth."""


def clean_page(sample: Grey) -> Grey:
    """The page of a sample, uint8 (H, W), 255 = paper -> uint8 (112, 112). A blank sample gives blank paper."""
    return to_page(PAPER - (PAPER - INK) * placed(character(sample), EDGE, EDGE))


def character(sample: Grey) -> Floats:
    """A sample cut to its ink and scaled: float32 (h, w), 0 = paper, 1 = full ink, the longer side 72.

    Paper is the sample's brightest level and full ink its darkest percentile. A blank sample gives no ink, (72, 72).
    """
    nothing = np.zeros((CELL, CELL), np.float32)
    if not sample.size:
        return nothing
    # The 1st percentile, not the minimum: a single black pixel of dust must not set the scale of the ink.
    paper, dark = float(sample.max()), float(np.percentile(sample, 1))
    if paper - dark < _LEAST_CONTRAST:
        dark = float(sample.min())  # one thin stroke on a wide sheet: the darkest percentile is still paper
    if paper - dark < _LEAST_CONTRAST:
        return nothing
    ink = ((paper - sample.astype(np.float32)) / np.float32(paper - dark)).clip(0, 1)
    # The box around all visible ink, so that size and place on the page do not depend on the sample's own margins.
    rows, columns = ((ink.max(axis=axis) >= _VISIBLE).nonzero()[0] for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    factor = CELL / max(ink.shape)
    size = (max(1, round(ink.shape[1] * factor)), max(1, round(ink.shape[0] * factor)))
    # Through uint8, because the pixels belong to the benchmark: resizing floats would round differently.
    scaled = Image.fromarray((255 * ink + 0.5).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(scaled, np.float32) / np.float32(255)


def placed(ink: Floats, left: int, top: int) -> Floats:
    """Ink on an empty page, float32 (112, 112), centred in the character's square with its corner at (left, top)."""
    return put(ink, left + (CELL - ink.shape[1]) // 2, top + (CELL - ink.shape[0]) // 2)


def put(ink: Floats, left: int, top: int) -> Floats:
    """Ink on an empty page, float32 (112, 112), its corner at (left, top); what lies beyond the border is cut off."""
    page = np.zeros((SIDE, SIDE), np.float32)
    height, width = ink.shape
    # The part of the ink that lies on the page, in the page's coordinates; it may be empty.
    y, x = slice(max(top, 0), min(top + height, SIDE)), slice(max(left, 0), min(left + width, SIDE))
    if y.start < y.stop and x.start < x.stop:
        page[y, x] = ink[y.start - top : y.stop - top, x.start - left : x.stop - left]
    return page


def ink_of(page: Grey) -> Floats:
    """How much ink each pixel of a clean page holds: float32 (112, 112), 0 = paper, 1 = full ink."""
    return ((PAPER - page.astype(np.float32)) / np.float32(PAPER - INK)).clip(0, 1)


def to_page(levels: NDArray[np.floating]) -> Grey:
    """Grey levels of any real values, rounded and clipped to uint8."""
    # astype() cuts the decimals off, so 0.5 is added to round.
    return (levels + 0.5).clip(0, 255).astype(np.uint8)


def darken(page: Grey, mask: Floats, ink: float) -> Grey:
    """Lay ink that lets light through over the page: a pixel under a full mask keeps the share 1 - ``ink`` of it."""
    return to_page(page * (1 - np.float32(ink) * mask))


def blur(levels: NDArray[np.floating] | Grey, sigma: float) -> Floats:
    """Gaussian blur of a page, (112, 112), with standard deviation ``sigma`` in pixels; borders are not darkened."""
    weights = _gaussian(sigma)
    return weights @ levels.astype(np.float32) @ weights.T


def smooth_noise(rng: np.random.Generator, sigma: float) -> Floats:
    """Noise of mean 0 and standard deviation 1 whose grains are about ``sigma`` pixels wide, float32 (112, 112)."""
    noise = blur(rng.standard_normal((SIDE, SIDE), np.float32), sigma)
    noise -= noise.mean()
    noise /= noise.std()
    return noise


def grid() -> tuple[Floats, Floats]:
    """x and y of every pixel from the middle of the page, float32 (112, 112) each."""
    axis = np.arange(SIDE, dtype=np.float32) - np.float32((SIDE - 1) / 2)
    x, y = np.meshgrid(axis, axis)
    return x, y


def lines(paths: Sequence[Sequence[Point]], width: float, dash: tuple[float, float] | None = None) -> Floats:
    """A mask of polylines, float32 (112, 112), 1 on the line; ``dash`` gives the lengths of dashes and of gaps."""
    canvas = Image.new("L", (SIDE * _FINER, SIDE * _FINER))
    pen = ImageDraw.Draw(canvas)
    for path in paths:
        for piece in _dashed(path, *dash) if dash else [path]:
            pen.line([(x * _FINER, y * _FINER) for x, y in piece], 255, max(1, round(width * _FINER)), "curve")
    return _averaged(canvas)


def blob(centre: Point, radius: float, rng: np.random.Generator) -> Floats:
    """A mask of a round spot with an uneven outline, float32 (112, 112), 1 inside."""
    turns = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    reach = np.full(turns.shape, radius, np.float64)
    # Two, three and five bulges around the spot, the finer ones flatter, give an outline without symmetry.
    for waves in (2, 3, 5):
        reach += radius * rng.uniform(0, 0.28 / waves) * np.sin(waves * turns + rng.uniform(0, 2 * np.pi))
    corners = zip(centre[0] + reach * np.cos(turns), centre[1] + reach * np.sin(turns), strict=True)
    canvas = Image.new("L", (SIDE * _FINER, SIDE * _FINER))
    ImageDraw.Draw(canvas).polygon([(float(x) * _FINER, float(y) * _FINER) for x, y in corners], 255)
    return _averaged(canvas)


def eroded(ink: Floats) -> Floats:
    """The least ink of each pixel and its four neighbours."""
    around = np.pad(ink, 1)
    sides = (around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:])
    least: Floats = np.minimum.reduce((ink, *sides))
    return least


def hand_circle(radius: float, rng: np.random.Generator) -> list[Point]:
    """A circle as a hand draws it: oval, and its ends pass each other."""
    wide, high = (radius * rng.uniform(0.88, 1.08, 2)).tolist()
    start, drift = rng.uniform(0, 2 * np.pi), rng.uniform(-4, 4)
    # 8 % more than a full turn, so that the ends overlap; the radius drifts on the way, so that they pass each other.
    turns = np.linspace(0, 1.08, 64)
    x = SIDE / 2 + (wide + drift * turns) * np.cos(start + 2 * np.pi * turns)
    y = SIDE / 2 + (high + drift * turns) * np.sin(start + 2 * np.pi * turns)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def homography(source: Corners, target: Corners) -> list[float]:
    """Pillow's eight numbers of the perspective map that takes four points ``source`` to ``target``, (4, 2) each."""
    rows, right = [], []
    for (x, y), (u, v) in zip(source.tolist(), target.tolist(), strict=True):
        # Two equations a point, from u = (ax + by + c) / (gx + hy + 1) and v = (dx + ey + f) / (gx + hy + 1).
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return list(np.linalg.solve(np.array(rows), np.array(right)).tolist())


def _averaged(canvas: Image.Image) -> Floats:
    return np.asarray(canvas.reduce(_FINER), np.float32) / np.float32(255)


def _dashed(path: Sequence[Point], dash: float, gap: float) -> list[list[Point]]:
    """The dashes of a polyline, each a straight piece; every straight part of the path starts with a dash."""
    pieces = []
    for start, end in pairwise(path):
        along = np.subtract(end, start)
        length = float(np.hypot(*along))
        for at in np.arange(0, length, dash + gap):
            ends = (start + along * (min(s, length) / length) for s in (at, at + dash))
            pieces.append([(float(x), float(y)) for x, y in ends])
    return pieces


@lru_cache(maxsize=32)
def _gaussian(sigma: float) -> Floats:
    """Row i holds the weights of pixel i, (112, 112); every row sums to 1, also at the borders."""
    distance = np.subtract.outer(np.arange(SIDE), np.arange(SIDE)) / sigma
    weights = np.exp(-0.5 * distance**2)
    # Near a border a part of the bell lies outside. Dividing by the rest keeps white paper white there.
    weights /= weights.sum(axis=1, keepdims=True)
    return weights.astype(np.float32)
