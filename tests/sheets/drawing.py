"""Small drawn sheets with the true corners of their cells: rules of many kinds, random strokes as writing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Quads = NDArray[np.float64]
Colour = tuple[int, int, int]

BLACK: Colour = (30, 30, 30)
GREEN: Colour = (90, 160, 110)
RED: Colour = (215, 90, 80)


@dataclass
class Drawn:
    """A picture and the corners (R, C, 4, 2) of the cells of each of its grids, on the middles of the rules."""

    picture: Image.Image
    grids: list[Quads]

    @property
    def pixels(self) -> NDArray[np.uint8]:
        return np.asarray(self.picture)

    def seen(self, corners: list[tuple[float, float]]) -> Drawn:
        """The sheet in perspective: its corners, from top left clockwise, lie at these shares of the picture."""
        width, height = self.picture.size
        source = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
        goal = np.array(corners) * (width, height)
        return self._mapped(_projective(source, goal))

    def turned(self, degrees: float) -> Drawn:
        """The sheet turned clockwise about its centre."""
        width, height = self.picture.size
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        about, back = np.eye(3), np.eye(3)
        about[:2, 2], back[:2, 2] = (width / 2, height / 2), (-width / 2, -height / 2)
        return self._mapped(about @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ back)

    def bent(self, rise: float) -> Drawn:
        """The sheet bent so that its middle column is higher by ``rise`` pixels."""
        width, height = self.picture.size
        edges = np.linspace(0, width, 41).astype(int)
        rises = rise * np.sin(np.pi * edges / width)
        mesh = [
            ((int(a), 0, int(b), height), (a, p, a, height + p, b, height + q, b, q))
            for a, b, p, q in zip(edges, edges[1:], rises, rises[1:], strict=False)
        ]
        picture = self.picture.transform(
            self.picture.size, Image.Transform.MESH, mesh, Image.Resampling.BICUBIC, fillcolor=(255, 255, 255)
        )
        grids = [
            quads - np.stack([0 * quads[..., 0], rise * np.sin(np.pi * quads[..., 0] / width)], -1)
            for quads in self.grids
        ]
        return Drawn(picture, grids)

    def _mapped(self, matrix: NDArray[np.float64]) -> Drawn:
        inverse = np.linalg.inv(matrix)
        coefficients = (inverse / inverse[2, 2]).ravel()[:8]
        picture = self.picture.transform(
            self.picture.size,
            Image.Transform.PERSPECTIVE,
            coefficients,
            Image.Resampling.BICUBIC,
            fillcolor=(120, 110, 100),
        )
        grids = []
        for quads in self.grids:
            mapped = quads @ matrix[:, :2].T + matrix[:, 2]
            grids.append(mapped[..., :2] / mapped[..., 2:])
        return Drawn(picture, grids)


def _projective(source: Quads, goal: Quads) -> NDArray[np.float64]:
    rows, values = [], []
    for (x, y), (u, v) in zip(source, goal, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.append(np.linalg.solve(np.array(rows), np.array(values)), 1).reshape(3, 3)


def blank(size: tuple[int, int] = (900, 1200)) -> Drawn:
    return Drawn(Image.new("RGB", size, (252, 251, 247)), [])


def add_grid(
    sheet: Drawn,
    rows: int,
    columns: int,
    cell: float = 60,
    at: tuple[float, float] = (100, 120),
    gap: tuple[float, float] = (0, 0),
    colour: Colour = BLACK,
    width: int = 2,
    dash: tuple[int, int] | None = None,
    cross: bool = False,
    diagonals: bool = False,
    missing: tuple[tuple[str, int], ...] = (),
    written: bool = True,
    seed: int = 0,
) -> Drawn:
    """Draw a grid on a sheet. ``gap`` lies between columns and between rows; ``missing`` names lines, as ("row", 3)."""
    rng = np.random.default_rng(seed)
    quads = np.zeros((rows, columns, 4, 2))
    for r in range(rows):
        for c in range(columns):
            x, y = at[0] + c * (cell + gap[0]), at[1] + r * (cell + gap[1])
            quads[r, c] = [(x, y), (x + cell, y), (x + cell, y + cell), (x, y + cell)]
    draw = ImageDraw.Draw(sheet.picture)
    for r in range(rows):
        for c in range(columns):
            (left, top), _, (right, bottom), _ = quads[r, c]
            lines = {("row", r): (left, top, right, top), ("row", r + 1): (left, bottom, right, bottom)}
            lines |= {("column", c): (left, top, left, bottom), ("column", c + 1): (right, top, right, bottom)}
            for name, line in lines.items():
                if name not in missing:
                    _line(draw, line, colour, width, dash)
            middle = ((left + right) / 2, (top + bottom) / 2)
            if cross:
                _line(draw, (middle[0], top, middle[0], bottom), colour, 1, (4, 4))
                _line(draw, (left, middle[1], right, middle[1]), colour, 1, (4, 4))
            if diagonals:
                _line(draw, (left, top, right, bottom), colour, 1, (4, 4))
                _line(draw, (right, top, left, bottom), colour, 1, (4, 4))
            if written and rng.random() < 0.85:
                write(draw, quads[r, c], rng)
    sheet.grids.append(quads)
    return sheet


def write(draw: ImageDraw.ImageDraw, quad: Quads, rng: np.random.Generator) -> None:
    """A character of a few strokes, across, down and slanted; it sometimes reaches over the rules."""
    (left, top), _, (right, bottom), _ = quad
    size = right - left
    x, y = left + size / 2 + rng.normal(0, 0.04 * size), top + (bottom - top) / 2 + rng.normal(0, 0.04 * size)
    for _ in range(int(rng.integers(3, 8))):
        kind, half = rng.integers(3), size * rng.uniform(0.12, 0.46)
        dx, dy = [(half, -0.1 * half), (0.02 * half, half), (0.7 * half, 0.8 * half * rng.choice([-1, 1]))][kind]
        mx, my = x + rng.uniform(-0.2, 0.2) * size, y + rng.uniform(-0.25, 0.25) * size
        draw.line((mx - dx, my - dy, mx + dx, my + dy), fill=(40, 40, 60), width=max(2, round(size / 22)))


def _line(draw: ImageDraw.ImageDraw, line: Any, colour: Colour, width: int, dash: tuple[int, int] | None) -> None:
    if dash is None:
        draw.line(line, fill=colour, width=width)
        return
    x0, y0, x1, y1 = line
    length = float(np.hypot(x1 - x0, y1 - y0))
    for begin in np.arange(0, length, sum(dash)):
        a, b = begin / length, min(begin + dash[0], length) / length
        ends = (x0 + (x1 - x0) * a, y0 + (y1 - y0) * a, x0 + (x1 - x0) * b, y0 + (y1 - y0) * b)
        draw.line(ends, fill=colour, width=width)
