"""The matrices that scale ink to the square: one for the rows, one for the columns (:func:`matrices`).

Every method maps each axis by a monotone function of its own. :mod:`hanmo.normalize` describes the methods.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hanmo.paper import SIDE

Method = Literal["fit", "moment", "line-density"]

Edges = NDArray[np.float64]
"""The ``room + 1`` edges of the square's cells along one axis of the picture, in its pixels, ascending. ``room`` is the
square's side without its margins."""


def matrices(
    ink: NDArray[np.float32], method: Method, room: int, margin: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The matrices (S, h) and (S, w) that resample the rows and the columns of ink (h, w), S = room + 2 margin."""
    if method == "fit":
        longest = max(ink.shape)
        # Only version 1 resamples longer pictures; a matrix then has megabytes, too many to keep.
        fitting = _shared_fitting if longest <= SIDE else _fitting
        return fitting(ink.shape[0], longest, room, margin), fitting(ink.shape[1], longest, room, margin)
    rows, columns = _AXES[method](ink, room)
    return _resampling(rows, ink.shape[0], margin), _resampling(columns, ink.shape[1], margin)


@lru_cache(maxsize=8192)  # up to 4,656 pairs of lengths, of which cropped samples have most
def _shared_fitting(length: int, longest: int, room: int, margin: int) -> NDArray[np.float32]:
    """:func:`_fitting` for axes of up to :data:`SIDE` pixels, kept: most as columns of the matrix of a longer axis.

    A matrix has 17 KB for squares of 64 pixels; all pairs of lengths would have 57 MB.
    """
    matrix = _fitting(length, longest, room, margin)
    # Around the middle, the cells cover the same pixels whatever the length: if the middle is that of a pixel, or if it
    # lies between two. Not in the last bit where a cell ends at a pixel; squares must not depend on what is shared.
    longer = longest + (longest - length) % 2
    first = (longer - length) // 2
    columns = _longest_fitting(longer, longest, room, margin)[:, first : first + length]
    shared = columns if np.array_equal(columns, matrix) else matrix
    shared.setflags(write=False)  # for all callers
    return shared


def _fitting(length: int, longest: int, room: int, margin: int) -> NDArray[np.float32]:
    """The matrix of method ``fit`` for an axis of ``length`` pixels, where the longer axis has ``longest``."""
    pixels_a_cell = longest / room
    cells = (np.arange(room + 1, dtype=np.float64) - room / 2) * pixels_a_cell
    return _resampling(length / 2 + cells, length, margin)


_longest_fitting = lru_cache(maxsize=256)(_fitting)


def _moment(ink: NDArray[np.float32], room: int) -> tuple[Edges, Edges]:
    def centre_and_extent(projection: NDArray[np.float32]) -> tuple[float, float]:
        weight = projection.astype(np.float64)
        total = weight.sum()
        place = np.arange(weight.size) + 0.5
        centre = float((place * weight).sum() / total)
        variance = float(((place - centre) ** 2 * weight).sum() / total)
        # A uniform bar of length L has a standard deviation of L / sqrt(12), so four of them span 1.15 L. At least
        # 0.25 keeps an extent of one pixel for a single line, whose variance is 0.
        return centre, 4 * max(variance**0.5, 0.25)

    row_centre, height = centre_and_extent(ink.sum(axis=1))
    column_centre, width = centre_and_extent(ink.sum(axis=0))
    rows, columns = _cells(room, height / width)
    return row_centre + (rows - 0.5) * height, column_centre + (columns - 0.5) * width


def _line_density(ink: NDArray[np.float32], room: int) -> tuple[Edges, Edges]:
    def equalise(density: NDArray[np.float32], cells: Edges) -> Edges:
        length = density.size
        window = max(3, length // 8) | 1  # odd, so that the moving average is centred
        padded = density.take(np.arange(-(window // 2), length + window // 2), mode="clip")
        smooth = np.convolve(padded, np.ones(window) / window, mode="valid")
        # Half of the weight is uniform: full equalisation tears single strokes apart. 1e-6 keeps the sum ascending.
        total = np.cumsum(np.concatenate(([0.0], smooth + smooth.sum() / length + 1e-6)))
        inside: Edges = np.interp(cells, total / total[-1], np.arange(length + 1.0))
        # np.interp stops at the ends; cells beyond the picture go on at its mean scale.
        outside: Edges = (np.minimum(cells, 0) + np.maximum(cells - 1, 0)) * length
        return inside + outside

    rows, columns = _cells(room, ink.shape[0] / ink.shape[1])
    return equalise(_crossings(ink), rows), equalise(_crossings(ink.T), columns)


def _crossings(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """The amount of ink that begins or ends between each row and the one before it, (H,).

    It is the density of horizontal strokes. Paper lies before the first row.
    """
    change = np.array(ink)
    change[1:] -= ink[:-1]
    crossings: NDArray[np.float32] = np.abs(change).sum(axis=1)
    return crossings


def _cells(room: int, aspect: float) -> tuple[Edges, Edges]:
    """Cell edges for rows and columns, 0 to 1 inside the picture, whose height / width is ``aspect``.

    A short side of r times the long one gets sqrt(sin(pi r / 2)) of the square's side: aspect-adaptive normalisation
    (Liu et al., 2004), which widens narrow characters a little and leaves 一 a line.
    """
    short = np.sqrt(np.sin(np.pi / 2 * min(aspect, 1 / aspect)))
    cells = np.arange(room + 1) / room - 0.5
    narrow, full = cells / short + 0.5, cells + 0.5
    return (narrow, full) if aspect < 1 else (full, narrow)


_AXES = {"moment": _moment, "line-density": _line_density}


def _resampling(edges: Edges, length: int, margin: int) -> NDArray[np.float32]:
    """The matrix (cells + 2 margin, length) whose row i averages the picture over cell i.

    A cell narrower than a pixel is widened to one, which makes growing linear interpolation.
    """
    middle = (edges[1:] + edges[:-1]) / 2
    half = np.maximum(edges[1:] - edges[:-1], 1) / 2
    pixel = np.arange(float(length))
    covered = ((middle + half)[:, None] - pixel).clip(0, 1)
    covered -= ((middle - half)[:, None] - pixel).clip(0, 1)
    covered /= (2 * half)[:, None]
    matrix = np.zeros((len(middle) + 2 * margin, length), np.float32)
    matrix[margin : margin + len(middle)] = covered
    return matrix
