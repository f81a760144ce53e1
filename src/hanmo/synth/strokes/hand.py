"""How a hand writes: what a style allows, and the habits of single writers drawn from it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from hanmo.config import check_ranges
from hanmo.synth.noise import Keys, derive, normal, uniform

_EITHER_WAY = ("lift", "narrow", "across", "left")
"""Means, which may lie on both sides of what is printed."""


@dataclass(frozen=True, kw_only=True)
class StyleConfig:
    """How much hands differ: standard deviations unless said otherwise, lengths as parts of the square's side."""

    haste: float = 0.65
    """The usual haste, 0 (neat) to 1 (running hand); it multiplies slips, smoothing, links and tails."""
    haste_spread: float = 0.5
    """Of the logarithm of haste."""
    slant: float = 0.1
    """Horizontal shear."""
    rise: float = 0.07
    """Vertical shear."""
    lift: float = 0.08
    """Its mean: right hands write upwards to the right."""
    turn: float = 0.03
    """Rotation of the character, in radians."""
    narrow: float = 0.2
    """Mean of the logarithm of height over width, against the printed shape."""
    aspect: float = 0.19
    """Of the logarithm of width over height."""
    layouts: float = 0.0
    """How far strokes stand as in fonts, between the printed layout (0) and theirs (1), where a bank has layouts."""
    warp: float = 0.15
    """Uneven sizes of a character's regions."""
    part_shift: float = 0.04
    """Displacement of a part as a whole, as a share of its size."""
    part_scale: float = 0.1
    """Of the logarithm of a part's width and height."""
    part_tilt: float = 0.05
    """Rotation of a part, in radians."""
    shift: float = 0.02
    """Displacement of a stroke."""
    scale: float = 0.115
    """Of the logarithm of a stroke's size."""
    tilt: float = 0.085
    """Rotation of a stroke, in radians."""
    contacts: float = 0.9
    """How far strokes go on touching what they touch as printed, however they slip: 0 not at all, 1 always."""
    bend: float = 0.042
    """Bow of a stroke, as a part of its length."""
    straight: float = 0.5
    """How far strokes without corners are pulled straight, at most."""
    ends: float = 0.018
    """Lengthening or shortening of a stroke's two ends."""
    hooks: float = 0.3
    """How far final hooks are shortened, on average."""
    hook_spread: float = 0.4
    """Of what is left of them."""
    across: float = -0.08
    """Mean of the logarithm of how much longer than printed horizontal strokes are."""
    left: float = 0.1
    """Mean of how much more room than printed the left of a character takes from the right."""
    elastic: float = 0.025
    """Displacement of the places of a font's glyph, which has no strokes to slip."""
    abbreviations: float = 0.5
    """Chance that a component is written in a shorter form, for a hasty hand."""
    smooth: float = 0.3
    """How far haste rounds corners and shrinks detail, 0 to 1."""
    links: float = 0.6
    """Chance that a stroke is joined to a near next one, for a hasty hand."""
    merge: float = 0.15
    """Eagerness to make one of a short stroke and a near next one, for a hasty hand."""
    tails: float = 0.02
    """How far the pen still (and already) touches the paper on its way to the next stroke."""
    tremor: float = 0.002
    """Unsteadiness of the pen."""
    pen: float = 0.026
    """Half the mean width of the pen, for a character of eight strokes."""
    pen_spread: float = 0.25
    """Of the logarithm of the pen's width."""
    taper: float = 0.3
    """Part of the width lost towards the end of a stroke, on average."""
    speed: float = 0.25
    """Part of the width lost where the pen is fast."""
    pressure: float = 0.18
    """How much ink a usual hand saves in some strokes, and where it is fast."""
    grain: float = 0.25
    """Darkness lost to grain and dry spots, for the roughest pens."""
    ragged: float = 0.2
    """Unevenness of the edges of lines."""
    soft: float = 0.55
    """How far scanners blur, on average."""
    binary: float = 0.2
    """Share of writers whose pages were scanned in (nearly) black and white."""
    ruled: float = 0.0
    """Chance that a character of eight strokes is drawn with a ruler or a mouse; the fewer strokes, the likelier."""

    def __post_init__(self) -> None:
        limits = dict.fromkeys(_EITHER_WAY, (-1.0, 1.0)) | {"pen": (0.002, 0.1)}  # the pen in parts of the side
        check_ranges(self, "style", limits)

    @classmethod
    def neat(cls) -> StyleConfig:
        """No variation at all: every writer draws the medians with the same pen."""
        kept = {"pen": cls.pen}
        return cls(**{f.name: kept.get(f.name, 0.0) for f in fields(cls)})


class Hands(NamedTuple):
    """The habits behind N pictures; every tensor is float32, (N,) unless said otherwise."""

    slip: Tensor
    """What multiplies the slips of strokes and parts: 1 for the usual hand."""
    shear: Tensor
    """(N, 2): slant and rise."""
    turn: Tensor
    aspect: Tensor
    warp: Tensor
    """(N, 3, 2): amounts of three waves, for x and y."""
    straight: Tensor
    hold: Tensor
    """How far strokes go on touching."""
    hook: Tensor
    """What is left of a hook, 0 to 1.5."""
    links: Tensor
    """Eagerness to join strokes."""
    merge: Tensor
    """Eagerness to make one of two strokes."""
    short: Tensor
    """Eagerness to abbreviate."""
    smooth: Tensor
    tail: Tensor
    pen: Tensor
    taper: Tensor
    speed: Tensor
    light: Tensor
    """How much of its darkness a line may lose."""
    level: Tensor
    """How far strokes that are nearly level or upright become exactly so, 0 to 1."""

    def of(self, owner: Tensor) -> Hands:
        """The hands behind (T,) strokes."""
        return Hands(*(t[owner] for t in self))


_LANES = 23
_FINEST = 0.005  # half the width of the finest pen: it must still be seen where it is fast
_OWN, _MOMENT = 0.9, 0.436  # the squares of both weights sum to 1, so the deviation stays that of the style


def draw_hands(keys: Keys, style: StyleConfig) -> Hands:
    """The hands behind N pictures: mostly the writer's own habits, a little of the moment."""
    lanes = normal(keys.habit, _LANES) * _OWN + normal(keys.sample, _LANES) * _MOMENT
    some = lanes.abs() / 0.8  # of mean 1
    spread = (style.haste_spread * lanes[:, 0]).exp()
    haste = style.haste * spread
    return Hands(
        slip=spread.sqrt(),
        shear=torch.stack([style.slant * lanes[:, 1], style.rise * lanes[:, 2] + style.lift], 1),
        turn=style.turn * lanes[:, 3],
        aspect=(style.aspect * lanes[:, 4] - style.narrow).exp(),
        warp=style.warp * lanes[:, 5:11].view(-1, 3, 2) + style.left * lanes.new_tensor([[1, 0], [0, 0], [0, 0]]),
        straight=(style.straight * lanes[:, 11].abs()).clamp(max=0.9),
        hold=(style.contacts * (1 + 0.25 * lanes[:, 22])).clamp(0, 1),
        hook=(1 - style.hooks + style.hook_spread * lanes[:, 12]).clamp(0, 1.5),
        links=style.links * haste * (0.8 * lanes[:, 13]).exp(),
        merge=2 * style.merge * haste * (0.8 * lanes[:, 21]).exp(),
        short=style.abbreviations * haste * (0.8 * lanes[:, 20]).exp(),
        smooth=style.smooth * haste * (0.4 * lanes[:, 14]).exp(),
        tail=style.tails * haste * some[:, 15],
        pen=(style.pen * (style.pen_spread * lanes[:, 16]).exp()).clamp(min=_FINEST),
        taper=style.taper * (1 + 0.5 * lanes[:, 17]),
        speed=style.speed * some[:, 18],
        light=style.pressure * (1 + 0.5 * lanes[:, 19]).clamp(min=0.1),
        level=torch.zeros_like(haste),
    )


def take_rulers(hands: Hands, samples: Tensor, chance: Tensor) -> Hands:
    """The same hands, of which each with ``chance`` (N,) draws this one picture with a ruler or a mouse.

    Its lines are straight and of even width, and stand more or less exactly as printed. Without such pictures, a net
    that learns to refuse the printed lines of empty cells refuses a 十 of straight lines as well.
    """
    luck, loose, level = uniform(derive(samples, -13), 3).unbind(1)
    ruled = luck < chance
    exact = torch.where(ruled, loose.square(), 1.0)
    pen = torch.where(ruled, 0.0, 1.0)
    return hands._replace(
        slip=hands.slip * exact,
        shear=hands.shear * exact[:, None],
        turn=hands.turn * exact,
        warp=hands.warp * exact[:, None, None],
        straight=torch.where(ruled, 1.0, hands.straight),
        level=torch.where(ruled & (level < 0.8), 1.0, hands.level),
        links=hands.links * pen,
        merge=hands.merge * pen,
        smooth=hands.smooth * pen,
        tail=hands.tail * pen,
        taper=hands.taper * pen,
        speed=hands.speed * pen,
        light=hands.light * pen,
    )
