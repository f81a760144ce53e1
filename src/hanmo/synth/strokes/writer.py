"""From stroke medians to handwritten pictures, in batches, without a Python loop over samples.

:meth:`StrokeBank.write` does, for each picture:

1. sample the writer's hand, the habits of one writer (:mod:`hanmo.synth.strokes.hand`);
2. choose the strokes: printed ones, or abbreviated forms of components (:mod:`hanmo.synth.strokes.abbreviations`);
3. place them as printed, or as fonts lay them out (:mod:`hanmo.synth.strokes.layouts`);
4. let each stroke, then each part of the character, slip a little on its own, and restore contacts
   (:mod:`hanmo.synth.strokes.contacts`);
5. lay out the whole character: slant, proportions, rotation;
6. run the pen through all strokes in one path, where hasty hands round corners, shrink detail and leave the pen on the
   paper between strokes (:func:`_pen_path`);
7. fit the path into the picture, render it (:mod:`hanmo.synth.strokes.render`) and add texture
   (:mod:`hanmo.synth.strokes.texture`).

Coordinates are those of the unit square, x to the right, y down, until the last step. Strokes are kept as one flat
batch, with the picture that each belongs to (its *owner*): characters of level 1 have ten strokes on average and 24 at
most, others up to 48, so padding would more than double the work. Shapes: N pictures, T strokes, P points a stroke, A
points on the way to the next stroke, Q = T (P + A).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hanmo.synth.noise import Keys, derive, keys_of, normal, uniform
from hanmo.synth.strokes import motion
from hanmo.synth.strokes.bank import Bank
from hanmo.synth.strokes.contacts import find_contacts, keep_contacts
from hanmo.synth.strokes.hand import Hands, StyleConfig, draw_hands, take_rulers
from hanmo.synth.strokes.layouts import Layouts, displaced
from hanmo.synth.strokes.pen import strokes_of
from hanmo.synth.strokes.render import Segments, render
from hanmo.synth.strokes.structure import LEVELS
from hanmo.synth.strokes.texture import ink_on_paper

_CHUNK, _CHUNK_ON_GPU = 32, 4096  # pictures rendered at once: their windows fit a core's cache, or keep a GPU busy
_USUAL_STROKES = 8  # strokes of a character that is written with the usual pen; denser ones get a finer pen
_MOST_RULED = 0.3  # the largest share of a character's pictures that are drawn with a ruler
_OVERSHOOT = 0.012  # medians end inside the stroke, about this far from its tip
_NEAR = 0.35  # strokes whose ends are much further apart than this are rarely joined
_AIR = (0.06, 0.16, 0.35, 0.65, 0.84, 0.94)
"""Where the path has points on the way from one stroke to the next, as shares of it: dense at both ends, where tails
of strokes fade."""
_ROUNDS = 8  # of smoothing
_SHORT, _BLUNT = 0.3, 0.3  # strokes about so short may merge with a near next one; extra rounding of both then
_FAINTEST = 0.3  # darkness of the lightest line
_FAINT = 0.005  # half width of a line, as a part of the side, up to which people who crop a picture overlook it


class StrokeBank(Bank):
    """The strokes of a charset, ready to be drawn in batches."""

    def draw(
        self,
        classes: Tensor,
        generator: torch.Generator,
        style: StyleConfig | None = None,
        side: int = 64,
        *,
        margin: int = 2,
        writers: Tensor | None = None,
        chunk: int | None = None,
    ) -> Tensor:
        """Draw ``classes``, int64 (N,), as uint8 (N, side, side), 0 = paper, 255 = ink; ``margin`` pixels stay paper.

        Samples with the same number in ``writers``, int64 (N,), are by one writer; None: each has its own. One number
        is taken from ``generator``; picture i depends on it, on i and on ``writers[i]`` only, so that the same seed
        gives the same pictures for any ``chunk``, the number of pictures drawn at once, which bounds memory. Strokes
        are placed as printed, whatever ``style.layouts`` says.
        """
        seed = torch.randint(2**62, (), generator=generator, device=generator.device).to(classes.device)
        keys = keys_of(seed, torch.arange(len(classes), device=classes.device), writers)
        return self.write(classes, keys, style or StyleConfig(), side, margin, chunk)

    def write(
        self,
        classes: Tensor,
        keys: Keys,
        style: StyleConfig,
        side: int,
        margin: int = 2,
        chunk: int | None = None,
        layouts: Layouts | None = None,
    ) -> Tensor:
        """As :meth:`draw`, but from the keys of N pictures, with strokes placed by ``layouts`` (None: as printed)."""
        device = self.points.device
        classes, keys = classes.to(device), Keys(*(k.to(device) for k in keys))
        chunk = chunk or (_CHUNK if device.type == "cpu" else _CHUNK_ON_GPU)
        pictures = torch.zeros(len(classes), side, side, dtype=torch.uint8, device=device)
        for first in range(0, len(classes), chunk):
            part = slice(first, first + chunk)
            here = Keys(keys.sample[part], keys.habit[part])
            path = self._write(classes[part], here, style, layouts)
            count = len(here.sample)
            clean = render(_fit(path, count, side, margin), count, side)
            pictures[part] = ink_on_paper(clean, here, style)
        return pictures

    def trace(
        self, classes: Tensor, keys: Keys, style: StyleConfig, side: int, layouts: Layouts | None = None
    ) -> list[list[NDArray[np.float32]]]:
        """The pen strokes of the characters that :meth:`write` draws, each (n, 2) within 0 to ``side``."""
        device = self.points.device
        keys = Keys(*(k.to(device) for k in keys))
        path = self._write(classes.to(device), keys, style, layouts)
        return strokes_of(_fit(path, len(keys.sample), side, 0), len(keys.sample))

    def _write(self, classes: Tensor, keys: Keys, style: StyleConfig, layouts: Layouts | None) -> Segments:
        """The pen's paths of N characters, in the unit square or a little beyond it."""
        hands = draw_hands(keys, style)
        stroke, owner = self._choose(classes, keys.habit, hands)
        count = torch.bincount(owner, minlength=len(classes))
        if style.ruled:
            # Characters of few strokes are what printed lines look like.
            chance = (style.ruled * _USUAL_STROKES / count).clamp(max=_MOST_RULED)
            hands = take_rulers(hands, keys.sample, chance)
        hands = hands._replace(pen=hands.pen * (_USUAL_STROKES / count) ** 0.15)  # dense characters are written finer
        nth = torch.arange(len(owner), device=owner.device) - (count.cumsum(0) - count)[owner]
        moment, hand = derive(keys.sample[owner], nth + 1), hands.of(owner)
        points = model = self.points[stroke]
        if layouts and style.layouts:
            blend = layouts.choose(classes, keys.habit, style.layouts)
            moved = blend.of(owner, self.printed[stroke])
            # An abbreviation is shifted with the strokes it replaces, but keeps its own shape.
            moved[:, 2:] *= self.plain[stroke, None]
            points = displaced(points, self.along[stroke], moved)
        placed = points
        points = self._slip(points, stroke, moment, hand, style)
        points = self._move_parts(points, stroke, keys.sample[owner], hand, style)
        if style.contacts:
            points = keep_contacts(points, placed, find_contacts(model, owner), hand.hold)
        points = motion.lay_out(points, hand.warp, hand.shear, hand.aspect, hand.turn)
        return _pen_path(points, stroke, self, owner, moment, hand, style)

    def _choose(self, classes: Tensor, habits: Tensor, hands: Hands) -> tuple[Tensor, Tensor]:
        """Choose the strokes that N writers make; returns strokes of the bank and their writers, int64 (T,) each.

        A writer always chooses the same form of a component.
        """
        run, writer = self.runs.entries(classes)
        component = self.component[run]
        chance = 1 - (-hands.short[writer]).exp()
        luck = uniform(derive(derive(habits[writer], -3), component), 1)[:, 0] / chance.clamp(min=1e-6)
        others = self.forms.size[run] - 1
        nth = torch.where(luck < 1, (luck * others).long() + 1, 0).minimum(others)
        stroke, of_run = self.strokes.entries(self.forms.first[run] + nth)
        return stroke, writer[of_run]

    def _slip(self, points: Tensor, stroke: Tensor, keys: Tensor, hand: Hands, style: StyleConfig) -> Tensor:
        """Slip each stroke on its own: shift, turn, stretch and bend it, and shorten its hook. (T, P, 2) in and out."""
        n = normal(keys, 10) * hand.slip[:, None]
        along = self.along[stroke]
        dot = (-self.length[stroke] / 0.15).exp()  # near 1 for dots: short strokes move, turn and stretch more freely
        hook = (hand.hook + 0.4 * style.hook_spread * n[:, 9]).clamp(0, 1.6)
        points = motion.shorten_hooks(points, self.hook[stroke], hook)
        chord = points[:, -1] - points[:, 0]
        square = chord.square().sum(1).clamp(min=1e-6)
        flat, oblique = chord[:, 0].square() / square, 2 * chord.prod(1).abs() / square
        freely = 1 + 2 * dot
        longer = ((1 - dot) * style.across * flat.square()).exp()
        plain = (self.corners[stroke] == 0).to(points.dtype)
        points = motion.straighten(points, along, hand.straight * plain)
        points = motion.make_level(points, hand.level * plain)
        points = motion.move(
            points,
            motion.middle_of(points),
            n[:, :2] * (style.shift * (1 + dot / 2))[:, None],
            n[:, 2] * style.tilt * (freely + oblique / 2),
            (n[:, 3:5] * style.scale * freely[:, None]).exp() * longer[:, None],
        )
        points = motion.bow(points, along, n[:, 5:7] * style.bend)
        return motion.stretch_ends(points, n[:, 7:9] * style.ends + _OVERSHOOT)

    def _move_parts(self, points: Tensor, stroke: Tensor, samples: Tensor, hand: Hands, style: StyleConfig) -> Tensor:
        """Slip each part of the characters as a whole, the smaller ones first. (T, P, 2) in and out."""
        own = derive(samples, -1)  # keys of their own, apart from those of texture and strokes
        for level in reversed(range(LEVELS)):
            number = self.part[stroke, level]
            amount = hand.slip * (number >= 0)
            n = normal(derive(own, number), 5) * amount[:, None]
            size = self.size[stroke, level]
            shift = n[:, :2] * style.part_shift * (size + size.flip(1)) / 2
            angle, scale = n[:, 2] * style.part_tilt, (n[:, 3:] * style.part_scale).exp()
            points = motion.move(points, self.centre[stroke, level], shift, angle, scale)
        return points


def _pen_path(
    points: Tensor, stroke: Tensor, bank: Bank, owner: Tensor, keys: Tensor, hand: Hands, style: StyleConfig
) -> Segments:
    """Join strokes (T, P, 2), numbers ``stroke`` (T,) of the bank, to one path for each character.

    Between two strokes the pen is lifted, or leaves a line: where they are *linked*, and where a short stroke is
    *merged* with the next one. Returns the path's segments on which the pen touches.
    """
    along, corners = bank.along[stroke], bank.corners[stroke]
    count, size = points.shape[:2]
    way = points.new_tensor(_AIR)
    same = torch.zeros(count, dtype=torch.bool, device=points.device)
    same[:-1] = owner[:-1] == owner[1:]
    end, begin = points[:, -1], points.roll(-1, 0)[:, 0]
    gap = torch.where(same[:, None], begin - end, 0)
    far = gap.square().sum(1).sqrt()
    chance = 1 - (-hand.links * (-((far / _NEAR) ** 2)).exp()).exp()
    luck = uniform(derive(keys, 2), 2)
    short = (-((bank.length[stroke] / _SHORT) ** 2)).exp()
    pair = short.maximum(short.roll(-1)) * (-((far / _NEAR) ** 2) / 2).exp()
    merged = same & (luck[:, 1] < 1 - (-hand.merge * pair).exp())
    linked = merged | (same & (luck[:, 0] < chance))
    air = end[:, None] + gap[:, None] * way[None, :, None]
    path = torch.cat([points, air], 1)
    row = size + len(_AIR)
    path = path + normal(derive(keys, 3), 2 * row).view(count, row, 2) * style.tremor

    # Each point is joined to the one before it, except at the start of a character and, unless linked, in mid-air.
    joined = torch.ones(count, row, dtype=torch.bool, device=points.device)
    joined[1:, 0] = same[:-1]
    joined[0, 0] = False
    joined[:, size + len(_AIR) // 2] = linked
    blunt = _BLUNT * (merged | merged.roll(1)).to(path.dtype)
    smooth = (hand.smooth * (2 / (1 + corners)).clamp(max=1) + blunt).clamp(max=0.5)
    flat = motion.relax(path.view(-1, 2), joined.view(-1), smooth.repeat_interleave(row), _ROUNDS)
    path = flat.view(count, row, 2)

    drag = torch.where(merged, 1, (0.62 + 0.2 * normal(derive(keys, 5), 1)[:, 0]).clamp(0.25, 1))
    radius, ink = _touch(path, along, far, torch.where(linked, drag, 0), same, keys, hand, style)
    return Segments.of_path(path, radius, ink, joined, owner)


def _touch(
    path: Tensor,
    along: Tensor,
    far: Tensor,
    drag: Tensor,
    same: Tensor,
    keys: Tensor,
    hand: Hands,
    style: StyleConfig,
) -> tuple[Tensor, Tensor]:
    """Half the width of the line at each point of the path, and its darkness; both (T, P + A).

    ``far`` (T,) is the distance to the next stroke. ``drag`` (T,) is the share of the width that remains on the way
    there, 0 where the pen is lifted.
    """
    n = normal(derive(keys, 1), 4)
    step = (path[:, 1 : along.shape[1]] - path[:, : along.shape[1] - 1]).square().sum(2).sqrt()
    pace = torch.cat([step[:, :1], step], 1) * along.shape[1]
    fast = (pace / (pace + 0.4)).clamp(max=1)
    down = (1 - hand.taper[:, None] * along.square()) * (1 - hand.speed[:, None] * fast)
    way = along.new_tensor(_AIR)
    leaving = (-way * far[:, None] / (hand.tail[:, None] * (0.5 * n[:, 2:3]).exp() + 1e-6)).exp()
    coming = (-(1 - way) * far[:, None] / (hand.tail[:, None] * (0.5 * n[:, 3:4]).exp() + 1e-6)).exp()
    touching = torch.maximum(drag[:, None], torch.maximum(leaving, coming))
    up = torch.where(drag[:, None] > 0, touching, leaving + coming)
    up = up * same[:, None] * down[:, -1:]
    weight = (0.3 * style.pen_spread * n[:, 1:2]).exp() * hand.pen[:, None]
    radius = weight * torch.cat([down, up], 1).clamp(0, 1.2)

    # A light hand leaves less ink: where it is fast, in some strokes more than in others, and unevenly along each.
    row = radius.shape[1]
    uneven = normal(derive(keys, 4), row)
    uneven = 0.5 * uneven + 0.25 * (uneven.roll(1, 1) + uneven.roll(-1, 1))
    swift = torch.cat([fast, fast[:, -1:].expand(-1, row - fast.shape[1])], 1)
    loss = 0.7 * n[:, 1:2].abs() + 1.2 * swift + 0.4 * uneven
    return radius, (1 - hand.light[:, None] * loss).clamp(_FAINTEST, 1)


def _fit(path: Segments, count: int, side: int, margin: int) -> Segments:
    """From the unit square to pixels: the ink of each picture is scaled and centred within the margin, aspect kept."""
    room = side - 2 * margin
    which = path.owner[:, None].expand(-1, 2)
    thick = path.radius.amax(1, keepdim=True)
    widest = thick.new_zeros(count).scatter_reduce_(0, path.owner, thick[:, 0], "amax")
    # As people do who crop pictures, faint tails are ignored when the box of the ink is measured.
    seen = thick > (widest[path.owner, None] / 2).clamp(max=_FAINT)
    low = path.start.new_full((count, 2), math.inf)
    low.scatter_reduce_(0, which, (path.start.minimum(path.end) - thick).where(seen, math.inf), "amin")
    high = path.start.new_full((count, 2), -math.inf)
    high.scatter_reduce_(0, which, (path.start.maximum(path.end) + thick).where(seen, -math.inf), "amax")
    scale = (room / (high - low).amax(1, keepdim=True))[path.owner]
    middle = ((low + high) / 2)[path.owner]

    def place(points: Tensor) -> Tensor:
        return ((points - middle) * scale + side / 2).clamp(margin, side - margin)  # ignored tails may lie outside

    return path._replace(start=place(path.start), end=place(path.end), radius=path.radius * scale)
