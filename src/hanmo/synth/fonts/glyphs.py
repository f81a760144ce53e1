"""Glyphs of a bank, changed by a writer's hand: slant, proportions, elastic distortion, a thicker or thinner pen.

Glyphs contribute forms that the table of strokes does not have, so they are distorted as pictures and keep their
shapes. Shapes: N pictures, S the side drawn, B the bank's side, G knots along a side of the elastic grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.charset import Charset, list_characters
from hanmo.errors import CharsetError, ConfigError
from hanmo.synth.fonts.bank import LEVELS, GlyphBank
from hanmo.synth.morphology import thickened
from hanmo.synth.noise import Keys, derive, normal, uniform
from hanmo.synth.strokes.bank import Ragged
from hanmo.synth.strokes.hand import Hands, StyleConfig, draw_hands
from hanmo.synth.strokes.texture import ink_on_paper

_CHUNK, _CHUNK_ON_GPU = 64, 4096  # pictures drawn at once: they fit a core's cache, or keep a GPU busy
_SHEET = 1.8  # side of the sheet on which a glyph is first drawn, in sides of its square: large enough for any slant
_KNOTS = 5  # knots of the elastic grid along each side
_VISIBLE = 0.25  # level from which a pixel counts when the drawn glyph is fitted to its square, about as in normalising
_THINNER = 0.5  # lines are thinned by this many pixels at most, as hairlines must stay visible
_PEN = 0.8  # change in pixels, at a side of 64, of a pen that deviates by 0.2 in the logarithm of its width


class Glyphs:
    """The glyphs of some fonts of a bank for the characters of a charset, on a device.

    ``names`` are the fonts to use, none: all. ``members`` are the characters of each class that stands for several:
    its glyphs are those of all of them. Raises :class:`ConfigError` naming every font that the bank lacks,
    :class:`CharsetError` when it was made for other characters.
    """

    def __init__(
        self,
        bank: GlyphBank,
        charset: Charset,
        names: tuple[str, ...] = (),
        device: torch.device | str = "cpu",
        members: Mapping[str, str] | None = None,
    ) -> None:
        shown = [(number, member) for number, c in enumerate(charset) for member in (members or {}).get(c, c)]
        if lacking := [c for _, c in shown if c not in bank.charset]:
            raise CharsetError(
                f"{bank.path}: made for other characters, without {len(lacking)} of the recipe's: "
                f"{list_characters(lacking)}; make it again with these"
            )
        known = [font.name for font in bank.fonts]
        if strange := [name for name in names if name not in known]:
            raise ConfigError(f"{bank.path}: has no font {', '.join(strange)}; it has {', '.join(known)}")
        weight = torch.from_numpy(bank.weights(names)).float()
        font, label = torch.from_numpy(bank.font.copy()), torch.from_numpy(bank.label.copy())
        place = torch.full((len(bank.charset),), -1)
        place[torch.from_numpy(bank.charset.encode([c for _, c in shown]))] = torch.tensor([n for n, _ in shown])
        rows = ((place[label] >= 0) & (weight[font] > 0)).nonzero()[:, 0]
        rows = rows[place[label[rows]].argsort(stable=True)]
        self.side = bank.side
        self.of_class = Ragged.of(torch.bincount(place[label[rows]], minlength=len(charset)).tolist(), device)
        self.packed = torch.from_numpy(bank.packed.copy())[rows].to(device)
        self.font = font[rows].to(device)
        self.weight = weight[font[rows]].to(device)

    def covers(self, classes: Tensor) -> Tensor:
        """Which of the classes (N,) at least one font has, bool (N,)."""
        return self.of_class.size[classes] > 0

    def write(
        self, classes: Tensor, keys: Keys, style: StyleConfig, side: int, margin: int = 2, chunk: int | None = None
    ) -> Tensor:
        """Write covered ``classes``, int64 (N,), as uint8 (N, side, side), 0 = paper, 255 = ink.

        A writer keeps to one font, where it has the character. The same keys give the same pictures for any ``chunk``.
        """
        chunk = chunk or (_CHUNK if classes.device.type == "cpu" else _CHUNK_ON_GPU)
        pictures = torch.zeros(len(classes), side, side, dtype=torch.uint8, device=classes.device)
        for first in range(0, len(classes), chunk):
            part = slice(first, first + chunk)
            here = Keys(keys.sample[part], keys.habit[part])
            pictures[part] = self._write(classes[part], here, style, side, margin)
        return pictures

    def _write(self, classes: Tensor, keys: Keys, style: StyleConfig, side: int, margin: int) -> Tensor:
        hands = draw_hands(keys, style)
        glyph = self._unpacked(self._choose(classes, keys))
        knots = normal(derive(keys.sample, -8), 2 * _KNOTS * _KNOTS).view(-1, 2, _KNOTS, _KNOTS)
        sheet = _Sheet(hands, knots * style.elastic * hands.slip[:, None, None, None])
        whole = glyph.new_tensor([[0.5, 0.5, _SHEET / 2]]).expand(len(glyph), 3)
        small = side // 2
        box = _box(_draw(glyph, sheet, whole, small), whole, margin / side)
        drawn = _draw(glyph, sheet, box, side)
        growth = ((hands.pen / style.pen).log() / 0.2 * _PEN * side / 64).clamp(-_THINNER, 1)
        drawn = thickened(drawn, growth[:, None, None, None])
        drawn[:, :, :margin], drawn[:, :, -margin:], drawn[..., :margin], drawn[..., -margin:] = 0, 0, 0, 0
        return ink_on_paper((drawn[:, 0] * 255 + 0.5).to(torch.uint8), keys, style)

    def _choose(self, classes: Tensor, keys: Keys) -> Tensor:
        """Choose a glyph for each class: the font that its writer prefers among those that have the character.

        Of several members that this font has, any one is taken.

        Weighted sampling with exponential keys (Efraimidis and Spirakis, "Weighted random sampling with a reservoir",
        2006): each font gets u ^ (1 / weight), the same for all characters of a writer, and the largest wins.
        """
        row, owner = self.of_class.entries(classes)
        luck = uniform(derive(derive(keys.habit, -9)[owner], self.font[row]), 1)[:, 0].clamp(min=1e-9)
        liking = luck.log() / self.weight[row]
        preferred = _largest(liking, owner, len(classes))
        turn = uniform(derive(derive(keys.sample, -11)[owner], row), 1)[:, 0].where(preferred, -1)
        nth = torch.arange(len(row), device=row.device).where(_largest(turn, owner, len(classes)), len(row))
        chosen = nth.new_full((len(classes),), len(row)).scatter_reduce_(0, owner, nth, "amin")
        return row[chosen]

    def _unpacked(self, rows: Tensor) -> Tensor:
        """The glyphs of the rows (N,) as float32 (N, 1, B, B) in [0, 1]."""
        bits = torch.tensor([6, 4, 2, 0], dtype=torch.uint8, device=rows.device)
        level = self.packed[rows][:, :, None].bitwise_right_shift(bits) & 3
        return level.view(-1, 1, self.side, self.side).float() / (LEVELS - 1)


def _largest(values: Tensor, owner: Tensor, count: int) -> Tensor:
    """Which of the values (n,) are the largest of their owner (n,), of ``count`` owners; bool (n,)."""
    best = values.new_full((count,), -math.inf).scatter_reduce_(0, owner, values, "amax")
    largest: Tensor = values == best[owner]
    return largest


class _Sheet(NamedTuple):
    """The distortion of N glyphs, from places on the paper to places in the glyph's square."""

    hands: Hands
    knots: Tensor
    """(N, 2, G, G): the elastic displacement at each knot, x and y."""

    def under(self, points: Tensor) -> Tensor:
        """The places in the glyph's square that are drawn at ``points`` (N, H, W, 2) of the paper, same shape.

        The inverse of :func:`hanmo.synth.strokes.motion.lay_out`, as pictures are sampled backwards.
        """
        hands = self.hands
        seen = points - 0.5
        cos, sin = hands.turn.cos()[:, None, None], hands.turn.sin()[:, None, None]
        width = hands.aspect.sqrt()[:, None, None]
        x = (seen[..., 0] * cos + seen[..., 1] * sin) / width
        y = (seen[..., 1] * cos - seen[..., 0] * sin) * width
        slant, rise = hands.shear[:, :, None, None].unbind(1)
        seen = torch.stack([x + slant * y, y + rise * x], 3) + 0.5
        amount = hands.warp[:, :, None, None]
        wave = (
            amount[:, 0] * (math.pi * seen).sin() / math.pi
            + amount[:, 1] * (2 * math.pi * seen).sin() / (2 * math.pi)
            + amount[:, 2] * (2 * math.pi * seen.flip(3)).sin() / (2 * math.pi)
        )
        pull = F.grid_sample(self.knots, points * 1.2 - 0.6, mode="bilinear", padding_mode="border", align_corners=True)
        return seen - wave + pull.permute(0, 2, 3, 1)


def _draw(glyph: Tensor, sheet: _Sheet, box: Tensor, side: int) -> Tensor:
    """Draw a square of the paper as (N, 1, side, side); ``box`` (N, 3) is its centre and half its side."""
    step = (torch.arange(side, device=box.device) + 0.5) * (2 / side) - 1
    points = torch.stack([step.expand(side, side), step[:, None].expand(side, side)], 2)
    points = box[:, None, None, :2] + points * box[:, None, None, 2:]
    return F.grid_sample(glyph, sheet.under(points) * 2 - 1, align_corners=False)


def _box(drawn: Tensor, box: Tensor, margin: float) -> Tensor:
    """The square (N, 3) around the ink ``drawn`` of the square ``box`` (N, 3), with a ``margin`` on each side."""
    side = drawn.shape[2]
    ink = drawn[:, 0] > _VISIBLE
    across, down = ink.any(1).to(torch.uint8), ink.any(2).to(torch.uint8)  # by column and by row
    ends = torch.stack([torch.stack([a.argmax(1), side - a.flip(1).argmax(1)], 1) for a in (across, down)], 1).float()
    middle = ends.mean(2) / side * 2 - 1
    half = (ends[:, :, 1] - ends[:, :, 0]).amax(1, keepdim=True) / side / (1 - 2 * margin)
    return torch.cat([box[:, :2] + middle * box[:, 2:], half * box[:, 2:]], 1)
