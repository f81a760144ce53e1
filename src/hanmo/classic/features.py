"""Gradient direction features of normalised characters, in numpy.

The gradient of each pixel (Sobel) is split between the two nearest directions. The plane of every direction is blurred
with a Gaussian and sampled on a grid: 8 directions on 8 x 8 points give 512 numbers, the standard features of
handwritten Chinese character recognition before nets.

These are *normalised* gradient features (NGF): the gradient is taken on the normalised square. The cooperative kind
(NCGF; Liu, "Normalization-cooperated gradient feature extraction for handwritten character recognition", TPAMI 29(8),
2007) takes it on the original picture and maps only its position, so that directions stay as written. Packs hold only
squares, so that is not possible here. Direction split, blur and power transform follow Liu, Nakashima, Sako,
Fujisawa, "Handwritten digit recognition: investigation of normalization and feature extraction techniques" (2004).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hanmo.errors import ArgumentError, DataError

Floats = NDArray[np.float32]

_BATCH = 64
"""Squares processed at a time: few enough that their planes stay in the processor's cache."""


@dataclass(frozen=True, kw_only=True)
class GradientFeatures:
    """Squares -> ``size`` numbers each. Raises :class:`ArgumentError` for impossible values."""

    directions: int = 8
    """Directions of the full turn; direction k points at k / directions of it, clockwise from the right."""
    grid: int = 8
    """Sampling points along either side, evenly spread."""
    blur: float = 1.5
    """The Gaussian's standard deviation; 1 is the usual sqrt(2) / pi of the distance of sampling points (Liu, 2007)."""
    power: float = 0.35
    """Exponent of the Box-Cox transform that makes the numbers more Gaussian; 1 leaves them as they are."""

    def __post_init__(self) -> None:
        if not 4 <= self.directions <= 64 or not 2 <= self.grid <= 64:
            raise ArgumentError(
                f"{self.directions} directions on a grid of {self.grid}: 4 to 64 and 2 to 64 are possible"
            )
        if not 0 < self.blur <= 10 or not 0 < self.power <= 1:
            raise ArgumentError(f"blur {self.blur:g} with power {self.power:g}: blur 0 to 10, power 0 to 1, neither 0")

    @property
    def size(self) -> int:
        """Numbers a square: directions x grid x grid, in this order."""
        return self.directions * self.grid**2

    def __call__(self, squares: NDArray[np.uint8]) -> Floats:
        """(N, S, S) uint8, ink bright -> (N, size) float32, none negative. Raises :class:`DataError`."""
        return sampled(squares, self.planes, self.directions, self.grid, self.blur, self.power)

    def planes(self, squares: NDArray[np.uint8]) -> list[Floats]:
        """The planes of all directions, :func:`direction_planes`."""
        return direction_planes(squares, self.directions)


def sampled(
    squares: NDArray[np.uint8],
    planes_of: Callable[[NDArray[np.uint8]], list[Floats]],
    number: int,
    grid: int,
    blur: float,
    power: float,
) -> Floats:
    """Features of squares (N, S, S): the ``number`` planes of ``planes_of``, blurred, sampled and transformed.

    (N, number x grid x grid) float32, for planes without negative values. Raises :class:`DataError` for anything but
    squares, and for those smaller than the grid.
    """
    if squares.ndim != 3 or squares.dtype != np.uint8 or squares.shape[1] != squares.shape[2]:
        raise DataError(f"squares are {squares.dtype} {squares.shape}; expected uint8 (N, S, S)")
    if (side := squares.shape[1]) < grid:
        raise DataError(f"squares of {side} pixels are smaller than the grid of {grid} points; pack them larger")
    window = sampling(side, grid, blur)
    features = np.empty((len(squares), number * grid**2), np.float32)
    for start in range(0, len(squares), _BATCH):
        part = slice(start, start + _BATCH)
        for k, plane in enumerate(planes_of(squares[part])):
            # Blur and sampling in one step, by rows and columns: (G, S) @ (n, S, S) @ (S, G) -> (n, G, G), G the grid.
            points = window @ plane @ window.T
            features[part, k * grid**2 : (k + 1) * grid**2] = points.reshape(len(plane), -1)
    # The planes are never negative, so the power is always defined.
    return np.power(features, np.float32(power), out=features)


def direction_planes(squares: NDArray[np.uint8], directions: int) -> list[Floats]:
    """(N, S, S) uint8 -> a plane (N, S, S) float32 for each direction, in units of full ink a pixel.

    A gradient between two neighbouring directions is the sum of a vector along either (a parallelogram); the planes
    hold the lengths of these. Along a direction at angle a, with t the angle between neighbours, that is
    ``max(0, u - |v| / tan t)``, where u and v are the gradient's components along and across it.
    """
    across, down = sobel(squares)
    angles = 2 * np.pi * np.arange(directions) / directions
    steep = np.float32(1 / np.tan(2 * np.pi / directions))
    planes = []
    for cosine, sine in zip(np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32), strict=True):
        # u, the component along the direction; below, |v| of the component across it.
        plane = cosine * across + sine * down
        side = np.abs(cosine * down - sine * across)
        side *= steep
        plane -= side
        planes.append(np.maximum(plane, 0, out=plane))
    return planes


def sobel(squares: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """(N, S, S) uint8 -> how ink grows to the right and downwards, (N, S, S) float32 in full ink a pixel.

    Around the square lies paper.
    """
    ink = np.pad(squares, ((0, 0), (1, 1), (1, 1))).astype(np.float32)
    ink /= (
        8 * 255
    )  # full ink is 1; the Sobel kernel has weights 1, 2, 1 over a distance of 2, so 8 makes it a slope a pixel
    # The kernel is separable: 1, 2, 1 along one axis, then the difference of both neighbours along the other.
    tall = ink[:, :-2] + 2 * ink[:, 1:-1] + ink[:, 2:]
    wide = ink[:, :, :-2] + 2 * ink[:, :, 1:-1] + ink[:, :, 2:]
    return tall[:, :, 2:] - tall[:, :, :-2], wide[:, 2:] - wide[:, :-2]


def sampling(side: int, grid: int, blur: float) -> Floats:
    """The matrix (grid, side) whose row i averages ``side`` pixels with a Gaussian around the i-th sampling point.

    Rows are not renormalised at the border: beyond it is paper.
    """
    spacing = side / grid
    sigma = blur * np.sqrt(2) / np.pi * spacing
    # Points lie in the middle of ``grid`` equal cells, pixels in the middle of their own: hence 0.5 for both.
    points = (np.arange(grid) + 0.5) * spacing
    distances = (np.arange(side) + 0.5 - points[:, None]) / sigma
    weights = np.exp(-0.5 * distances**2) / (sigma * np.sqrt(2 * np.pi))
    return np.asarray(weights, np.float32)
