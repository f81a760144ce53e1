"""Occlusion: which ink makes the net read a character. Ink is removed place by place, and the answers are compared.

The method (Zeiler & Fergus, "Visualizing and understanding convolutional networks", 2014) needs only the exported net,
and no gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hanmo.errors import ArgumentError, CharsetError
from hanmo.image import Source
from hanmo.probability import log_softmax
from hanmo.recognizer import Recognizer

SIZE = 12
"""Windows along a side of the square; neighbouring windows overlap by two thirds."""

FULL, GONE = 0.08, 0.16
"""A window removes all ink nearer to its middle than the first distance, in sides of the square, and none from the
second on. Both were chosen by eye: narrower windows change no answer, as the rest of a stroke is enough for the net;
wider ones remove two strokes at once."""

VISIBLE = 32
"""Ink, of 255, from which a place counts as written on; less is the grain of paper."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """Which ink in ``square`` makes the net read ``character``, whose probability is ``probability``.

    ``square`` is the normalised picture, uint8 (S, S), 0 = paper, 255 = ink. ``heat`` is float64 (n, n), row by row: by
    how much the natural logarithm of the probability falls when the ink there is removed. Ink above 0 speaks for the
    character, ink below 0 against it; where there is no ink it is 0.
    """

    character: str
    probability: float
    square: NDArray[np.uint8]
    heat: NDArray[np.float64]


def explain(reader: Recognizer, image: Source, character: str | None = None, size: int = SIZE) -> Explanation:
    """Find the ink that makes ``reader`` read ``character`` in a picture; None means the best candidate.

    ``size`` is the heat's number of rows and columns, 1 to the side of the square; up to ``size * size + 1`` squares
    are read. Raises :class:`hanmo.errors.ImageError` for an unusable picture, :class:`CharsetError` for a character
    that the reader does not know, :class:`ArgumentError` for an impossible size.
    """
    return explain_square(reader, reader.square(image), character, size)


def explain_square(
    reader: Recognizer, square: NDArray[np.uint8], character: str | None = None, size: int = SIZE
) -> Explanation:
    """As :func:`explain`, for a square that is normalised already, uint8 (S, S), ink bright."""
    charset = reader.bundle.charset
    known = reader.characters
    if not 1 <= size <= len(square):
        raise ArgumentError(f"size is {size}; 1 to {len(square)}, the side of the square, can be had")
    whole = _log_probabilities(reader, square[None])[0]
    best = int(whole.argmax())
    if character is not None and character not in known:
        raise CharsetError(
            f"{character!r} is not among the {len(known)} characters of {reader.bundle.name}, "
            f"which takes this picture for {charset[best]}"
        )
    wanted = best if character is None else reader.class_of(character)
    effects = np.zeros((size, size))
    for row, variants in enumerate(_without_ink(square, size)):
        # Windows over bare paper change nothing: they keep the effect 0 and need not be read.
        seen = (variants != square).any(axis=(1, 2))
        # Logarithms, because a fall from 90 % to 45 % and one from 2 % to 1 % are the same evidence.
        effects[row, seen] = whole[wanted] - _log_probabilities(reader, variants[seen])[:, wanted]
    heat = np.where(_has_ink(square, size), _spread(effects), 0.0)
    return Explanation(character or charset[wanted], float(np.exp(whole[wanted])), square, heat)


def _log_probabilities(reader: Recognizer, squares: NDArray[np.uint8]) -> NDArray[np.float64]:
    return log_softmax(reader.logits(squares), reader.bundle.temperature)


def _without_ink(square: NDArray[np.uint8], size: int) -> Iterator[NDArray[np.uint8]]:
    """For each row of windows, the squares without the ink under each of them, uint8 (size, S, S).

    A window over no visible ink leaves the square as it is, so that it need not be read.
    """
    # A window is a profile across times the same profile down, so one table of profiles makes all of them.
    across = _window(_middles(size)[:, None] - _middles(len(square)))
    for down in across:
        taken = down[:, None] * across[:, None, :] * square
        taken[taken.max(axis=(1, 2)) < VISIBLE] = 0
        yield np.rint(square - taken).astype(np.uint8)


def _spread(effects: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean effect of the windows over each place, weighted by what share of its ink each takes."""
    middles = _middles(len(effects))
    weights = _window(middles[:, None] - middles)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights @ effects @ weights.T


def _has_ink(square: NDArray[np.uint8], size: int) -> NDArray[np.bool_]:
    """Which places hold visible ink, (size, size)."""
    starts = np.arange(size) * len(square) // size
    # The strongest ink in each of size x size blocks, which differ by a pixel where the side is no multiple of size.
    strongest = np.maximum.reduceat(np.maximum.reduceat(square, starts, axis=0), starts, axis=1)
    return strongest >= VISIBLE


def _window(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of ink taken at a distance from a window's middle, in sides: 1, then half a cosine, then 0."""
    way = ((np.abs(distance) - FULL) / (GONE - FULL)).clip(0, 1)
    return (1 + np.cos(np.pi * way)) / 2


def _middles(count: int) -> NDArray[np.float64]:
    """The middles of ``count`` equal parts of the unit length."""
    return (np.arange(count) + 0.5) / count
