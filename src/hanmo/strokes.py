"""Pen strokes -> a grey picture: uint8 (H, W), 255 = paper, ink dark. Every limit on strokes lives here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hanmo.errors import ImageError, ImageTooLargeError

Strokes: TypeAlias = Sequence[Sequence[Sequence[float]] | NDArray[Any]]
"""Pen strokes in writing order, each (N, 2) points x, y in any unit, y growing downwards, or (N, 3) points x, y and
the pen's pressure from 0 to 1, 0.5 being the usual one."""

MAX_STROKES = 256
"""Strokes of one character; the fullest in Unicode have 84."""
MAX_POINTS = 5_000
"""Points in all strokes of one character; a mouse gives a few hundred, a pen that reports often a thousand."""

SIDE = 96
"""Strokes are drawn so that the longer side of their box has this many pixels."""
WIDTH = 5
"""The pen's width in pixels at that size and at usual pressure."""

_LIGHTEST, _HEAVIEST = 0.6, 1.4
"""The pen's width at no and at full pressure, in units of the usual width."""
_SUPERSAMPLING = 4
"""Strokes are drawn so many times as large and reduced, as Pillow's lines are not antialiased."""


def draw(strokes: Strokes) -> NDArray[np.uint8]:
    """Strokes drawn antialiased with a round pen, their box's longer side scaled to :data:`SIDE` pixels.

    Raises :class:`ImageTooLargeError` beyond this module's limits, :class:`ImageError` for anything but strokes.
    """
    written = checked(strokes)
    everything = np.concatenate([stroke[:, :2] for stroke in written])
    low, high = everything.min(axis=0), everything.max(axis=0)
    # Two ends near the largest float are infinitely far apart; that is checked right below.
    with np.errstate(over="ignore"):
        extent = high - low
    if not np.isfinite(extent).all():
        raise ImageError("the strokes span more than a number can hold; scale them down")
    unit = extent.max() or 1.0  # a single dot has no extent
    # One and a half widths of the pen on each side, so that no stroke is cut off at the border.
    width, height = (np.rint(extent / unit * SIDE).astype(int) + 3 * WIDTH).tolist()
    canvas = Image.new("L", (width * _SUPERSAMPLING, height * _SUPERSAMPLING), 255)
    pen = ImageDraw.Draw(canvas)
    for stroke in written:
        # Divided before it is multiplied: the smallest spans would overflow a factor.
        path = ((stroke[:, :2] - low) / unit * SIDE + 1.5 * WIDTH) * _SUPERSAMPLING
        _trace(pen, path, _radii(stroke))
    return np.array(canvas.reduce(_SUPERSAMPLING))


def _radii(stroke: NDArray[np.float64]) -> NDArray[np.float64]:
    """The pen's radius at each point, in pixels of the canvas."""
    usual = WIDTH * _SUPERSAMPLING / 2
    if stroke.shape[1] == 2:
        return np.full(len(stroke), usual)
    radii: NDArray[np.float64] = usual * (_LIGHTEST + (_HEAVIEST - _LIGHTEST) * stroke[:, 2])
    return radii


def _trace(pen: ImageDraw.ImageDraw, path: NDArray[np.float64], radii: NDArray[np.float64]) -> None:
    places = [(x, y) for x, y in path.tolist()]
    if np.ptp(radii) == 0:
        pen.line(places, fill=0, width=round(2 * radii[0]))
    else:
        # With pressure each piece has a width of its own: the mean of the widths at both ends.
        for i in range(1, len(places)):
            pen.line(places[i - 1 : i + 1], fill=0, width=round(radii[i - 1] + radii[i]))
    # A disc at each point rounds the ends, and fills the gaps that Pillow leaves where two pieces meet at an angle.
    for (x, y), radius in zip(places, radii.tolist(), strict=True):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)


def checked(strokes: Strokes) -> list[NDArray[np.float64]]:
    """The strokes as arrays (N, 2) or (N, 3); raises what :func:`draw` raises."""
    try:
        if len(strokes) > MAX_STROKES:
            raise ImageTooLargeError(f"{len(strokes)} strokes, at most {MAX_STROKES} are taken; give one character")
        total = sum(len(stroke) for stroke in strokes)
        if total > MAX_POINTS:
            raise ImageTooLargeError(f"{total} points, at most {MAX_POINTS} are taken; thin them out")
        written = [np.asarray(stroke, np.float64) for stroke in strokes]
    except ImageTooLargeError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise ImageError("not strokes; give a sequence of strokes, each a sequence of points (x, y)") from error
    if not written:
        raise ImageError("no strokes; write something")
    for number, stroke in enumerate(written):
        if stroke.ndim != 2 or stroke.shape[0] == 0 or stroke.shape[1] not in (2, 3):
            raise ImageError(f"stroke {number} has shape {stroke.shape}; a stroke is points (x, y), at least one")
        if not np.isfinite(stroke).all():
            raise ImageError(f"stroke {number} holds NaN or infinity; every coordinate must be a finite number")
        if stroke.shape[1] == 3 and not (stroke[:, 2].min() >= 0 and stroke[:, 2].max() <= 1):
            raise ImageError(f"stroke {number} has a pressure outside 0 to 1; give points (x, y, pressure)")
    return written
