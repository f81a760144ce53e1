"""Handwriting drawn in NumPy from the packaged strokes, for features of characters of which no picture is at hand.

It is far simpler than the drawings of :mod:`hanmo.synth`, which need PyTorch. Its variation is that of quick neat
writing: the whole character leans, is wide or narrow and rises to the right; every stroke turns, grows, bends and slips
a little; the pen is fine or broad.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from hanmo.medians import Stroke, even_out, medians_for, straighten_heads
from hanmo.strokes import draw

_POINTS = 8
"""Points of a stroke; medians with more are simplified, as a hand does not follow each of them."""
# Standard deviations, in the unit square and in radians. They were chosen so that the reader ``free`` reads 96 to 97 %
# of the drawings: harder ones are no better reference, and easy ones do not show how features vary.
_SLANT, _ASPECT, _RISE, _BOW = 0.16, 0.13, 0.08, 0.05  # of the whole character
_TURN, _GROWTH, _SLIP, _BEND = 0.10, 0.11, 0.029, 0.08  # of a stroke
_PRESSURE, _PRESSURE_SPREAD = 0.45, 0.3  # of the pen: 0 draws 0.6 and 1 draws 1.4 of the usual width


def drawings(characters: Iterable[str], count: int, seed: int = 0) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """``count`` drawings of each character, uint8 (H, W), ink dark; the first is plain, without variation.

    Raises :class:`hanmo.errors.CharsetError` for characters without packaged strokes.
    """
    characters = list(characters)
    for character, strokes in zip(characters, medians_for(characters).of_all(characters), strict=True):
        # A generator for each character, so that a drawing does not depend on which others are drawn.
        rng = np.random.default_rng([seed, ord(character)])
        plain = list(straighten_heads(even_out(strokes, _POINTS)))
        for number in range(count):
            yield character, draw(plain if number == 0 else _written(plain, rng))


def _written(strokes: list[Stroke], rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """The strokes (n, 2) of one drawing as points x, y, pressure (n, 3)."""
    slant, rise = rng.normal(0, _SLANT), rng.normal(_RISE, _RISE)
    aspect, bow = math.exp(rng.normal(0, _ASPECT)), rng.normal(0, _BOW, 2)
    pressure = float(np.clip(rng.normal(_PRESSURE, _PRESSURE_SPREAD), 0, 1))
    written = []
    for stroke in strokes:
        x, y = _slipped(stroke.astype(np.float64) - 0.5, rng).T
        leaning = x * aspect - slant * y + bow[0] * y * y, y / aspect - rise * x + bow[1] * x * x
        written.append(np.stack([*leaning, np.full(len(x), pressure)], axis=1))
    return written


def _slipped(stroke: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """One stroke (n, 2), turned, grown, moved and bent a little about its middle."""
    angle, growth = rng.normal(0, _TURN), math.exp(rng.normal(0, _GROWTH))
    turn = growth * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = stroke.mean(axis=0)
    moved = (stroke - middle) @ turn.T + middle + rng.normal(0, _SLIP, 2)
    way = np.linspace(0, 1, len(stroke))
    chord = moved[-1] - moved[0]
    # A parabola over the chord: nothing at both ends, the most in the middle.
    bent: NDArray[np.float64] = moved + np.outer(4 * way * (1 - way), [-chord[1], chord[0]]) * rng.normal(0, _BEND)
    return bent
