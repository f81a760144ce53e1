"""How the pen moves: pure geometry on batches of strokes.

Strokes are flat batches (T, P, 2) with x to the right and y down; amounts are given for each stroke.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_NEARLY = 0.2  # the rise over the length, or the other way round, of strokes that are meant level (or upright)


def rotate(points: Tensor, angle: Tensor) -> Tensor:
    """Turn (T, P, 2) by (T,) radians about the origin."""
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    x, y = points.unbind(2)
    return torch.stack([x * cos - y * sin, x * sin + y * cos], 2)


def move(points: Tensor, centre: Tensor, shift: Tensor, angle: Tensor, scale: Tensor) -> Tensor:
    """Scale by (T, 2), turn by (T,) radians and shift by (T, 2) about the centres (T, 2)."""
    middle = centre[:, None]
    return rotate((points - middle) * scale[:, None], angle) + middle + shift[:, None]


def middle_of(points: Tensor) -> Tensor:
    """(T, 2): the middle of each stroke's box."""
    return (points.amin(1) + points.amax(1)) / 2


def shorten_hooks(points: Tensor, hook: Tensor, left: Tensor) -> Tensor:
    """Keep ``left`` (T,), 1 = all, of what follows the point ``hook`` (T,)."""
    corner = points.gather(1, hook[:, None, None].expand(-1, 1, 2))
    after = torch.arange(points.shape[1], device=points.device) > hook[:, None]
    return torch.where(after[:, :, None], corner + (points - corner) * left[:, None, None], points)


def straighten(points: Tensor, along: Tensor, amount: Tensor) -> Tensor:
    """Pull strokes towards their chords, by (T,) shares."""
    chord = points[:, :1] + (points[:, -1:] - points[:, :1]) * along[:, :, None]
    return torch.lerp(points, chord, amount[:, None, None])


def make_level(points: Tensor, amount: Tensor) -> Tensor:
    """Bring strokes whose ends lie nearly side by side to one height, nearly above each other to one column; (T,)."""
    chord = points[:, -1:] - points[:, :1]
    flat = (chord.abs() < _NEARLY * chord.flip(2).abs()).to(points.dtype)
    return torch.lerp(points, points.mean(1, keepdim=True), flat * amount[:, None, None])


def bow(points: Tensor, along: Tensor, amount: Tensor) -> Tensor:
    """Push points sideways from the chord, in one arc and in an S, by (T, 2) parts of the chord's length."""
    chord = points[:, -1] - points[:, 0]
    sideways = torch.stack([-chord[:, 1], chord[:, 0]], 1)
    arc, ess = (math.pi * along).sin(), (2 * math.pi * along).sin()
    return points + sideways[:, None] * (arc * amount[:, :1] + ess * amount[:, 1:] / 2)[:, :, None]


def stretch_ends(points: Tensor, amount: Tensor) -> Tensor:
    """Move both tips outwards (or inwards, below zero) by (T, 2), never past half of the first or last step."""
    tips, inner = points[:, [0, -1]], points[:, [1, -2]]
    out = tips - inner
    length = out.square().sum(2).sqrt().clamp(min=1e-6)
    moved = tips + out * (amount.maximum(-length / 2) / length)[:, :, None]
    return torch.cat([moved[:, :1], points[:, 1:-1], moved[:, 1:]], 1)


def lay_out(points: Tensor, warp: Tensor, shear: Tensor, aspect: Tensor, turn: Tensor) -> Tensor:
    """The whole character about the middle of the unit square: uneven regions, slant and rise, proportions, rotation.

    ``warp`` (T, 3, 2), ``shear`` (T, 2), ``aspect`` and ``turn`` (T,).
    """
    along, across = points, points.flip(2)  # across: y for x, x for y
    amount = warp[:, :, None]
    points = points + (
        amount[:, 0] * (math.pi * along).sin() / math.pi
        + amount[:, 1] * (2 * math.pi * along).sin() / (2 * math.pi)
        + amount[:, 2] * (2 * math.pi * across).sin() / (2 * math.pi)
    )
    points = points - points.new_tensor(0.5)
    points = points - shear[:, None] * points.flip(2)
    width = aspect.sqrt()[:, None]
    x, y = points.unbind(2)
    return rotate(torch.stack([x * width, y / width], 2), turn)


def relax(path: Tensor, joined: Tensor, amount: Tensor, rounds: int) -> Tensor:
    """Let every point of a path (Q, 2) drift towards its neighbours, as a hurried hand cuts corners short.

    ``joined`` (Q,) says whether a point hangs together with the one before it; ``amount`` (Q,), up to 0.5, how far it
    drifts in each of the ``rounds``. The tips of what hangs together stay.
    """
    before = joined.to(path.dtype)
    after = torch.cat([before[1:], before.new_zeros(1)])
    pull = (amount * before * after)[:, None]
    path = path.clone()
    for _ in range(rounds):
        path[1:-1] += pull[1:-1] * ((path[:-2] + path[2:]) / 2 - path[1:-1])
    return path
