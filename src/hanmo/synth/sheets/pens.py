"""Pens: how wide their lines are and what ink they leave."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hanmo.synth.sheets.geometry import Colour

Random = np.random.Generator


class Pen(NamedTuple):
    """A pen with its ink."""

    name: str
    width: float
    """Of a line, in millimetres."""
    colour: Colour
    density: float
    """How much of the paper full ink hides, 0 to 1."""
    pressure: float
    """How much ink fast and light strokes lose, as :attr:`hanmo.synth.strokes.hand.StyleConfig.pressure`."""
    grain: float
    """How much ink the roughness of the paper takes."""


_BLUES: tuple[Colour, ...] = ((36, 52, 130), (30, 64, 160), (48, 58, 110))
_BLACKS: tuple[Colour, ...] = ((24, 24, 28), (38, 36, 40), (30, 34, 44))
_REDS: tuple[Colour, ...] = ((205, 30, 40), (190, 40, 60), (220, 40, 30))


def make_pen(rng: Random) -> Pen:
    """A ballpoint, gel pen, pencil or felt tip."""
    kind = rng.choice(["ballpoint", "gel", "pencil", "felt"], p=[0.32, 0.36, 0.22, 0.1])
    colour = _pick(rng, _BLUES if rng.random() < 0.35 else _BLACKS)
    if kind == "ballpoint":
        return Pen(kind, rng.uniform(0.35, 0.5), colour, rng.uniform(0.78, 0.95), 0.25, rng.uniform(0.1, 0.3))
    if kind == "gel":
        return Pen(kind, rng.uniform(0.42, 0.7), colour, rng.uniform(0.92, 1.0), 0.08, 0.04)
    if kind == "felt":
        return Pen(kind, rng.uniform(0.8, 1.4), colour, rng.uniform(0.9, 1.0), 0.1, 0.08)
    grey = int(rng.integers(60, 100))
    return Pen(
        kind, rng.uniform(0.45, 0.75), (grey, grey, grey + 4), rng.uniform(0.72, 0.95), 0.2, rng.uniform(0.25, 0.5)
    )


def make_red_pen(rng: Random) -> Pen:
    """The pen of a teacher."""
    return Pen("red", rng.uniform(0.45, 0.8), _pick(rng, _REDS), rng.uniform(0.8, 1.0), 0.15, 0.1)


def _pick(rng: Random, colours: tuple[Colour, ...]) -> Colour:
    return colours[rng.integers(len(colours))]
