"""The plane view of a sheet: a projective map under which its rules are nearly parallel to the picture's edges.

The turn of the sheet comes from the directions of all edges, its perspective from the vanishing points of the
horizontal and of the vertical rules (Hartley and Zisserman, Multiple View Geometry, 2nd ed., 2004, section 8.6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hanmo.sheets.light import Dark, marks, ridges, summed
from hanmo.sheets.rules import Rule, find_rules

Matrix = NDArray[np.float64]

LONG = 6
"""Pieces of the shortest rule that tells a vanishing point; strokes and ornaments are shorter."""

CONVERGENCE = 0.35
"""The greatest change of slope over half the picture's diagonal: beyond that the rules are not those of one sheet."""


@dataclass(frozen=True)
class View:
    """A plane view of a picture: ``matrix`` (3, 3) maps homogeneous points of the view to points of the picture."""

    matrix: Matrix
    size: tuple[int, int]

    def show(self, dark: Dark) -> Dark:
        """The view of a picture of darkness (H, W)."""
        # Pillow maps the centres of pixels, which lie at halves; here a pixel's centre has whole coordinates.
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        moved = half @ self.matrix @ np.linalg.inv(half)
        coefficients = (moved / moved[2, 2]).ravel()[:8]
        return np.asarray(
            Image.fromarray(dark).transform(
                self.size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR
            )
        )

    def to_picture(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (..., 2) of the view as points of the picture."""
        mapped = points @ self.matrix[:, :2].T + self.matrix[:, 2]
        plane: NDArray[np.float64] = mapped[..., :2] / mapped[..., 2:]
        return plane


def plane_view(dark: Dark) -> View:
    """The view in which the rules of a picture of darkness (H, W) are nearly horizontal and vertical."""
    coarse = _halved(dark)
    height, width = coarse.shape
    turned = _view(coarse.shape, *_turned_axes(turn_of(coarse)))
    seen = turned.show(coarse)
    across, transposed = (_vanishing(find_rules(marks(ridges(part))), part.shape[::-1]) for part in (seen, seen.T))
    # From coordinates about the centre of the turned view to those of the coarse picture, and about its centre.
    centre = np.array([[1, 0, (turned.size[0] - 1) / 2], [0, 1, (turned.size[1] - 1) / 2], [0, 0, 1]])
    middle = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1]])
    # A point of the picture is twice as far from its centre as on the coarse one.
    full = np.diag([2, 2, 1]) @ middle @ turned.matrix @ centre
    return _view(dark.shape, full @ across, full @ transposed[[1, 0, 2]])


def _halved(dark: Dark) -> Dark:
    """A picture of half the size: the darkest of four pixels each, so that thin rules stay dark."""
    dark = dark[: dark.shape[0] // 2 * 2, : dark.shape[1] // 2 * 2]
    rows = np.maximum(dark[::2], dark[1::2])
    return np.maximum(rows[:, ::2], rows[:, 1::2])


def turn_of(dark: Dark) -> float:
    """The turn of the rules against the picture's edges, -pi/4 to pi/4, by a histogram of the directions of edges."""
    smooth = summed(summed(dark, 3).T, 3).T.astype(np.float32)
    across, down = smooth[1:-1, 2:] - smooth[1:-1, :-2], smooth[2:, 1:-1] - smooth[:-2, 1:-1]
    weight = across**2 + down**2
    # Directions a quarter turn apart are one: rules cross at right angles.
    angle = np.mod(np.arctan2(down, across), np.pi / 2)
    bins = 360  # of a quarter degree each
    place = np.minimum((angle * (bins / (np.pi / 2))).astype(np.int64), bins - 1)
    histogram = np.bincount(place.ravel(), weight.ravel(), bins)
    wrapped = np.concatenate([histogram[-4:], histogram, histogram[:4]])
    peak = int(np.convolve(wrapped, np.hanning(9)[1:-1], "same")[4:-4].argmax())
    turn = (peak + 0.5) / bins * (np.pi / 2)
    return turn - np.pi / 2 if turn > np.pi / 4 else turn


def _turned_axes(turn: float) -> tuple[Matrix, Matrix]:
    """The directions of the rules of a turned sheet, as points at infinity."""
    return np.array([np.cos(turn), np.sin(turn), 0]), np.array([-np.sin(turn), np.cos(turn), 0])


def _vanishing(rules: Sequence[Rule], size: tuple[int, int]) -> Matrix:
    """The vanishing point (3,) of nearly horizontal rules, about the centre of a picture of ``size`` (width, height).

    With the point (1, s, k), a rule through (x, y) has the slope m = (s - k y) / (1 - k x), which is linear in s and k.
    """
    radius = float(np.hypot(*size)) / 2
    rows, weights = [], []
    for rule in rules:
        if len(rule.x) >= LONG:
            x, y = (rule.x - (size[0] - 1) / 2) / radius, (rule.y - (size[1] - 1) / 2) / radius
            slope, _ = np.polyfit(x, y, 1)
            rows.append((slope, float(x.mean()), float(y.mean())))
            weights.append(float(x[-1] - x[0]))
    if not rows:
        return np.array([1.0, 0.0, 0.0])
    slope, x, y = np.array(rows).T
    design = np.stack([np.ones_like(slope), slope * x - y], axis=1)
    s, k = _robust(design, slope, np.array(weights))
    k = float(np.clip(k, -CONVERGENCE, CONVERGENCE))
    return np.array([1.0, s, k / radius])


def _robust(design: Matrix, target: Matrix, weight: Matrix) -> Matrix:
    """Least squares with Cauchy weights; a weak prior keeps the second unknown at zero where nothing tells it."""
    prior = np.array([0.0, 0.02])
    solution = np.array([float(np.median(target)), 0.0])
    for _ in range(12):
        miss = target - design @ solution
        spread = max(1.5 * float(np.median(np.abs(miss))), 0.002)
        w = weight / (1 + (miss / spread) ** 2)
        normal = design.T @ (design * w[:, None]) + np.diag(prior * w.sum())
        solution = np.linalg.solve(normal + 1e-9 * np.eye(2), design.T @ (w * target))
    return solution


def _view(shape: tuple[int, ...], along: Matrix, down: Matrix) -> View:
    """The view whose axes run towards two points (3,) given about the picture's centre; full size at the centre."""
    height, width = shape
    # The columns of the map are the images of the axes' points at infinity and of the view's own centre.
    unit = [point / np.hypot(*point[:2]) for point in (along, down)]
    about = np.stack([unit[0], unit[1], [0, 0, 1]], axis=1)
    if about[0, 0] < 0:
        about[:, 0] *= -1
    if about[1, 1] < 0:
        about[:, 1] *= -1
    corners = np.array([[x, y, 1] for x in (-width / 2, width / 2) for y in (-height / 2, height / 2)])
    flat = corners @ np.linalg.inv(about).T
    flat = flat[:, :2] / np.maximum(flat[:, 2:], 0.4)
    (left, top), (right, bottom) = flat.min(axis=0), flat.max(axis=0)
    size = (int(min(right - left, 1.6 * max(shape))) + 1, int(min(bottom - top, 1.6 * max(shape))) + 1)
    from_view = np.array([[1, 0, left], [0, 1, top], [0, 0, 1]])
    to_picture = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]])
    return View(to_picture @ about @ from_view, size)
