"""Where a point of a bent page lies in the photograph, and the other way round.

The page lies around the origin, x to the right and y down in millimetres, z towards the camera. A pinhole camera looks
at it from a distance, a little from the side.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hanmo.synth.sheets.geometry import Floats

Random = np.random.Generator

_ROUNDS = (
    12  # of the search for the page's height under a pixel: bends are low, so each leaves under a fifth of the error
)


class Bend(NamedTuple):
    """The height of the page above the desk: a long wave, and a curl towards one side as in a bound book."""

    wave: float
    """Height of the wave in millimetres."""
    length: float
    angle: float
    phase: float
    curl: float
    """Height of the curl at the side of the page."""
    reach: float
    """How far into the page the curl goes: there it has fallen to 37 %."""
    side: tuple[float, float, float]
    """The side that curls: a unit vector that points to it, and its distance from the middle of the page."""

    def height(self, points: Floats) -> Floats:
        """The heights (...) at the points (..., 2) of the page."""
        x, y = points[..., 0], points[..., 1]
        along = x * np.cos(self.angle) + y * np.sin(self.angle)
        away = np.maximum(self.side[2] - (x * self.side[0] + y * self.side[1]), 0)
        lifted: Floats = self.wave * np.sin(2 * np.pi * along / self.length + self.phase)
        return lifted + self.curl * np.exp(-away / self.reach)


class Camera(NamedTuple):
    """A camera, and the page before it."""

    size: tuple[int, int]
    """Width and height of the photograph in pixels."""
    page: tuple[float, float]
    bend: Bend
    turn: Floats
    """(3, 3): the rotation of the page."""
    distance: float
    """From the middle of the page, in millimetres."""
    focal: float
    """Pixels of the photograph for a millimetre at unit distance."""
    centre: tuple[float, float]
    """The pixel at which the middle of the page lies."""

    def project(self, points: Floats) -> Floats:
        """Points of the page (..., 2), in millimetres from its top left corner, to pixels (..., 2)."""
        flat = points - np.asarray(self.page) / 2
        solid = np.concatenate([flat, self.bend.height(flat)[..., None]], -1) @ self.turn.T
        seen: Floats = solid[..., :2] * (self.focal / (self.distance - solid[..., 2:])) + np.asarray(self.centre)
        return seen

    def unproject(self, pixels: Floats) -> Floats:
        """The inverse of :meth:`project`: the point of the page, or of its continuation, under each pixel."""
        ray = (pixels - np.asarray(self.centre)) / self.focal
        turn, height = self.turn, np.zeros(pixels.shape[:-1])
        flat = np.zeros_like(pixels)
        for _ in range(_ROUNDS):
            # For a known height, x and y solve two linear equations.
            a, b = (turn[i, 0] + ray[..., i] * turn[2, 0] for i in (0, 1))
            c, d = (turn[i, 1] + ray[..., i] * turn[2, 1] for i in (0, 1))
            e, f = (ray[..., i] * self.distance - (turn[i, 2] + ray[..., i] * turn[2, 2]) * height for i in (0, 1))
            determinant = a * d - b * c
            flat[..., 0], flat[..., 1] = (e * d - c * f) / determinant, (a * f - e * b) / determinant
            height = self.bend.height(np.clip(flat, -np.asarray(self.page), np.asarray(self.page)))
        place: Floats = flat + np.asarray(self.page) / 2
        return place


def make_bend(rng: Random, page: tuple[float, float]) -> Bend:
    """A flat page one time in three; else a wave, a curl or both."""
    kind = rng.random()
    longer = max(page)
    side = ((-1.0, 0.0, page[0] / 2), (1.0, 0.0, page[0] / 2), (0.0, -1.0, page[1] / 2))[rng.integers(3)]
    wave = rng.uniform(0.5, 3.0) if kind > 0.35 else 0.0
    curl = rng.uniform(3, 14) if kind > 0.7 else 0.0
    return Bend(
        wave, longer * rng.uniform(0.7, 1.6), rng.uniform(0, np.pi), rng.uniform(0, 6), curl, rng.uniform(18, 45), side
    )


def rotation(pitch: float, yaw: float, roll: float) -> Floats:
    """(3, 3): the page turned in its plane, then tilted about the x axis and the y axis; radians."""
    (cp, sp), (cy, sy), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (pitch, yaw, roll))
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    turned: Floats = about_y @ about_x @ about_z
    return turned


def make_camera(
    rng: Random,
    page: tuple[float, float],
    content: tuple[float, float, float, float],
    smallest_cell: float,
) -> Camera:
    """A camera that has all of ``content`` (left, top, right, bottom) in view, 1.5 to 12 megapixels.

    Cells of ``smallest_cell`` millimetres get some 40 pixels or more: nobody sends a page that cannot be read.
    """
    scan = rng.random() < 0.15  # a flatbed, or a program that has put the page straight
    tilt = 0.01 if scan else rng.choice([0.05, 0.12])
    pitch, yaw, roll = rng.normal(0, (tilt, tilt, 0.004 if scan else 0.03)).clip(-0.3, 0.3)
    bend = Bend(0, 1, 0, 0, 0, 1, (1, 0, 0)) if scan else make_bend(rng, page)
    distance = float(np.hypot(*page)) * (8 if scan else rng.uniform(0.9, 1.5))
    unit = Camera((0, 0), page, bend, rotation(pitch, yaw, roll), distance, distance, (0.0, 0.0))
    frame = unit.project(_frame(rng, page, content, scan).reshape(-1, 2))
    low, high = frame.min(0), frame.max(0)
    extent, middle = high - low, (low + high) / 2
    area = 1e6 * np.exp(rng.uniform(np.log(1.5), np.log(12)))
    shape = float(extent[0] / extent[1])
    if not scan:  # the shape of a sensor, upright or lying as the page does
        shape = rng.choice([4 / 3, 3 / 2, 16 / 9], p=[0.7, 0.2, 0.1]) ** (1 if shape > 1 else -1)
    size = (round(np.sqrt(area * shape)), round(np.sqrt(area / shape)))
    zoom = min(size[0] / extent[0], size[1] / extent[1])  # pixels for a millimetre
    if (more := 40 / (smallest_cell * zoom)) > 1:
        size, zoom = (round(size[0] * more), round(size[1] * more)), zoom * more
    centre = np.asarray(size) / 2 - middle * zoom
    return unit._replace(size=size, focal=float(distance * zoom), centre=(float(centre[0]), float(centre[1])))


def _frame(rng: Random, page: tuple[float, float], content: tuple[float, float, float, float], scan: bool) -> Floats:
    """What the photograph shows, as points (9, 9, 2): the page with some desk, or the cells with some page."""
    left, top, right, bottom = content
    close = np.array([left - 5, top - 5, right + 5, bottom + 5])
    whole = np.array([0.0, 0.0, *page])
    if scan or rng.random() < 0.25:
        box = whole
    elif rng.random() < 0.45:
        box = whole + np.array([-1, -1, 1, 1]) * rng.uniform(0, 25, 4)
    else:
        box = close + (whole - close) * rng.uniform(0, 1, 4)
    side = np.linspace(0, 1, 9)
    x, y = box[0] + (box[2] - box[0]) * side, box[1] + (box[3] - box[1]) * side
    return np.stack(np.broadcast_arrays(x[:, None], y), -1)
