"""Gabor features of normalised characters, in numpy: how strongly strokes run in each of a few directions.

A Gabor filter is a wave under a Gaussian. Here only its even part is used, which answers to strokes half a wavelength
thick. Positive and negative answers are kept apart, as in Wang, Ding, Liu, "Gabor filters-based feature extraction for
character recognition", Pattern Recognition 38(3), 2005; for Chinese characters with minimum classification error: Huo,
Ge, Feng, "High-performance Chinese OCR based on Gabor features, discriminative feature extraction and model training",
ICASSP 2001. Blur, sampling and power transform are those of the gradient features, where these papers have histograms
and an adaptive sigmoid; this, and the sizes of the filters, are our reading.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hanmo.classic.features import Floats, sampled
from hanmo.errors import ArgumentError


@dataclass(frozen=True, kw_only=True)
class GaborFeatures:
    """Squares -> ``size`` numbers each. Raises :class:`ArgumentError` for impossible values."""

    orientations: int = 4
    """Directions of strokes in a half turn; the first is upright."""
    wavelength: float = 0.125
    """Of the wave, as a share of the side: strokes of half of it answer most strongly, 4 pixels of 64."""
    width: float = 0.5
    """The Gaussian's standard deviation, in wavelengths."""
    grid: int = 8
    blur: float = 1.5
    power: float = 0.35
    """These three as in :class:`hanmo.classic.features.GradientFeatures`."""

    def __post_init__(self) -> None:
        if not 2 <= self.orientations <= 32 or not 2 <= self.grid <= 64:
            raise ArgumentError(
                f"{self.orientations} orientations on a grid of {self.grid}: 2 to 32 and 2 to 64 are possible"
            )
        if not 0.01 <= self.wavelength <= 1 or not 0.1 <= self.width <= 2:
            raise ArgumentError(
                f"wavelength {self.wavelength:g} and width {self.width:g}: 0.01 to 1 and 0.1 to 2 are possible"
            )
        if not 0 < self.blur <= 10 or not 0 < self.power <= 1:
            raise ArgumentError(f"blur {self.blur:g} with power {self.power:g}: blur 0 to 10, power 0 to 1, neither 0")

    @property
    def size(self) -> int:
        """Numbers a square: orientations x 2 signs x grid x grid, in this order."""
        return 2 * self.orientations * self.grid**2

    def __call__(self, squares: NDArray[np.uint8]) -> Floats:
        """(N, S, S) uint8, ink bright -> (N, size) float32, none negative. Raises :class:`DataError`."""
        return sampled(squares, self.planes, 2 * self.orientations, self.grid, self.blur, self.power)

    def planes(self, squares: NDArray[np.uint8]) -> list[Floats]:
        """(N, S, S) uint8 -> positive and negative answers (N, S, S) of every orientation, none below 0."""
        ink = squares.astype(np.float32) / np.float32(255)
        planes = []
        for k in range(self.orientations):
            answer = self._answer(ink, float(np.pi * k / self.orientations))
            planes += [np.maximum(answer, 0), np.maximum(-answer, 0)]
        return planes

    def _answer(self, ink: Floats, angle: float) -> Floats:
        """The even Gabor filter whose wave runs at ``angle``, clockwise from the right; around the square is paper."""
        side = ink.shape[-1]
        frequency = 2 * np.pi / (self.wavelength * side)
        sigma = self.width * self.wavelength * side
        apart = np.arange(side) - np.arange(side)[:, None]
        window = np.exp(-0.5 * (apart / sigma) ** 2)
        window /= np.sqrt(2 * np.pi) * sigma
        # cos(a + b) = cos a cos b - sin a sin b: two passes by columns and rows, (S, S) @ (N, S, S) @ (S, S), instead
        # of a filter in two dimensions.
        across, down = frequency * np.cos(angle) * apart, frequency * np.sin(angle) * apart
        even = _separable(ink, window * np.cos(down), window * np.cos(across))
        odd = _separable(ink, window * np.sin(down), window * np.sin(across))
        # Even ink all over would be answered by this much of its blur; without it, only strokes are.
        constant = np.float32(np.exp(-0.5 * (frequency * sigma) ** 2))
        return even - odd - constant * _separable(ink, window, window)


def _separable(ink: Floats, down: NDArray[np.float64], across: NDArray[np.float64]) -> Floats:
    return np.asarray(down.astype(np.float32) @ ink @ across.T.astype(np.float32), np.float32)
