"""One writer's characters on the paper, crossed-out ones, and a teacher's marks.

Ink is a float32 array (H, W) over the whole sheet, 0 = none, 1 = full.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hanmo.charset import Charset
from hanmo.medians import medians_for
from hanmo.synth.noise import keys_of
from hanmo.synth.sheets.geometry import Floats
from hanmo.synth.sheets.pens import Pen
from hanmo.synth.strokes.hand import StyleConfig
from hanmo.synth.strokes.writer import StrokeBank

Random = np.random.Generator
Ink = NDArray[np.float32]

_MARGIN = 2  # free pixels around a drawn character
_LARGEST = 320  # pixels of a drawn character; larger ones are enlarged from it
_FINER = 3  # lines of marks are drawn so many times as large and reduced
_WANDER = ("shift", "scale", "tilt", "bend", "part_shift", "part_scale", "part_tilt", "warp", "slant", "turn", "aspect")
"""What a neat writer has less of."""
_SCANNER = ("grain", "ragged", "soft", "binary")
"""What the style adds to a single picture, but here pen, paper and camera do."""


class Writer(NamedTuple):
    """The habits of the person who wrote a sheet."""

    pen: Pen
    style: StyleConfig
    size: float
    """Side of the square that a character is written in, as a part of its cell."""
    offset: tuple[float, float]
    """Where its middle usually lies, from the middle of the cell, in parts of the cell."""
    loose: float
    """Deviation of size and place from character to character."""
    stray: float
    """Chance that a character is so large, or so far off, that it reaches the rules or crosses them."""


def make_writer(rng: Random, pen: Pen, free: bool) -> Writer:
    """A writer with ``pen``; on ``free`` rows characters keep apart, as nothing else separates them."""
    neat = rng.uniform(0.45, 1.0)
    usual = StyleConfig()
    values = {name: getattr(usual, name) * neat for name in _WANDER} | dict.fromkeys(_SCANNER, 0.0)
    style = replace(
        usual,
        **values,
        haste=rng.uniform(0.1, 0.7),
        haste_spread=0.15,
        narrow=rng.uniform(0.0, 0.2),
        pressure=pen.pressure,
        pen_spread=0.06,
    )
    size = rng.uniform(0.66, 0.86) if free else rng.uniform(0.62, 0.92)
    offset = (rng.normal(0, 0.03), rng.normal(0.01, 0.035))
    return Writer(pen, style, size, offset, rng.uniform(0.01, 0.035), 0.0 if free else rng.choice([0.0, 0.02, 0.06]))


def write(ink: Ink, characters: list[str], cells: Floats, writer: Writer, rng: Random, scale: float) -> None:
    """Write each of ``characters`` into its cell, quads (N, 4, 2) in millimetres of ``scale`` pixels."""
    if not characters:
        return
    side = float(np.mean(cells[:, 2, 1] - cells[:, 0, 1])) * writer.size  # of the square in millimetres
    fine = int(np.clip(round(side * scale), 40, _LARGEST))
    pictures = _draw(characters, writer, side, fine, rng)
    for character, quad, picture in zip(characters, cells, pictures, strict=True):
        low, high = _extent(character)
        stray = rng.random() < writer.stray
        grown = side * np.exp(rng.normal(0, writer.loose)) * (rng.uniform(1.1, 1.3) if stray else 1.0)
        cell = quad[2] - quad[0]
        shift = np.asarray(writer.offset) + rng.normal(0, writer.loose * (3 if stray else 1), 2)
        middle = quad.mean(0) + shift * cell + ((low + high) / 2 - 0.5) * grown
        # The picture shows the ink alone; it is given the size that the ink has in the square.
        size = float((high - low).max()) * grown * scale * fine / (fine - 2 * _MARGIN)
        _put(ink, picture, middle * scale, max(4, round(size)))


def _draw(characters: list[str], writer: Writer, side: float, fine: int, rng: Random) -> list[Image.Image]:
    """The characters' ink, each in a picture of ``fine`` pixels that it fills; ``side`` in millimetres."""
    charset = Charset(sorted(set(characters)))
    bank = StrokeBank(charset)
    numbers = torch.arange(len(characters))
    keys = keys_of(torch.tensor(int(rng.integers(2**62))), numbers, torch.zeros_like(numbers))
    width = min(writer.pen.width, 0.11 * side) / 2 / side  # a pen wider than this would fill small characters
    style = replace(writer.style, pen=float(np.clip(width, 0.006, 0.1)))
    classes = torch.from_numpy(charset.encode(characters))
    return [Image.fromarray(p) for p in bank.write(classes, keys, style, fine, _MARGIN).numpy()]


def _extent(character: str) -> tuple[Floats, Floats]:
    """The box of a printed character's strokes in its square: top left and bottom right, in parts of the side."""
    points = np.concatenate(medians_for(character).of(character)).astype(np.float64)
    return points.min(0), points.max(0)


def _put(ink: Ink, picture: Image.Image, middle: Floats, size: int) -> None:
    """Lay a picture, scaled to ``size``, over the ink with its middle at the pixel ``middle``."""
    patch = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR), np.float32) / 255
    left, top = (round(float(v) - size / 2) for v in middle)
    rows, columns = slice(max(0, top), max(0, top + size)), slice(max(0, left), max(0, left + size))
    here = ink[rows, columns]
    if here.size:
        cut = patch[max(0, -top) :, max(0, -left) :][: here.shape[0], : here.shape[1]]
        np.maximum(here, cut, out=here)


def draw_path(ink: Ink, path: Floats, width: float, strength: float = 1.0) -> None:
    """Draw a line through the points ``path`` (n, 2) in pixels."""
    border = width + 2
    low, high = np.floor(path.min(0) - border), np.ceil(path.max(0) + border)
    size = tuple(int(v) for v in (high - low))
    mask = Image.new("L", (size[0] * _FINER, size[1] * _FINER), 0)
    pen, radius = ImageDraw.Draw(mask), max(1.0, width * _FINER / 2)
    points = [(float(x), float(y)) for x, y in (path - low) * _FINER]
    pen.line(points, 255, round(2 * radius), joint="curve")
    for x, y in (points[0], points[-1]):  # Pillow cuts the ends of lines off straight
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    patch = np.asarray(mask.reduce(_FINER), np.float32) / 255 * strength
    left, top = (int(v) for v in low)
    here = ink[max(0, top) : max(0, top + size[1]), max(0, left) : max(0, left + size[0])]
    if here.size:
        cut = patch[max(0, -top) :, max(0, -left) :][: here.shape[0], : here.shape[1]]
        np.maximum(here, cut, out=here)


def curve(points: Floats, rng: Random, tremble: float = 0.02, count: int = 24) -> Floats:
    """A smooth path (count, 2) through ``points`` (n, 2), as a hand draws it: Catmull-Rom pieces, a little off."""
    size = float(np.ptp(points, axis=0).max())
    points = points + rng.normal(0, tremble * size, points.shape)
    wide = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    at = np.linspace(0, len(points) - 1 - 1e-9, max(count, 6 * len(points)))
    first, t = at.astype(int), (at % 1)[:, None]
    a, b, c, d = (wide[first + n] for n in range(4))
    path: Floats = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return path


def strike_out(ink: Ink, quad: Floats, width: float, rng: Random) -> None:
    """Cross a character out in its cell, ``quad`` (4, 2) in pixels: a line or two, a cross, or a scribble."""
    half = (quad[2] - quad[0]) / 2 * rng.uniform(0.6, 0.85)
    ways: list[list[tuple[float, float]]]
    kind = rng.choice(["lines", "cross", "scribble"], p=[0.35, 0.3, 0.35])
    if kind == "lines":
        count = int(rng.integers(2, 4))
        tilt = rng.uniform(-0.5, 0.3)
        ways = [[(-1, -tilt + y), (1, tilt + y)] for y in np.linspace(-0.3, 0.3, count)]
    elif kind == "cross":
        ways = [[(-0.9, -0.9), (0.9, 0.9)], [(0.9, -0.9), (-0.9, 0.9)]]
    else:
        turns = int(rng.integers(7, 12))
        ways = [[(-1 + 2 * n / turns, 0.8 * (-1) ** n) for n in range(turns + 1)]]
    for way in ways:
        path = curve(np.asarray(way, np.float64) * half + quad.mean(0), rng, 0.03, 60)
        draw_path(ink, path, width)


def teachers_marks(ink: Ink, cells: Floats, width: float, rng: Random) -> None:
    """A teacher's marks over some of the cells (N, 4, 2) in pixels: all ticks, triangles, rings or dots."""
    kind = rng.choice(["tick", "triangle", "ring", "dot"], p=[0.4, 0.25, 0.2, 0.15])
    count = max(1, round(len(cells) * rng.uniform(0.02, 0.12)))
    for number in rng.choice(len(cells), min(count, len(cells)), replace=False):
        quad = cells[number]
        side = float(quad[2, 1] - quad[0, 1])
        for path in _mark(kind, rng):
            points = np.asarray(path, np.float64) * side + quad.mean(0) + rng.normal(0, 0.05, 2) * side
            draw_path(ink, curve(points, rng, 0.02), width, rng.uniform(0.8, 1.0))


def _mark(kind: str, rng: Random) -> list[list[tuple[float, float]]]:
    """The paths of a mark, in parts of the cell's side from its middle."""
    if kind == "tick":
        size = rng.uniform(0.5, 1.0)
        return [[(0.0, 0.15), (0.15 * size + 0.05, 0.4), (0.75 * size, -0.4 * size)]]
    if kind == "triangle":
        return [[(0.0, 0.4), (0.05, 0.49), (-0.05, 0.49), (0.0, 0.4)]]
    if kind == "dot":
        return [[(0.0, 0.43), (0.02, 0.45), (0.0, 0.47)]]
    angle = np.linspace(0.3, 0.3 + 2 * np.pi, 10) + rng.uniform(0, 6)
    return [[(0.47 * float(np.cos(a)), 0.44 * float(np.sin(a))) for a in angle]]
