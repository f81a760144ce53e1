"""Stroke medians -> a writer's hand -> pictures, in batches, without a Python loop over samples.

A *hand* is how one writer writes: slant, proportions, haste, pen. Each stroke of a character then slips a little on
its own: it moves, turns, bends, ends early or late, and hurried hands join it to the next. Coordinates are those of
the unit square, x to the right, y down, until the last step fits the ink into the picture.

Strokes are kept as one flat batch with the picture each belongs to (its *owner*): a character has ten strokes on
average and 24 at most, so padding would more than double the work. Shapes: N pictures, T strokes, P points a stroke.

Not covered here: abbreviations, components that move as a whole, brush and pencil texture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hanmo.charset import Charset
from hanmo.errors import ConfigError
from hanmo.synth.medians import even_out, load_medians, straighten_heads
from hanmo.synth.noise import derive, normal, uniform
from hanmo.synth.render import Segments, render

_CHUNK = 32  # pictures rendered at once: their windows fit a CPU core's cache
_LINK_POINTS = 5
_USUAL_STROKES = 8
_OVERSHOOT = 0.012  # medians end inside the stroke, about this far from its tip


@dataclass(frozen=True, kw_only=True)
class StyleConfig:
    """How much hands differ: standard deviations unless said otherwise, lengths as parts of the square's side."""

    haste: float = 0.3
    """Of the logarithm of haste, which multiplies all that goes wrong within one writer's strokes."""
    slant: float = 0.1
    """Horizontal shear."""
    rise: float = 0.06
    """Vertical shear; the mean of a hand is as large, upwards to the right, as right hands write."""
    turn: float = 0.03
    """Rotation of the character, in radians."""
    aspect: float = 0.1
    """Of the logarithm of width over height."""
    warp: float = 0.15
    """Uneven sizes of a character's parts."""
    shift: float = 0.014
    """Displacement of a stroke."""
    scale: float = 0.07
    """Of the logarithm of a stroke's size."""
    tilt: float = 0.05
    """Rotation of a stroke, in radians."""
    bend: float = 0.03
    """Bow of a stroke, as a part of its length."""
    ends: float = 0.018
    """Lengthening or shortening of a stroke's two ends."""
    roundness: float = 0.5
    """How far corners are cut, 0 to 1; a fixed amount that haste multiplies."""
    links: float = 0.12
    """Chance that a stroke is joined to a near next one; haste multiplies it."""
    pen: float = 0.023
    """Half the mean width of the pen, for a character of eight strokes."""
    pen_spread: float = 0.25
    """Of the logarithm of the pen's width."""
    taper: float = 0.25
    """Part of the width lost towards the end of a stroke, on average."""
    pressure: float = 0.25
    """Largest loss of darkness, 0 to 1."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value <= 1:
                raise ConfigError(f"style {field.name} = {value} is impossible; 0 to 1")
        if not 0.002 <= self.pen <= 0.1:
            raise ConfigError(f"style pen = {self.pen} is impossible; 0.002 to 0.1 of the side")

    @classmethod
    def neat(cls) -> StyleConfig:
        """No variation at all: every writer draws the medians with the same pen."""
        kept = {"pen": cls.pen}
        return cls(**{f.name: kept.get(f.name, 0.0) for f in fields(cls)})


class Hands(NamedTuple):
    """The habits behind N pictures; every tensor is float32, (N,) unless said otherwise."""

    haste: Tensor
    shear: Tensor
    """(N, 2): slant and rise."""
    turn: Tensor
    aspect: Tensor
    warp: Tensor
    """(N, 3, 2): amounts of three waves, for x and y."""
    pen: Tensor
    taper: Tensor
    ink: Tensor

    def of(self, owner: Tensor) -> Hands:
        """The hands behind (T,) strokes."""
        return Hands(*(t[owner] for t in self))


class StrokeBank:
    """The strokes of a charset, ready to be drawn in batches.

    ``points`` float32 (S, P, 2) and ``along`` (S, P), the way covered at each point from 0 to 1, hold all strokes one
    after another; class ``c`` has ``count[c]`` of them from ``first[c]`` on. Raises :class:`CharsetError` naming every
    character without packaged strokes.
    """

    def __init__(self, charset: Charset, *, points: int = 12, device: torch.device | str = "cpu") -> None:
        strokes = load_medians().of_all(charset)
        count = np.array([len(s) for s in strokes])
        even = straighten_heads(even_out([stroke for character in strokes for stroke in character], points))
        steps = np.hypot(*np.moveaxis(np.diff(even, axis=1), 2, 0))
        along = np.concatenate([np.zeros((len(even), 1)), steps.cumsum(1)], 1) / steps.sum(1, keepdims=True)
        self.charset = charset
        self.points = torch.from_numpy(even).to(device)
        self.along = torch.from_numpy(along.astype(np.float32)).to(device)
        self.count = torch.from_numpy(count).to(device)
        self.first = self.count.cumsum(0) - self.count

    def draw(
        self,
        classes: Tensor,
        generator: torch.Generator,
        style: StyleConfig | None = None,
        side: int = 64,
        *,
        margin: int = 2,
        writers: Tensor | None = None,
        chunk: int = _CHUNK,
    ) -> Tensor:
        """Write ``classes``, int64 (N,), as uint8 (N, side, side), 0 = paper, 255 = ink, ``margin`` pixels of paper.

        Samples with the same number in ``writers``, int64 (N,), come from one hand; without it each has its own.
        ``generator`` gives one number, and picture i depends on it, on i and on ``writers[i]`` only: the same seed
        gives the same pictures for any ``chunk``, which bounds memory.
        """
        style = style or StyleConfig()
        classes = classes.to(self.count.device)
        seed = torch.randint(2**62, (), generator=generator, device=generator.device).to(classes.device)
        samples = derive(seed, torch.arange(len(classes), device=classes.device))
        names = samples if writers is None else writers.to(classes.device)
        habits = derive(derive(seed, -1), names)
        pictures = torch.zeros(len(classes), side, side, dtype=torch.uint8, device=classes.device)
        for first in range(0, len(classes), chunk):
            part = slice(first, first + chunk)
            path = self._write(classes[part], samples[part], habits[part], style)
            count = len(pictures[part])
            pictures[part] = render(_fit(path, count, side, margin), count, side)
        return pictures

    def _write(self, classes: Tensor, samples: Tensor, habits: Tensor, style: StyleConfig) -> Segments:
        """The pen's path for each of N classes, in the unit square (or a little beyond it)."""
        count = self.count[classes]
        hands = draw_hands(habits, samples, style)
        hands = hands._replace(pen=hands.pen * (_USUAL_STROKES / count) ** 0.15)  # dense characters are written finer
        owner = torch.repeat_interleave(torch.arange(len(classes), device=classes.device), count)
        nth = torch.arange(len(owner), device=owner.device) - (count.cumsum(0) - count)[owner]
        stroke = self.first[classes][owner] + nth
        keys, hand = derive(samples[owner], nth + 1), hands.of(owner)
        points = write(self.points[stroke], self.along[stroke], keys, hand, style)
        return Segments.concatenate(
            _pen_down(points, self.along[stroke], owner, keys, hand, style), _links(points, owner, keys, hand, style)
        )


def draw_hands(writers: Tensor, samples: Tensor, style: StyleConfig) -> Hands:
    """Habits from the keys of N writers and of their samples: mostly the writer's own, a little of the moment."""
    # The squares of both weights sum to 1, so the deviation stays that of the style.
    lanes = normal(writers, 14) * 0.9 + normal(samples, 14) * 0.436
    warp = lanes[:, 5:11].view(-1, 3, 2) * style.warp
    return Hands(
        haste=(style.haste * lanes[:, 0]).exp(),
        shear=torch.stack([style.slant * lanes[:, 1], style.rise * (lanes[:, 2] + 1)], 1),
        turn=style.turn * lanes[:, 3],
        aspect=(style.aspect * lanes[:, 4]).exp(),
        warp=warp,
        pen=style.pen * (style.pen_spread * lanes[:, 11]).exp(),
        taper=style.taper * (1 + 0.5 * lanes[:, 12]),
        ink=1 - style.pressure * (lanes[:, 13].abs() / 3.5).clamp(max=1),
    )


def write(points: Tensor, along: Tensor, keys: Tensor, hand: Hands, style: StyleConfig) -> Tensor:
    """Move the pen along (T, P, 2) medians as (T,) hands would; returns the trajectories, same shape."""
    n = normal(keys, 9) * hand.haste[:, None]
    points = _cut_corners(points, (style.roundness * hand.haste).clamp(max=1))
    points = _slip(points, n[:, :2] * style.shift, n[:, 2] * style.tilt, (n[:, 3:5] * style.scale).exp())
    points = _bow(points, along, n[:, 5:7] * style.bend)
    points = _stretch_ends(points, n[:, 7:9] * style.ends + _OVERSHOOT)
    return _lay_out(points, hand)


def _cut_corners(points: Tensor, amount: Tensor) -> Tensor:
    """Pull every inner point towards the middle of its neighbours, by (T,) amounts of 0 to 1."""
    middle = (points[:, :-2] + points[:, 2:]) / 2
    inner = torch.lerp(points[:, 1:-1], middle, 0.6 * amount[:, None, None])
    return torch.cat([points[:, :1], inner, points[:, -1:]], 1)


def _slip(points: Tensor, shift: Tensor, angle: Tensor, scale: Tensor) -> Tensor:
    """Scale by (T, 2), rotate by (T,) radians and shift by (T, 2), about the middle of each stroke's box."""
    centre = (points.amin(1, keepdim=True) + points.amax(1, keepdim=True)) / 2
    return _rotate((points - centre) * scale[:, None], angle) + centre + shift[:, None]


def _bow(points: Tensor, along: Tensor, amount: Tensor) -> Tensor:
    """Push points sideways from the chord, in one arc and in an S, by (T, 2) parts of the chord's length."""
    chord = points[:, -1] - points[:, 0]
    sideways = torch.stack([-chord[:, 1], chord[:, 0]], 1)
    arc, ess = (math.pi * along).sin(), (2 * math.pi * along).sin()
    return points + sideways[:, None] * (arc * amount[:, :1] + ess * amount[:, 1:] / 2)[:, :, None]


def _stretch_ends(points: Tensor, amount: Tensor) -> Tensor:
    """Move both tips outwards (or inwards, below zero) by (T, 2), never past half of the first or last step."""
    tips, inner = points[:, [0, -1]], points[:, [1, -2]]
    out = tips - inner
    length = out.square().sum(2).sqrt().clamp(min=1e-6)
    moved = tips + out * (amount.maximum(-length / 2) / length)[:, :, None]
    return torch.cat([moved[:, :1], points[:, 1:-1], moved[:, 1:]], 1)


def _lay_out(points: Tensor, hand: Hands) -> Tensor:
    """The whole character: uneven parts, slant, rise, proportions, rotation."""
    along, across = points, points.flip(2)  # across: y for x, x for y
    warp = hand.warp[:, :, None]
    points = points + (
        warp[:, 0] * (math.pi * along).sin() / math.pi
        + warp[:, 1] * (2 * math.pi * along).sin() / (2 * math.pi)
        + warp[:, 2] * (2 * math.pi * across).sin() / (2 * math.pi)
    )
    points = points - points.new_tensor(0.5)
    points = points - hand.shear[:, None] * points.flip(2)
    x = points[:, :, 0] * hand.aspect.sqrt()[:, None]
    y = points[:, :, 1] / hand.aspect.sqrt()[:, None]
    return _rotate(torch.stack([x, y], 2), hand.turn)


def _rotate(points: Tensor, angle: Tensor) -> Tensor:
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    x, y = points.unbind(2)
    return torch.stack([x * cos - y * sin, x * sin + y * cos], 2)


def _pen_down(points: Tensor, along: Tensor, owner: Tensor, keys: Tensor, hand: Hands, style: StyleConfig) -> Segments:
    """The strokes themselves, thinner towards their ends where the hand tapers."""
    n = normal(derive(keys, 1), 2)
    weight = (0.3 * style.pen_spread * n[:, 0]).exp() * hand.pen
    radius = weight[:, None] * (1 - hand.taper[:, None] * along.square()).clamp(min=0.3)
    ink = hand.ink * (1 - 0.4 * style.pressure * (n[:, 1].abs() / 3.5))
    return Segments.of_lines(points, radius, ink, owner)


def _links(points: Tensor, owner: Tensor, keys: Tensor, hand: Hands, style: StyleConfig) -> Segments:
    """Thin curves from the end of a stroke to the beginning of the next one of the same character, where near."""
    end, begin = points[:-1, -1], points[1:, 0]
    gap = begin - end
    chance = (style.links * hand.haste[:-1].square()) * (-gap.square().sum(1) / 0.35**2).exp()
    key = derive(keys[:-1], 2)
    linked = ((owner[:-1] == owner[1:]) & (uniform(key, 1)[:, 0] < chance)).nonzero()[:, 0]
    end, gap, bow = end[linked], gap[linked], normal(key[linked], 1)[:, :1] * 0.15
    t = torch.linspace(0, 1, _LINK_POINTS, device=points.device)[None, :, None]
    sideways = torch.stack([-gap[:, 1], gap[:, 0]], 1) * bow
    curve = end[:, None] + gap[:, None] * t + sideways[:, None] * (4 * t * (1 - t))
    radius = (0.55 * hand.pen[linked])[:, None].expand(-1, _LINK_POINTS)
    return Segments.of_lines(curve, radius, 0.85 * hand.ink[linked], owner[linked])


def _fit(path: Segments, count: int, side: int, margin: int) -> Segments:
    """From the unit square to pixels: all ink of each picture centred within its margin, aspect kept."""
    room = side - 2 * margin
    which = path.owner[:, None].expand(-1, 2)
    thick = path.radius.amax(1, keepdim=True)
    low = path.start.new_full((count, 2), math.inf)
    low.scatter_reduce_(0, which, path.start.minimum(path.end) - thick, "amin")
    high = path.start.new_full((count, 2), -math.inf)
    high.scatter_reduce_(0, which, path.start.maximum(path.end) + thick, "amax")
    scale = (room / (high - low).amax(1, keepdim=True))[path.owner]
    middle = ((low + high) / 2)[path.owner]
    return path._replace(
        start=(path.start - middle) * scale + side / 2,
        end=(path.end - middle) * scale + side / 2,
        radius=path.radius * scale,
    )
