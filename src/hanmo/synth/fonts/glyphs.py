"""Glyphs of a bank in a writer's hand: slant, proportions, uneven regions, an elastic sheet, a thicker or thinner pen.

A glyph keeps the shapes its designer gave it, which is what it is for: forms that no stroke table holds. Shapes: N
pictures, S the side drawn, B the bank's side.
"""

from __future__ import annotations

import math
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

_CHUNK, _CHUNK_ON_GPU = 64, 4096
_SHEET = 1.8  # side of the sheet a glyph is first drawn on, in sides of its square: no slant leads outside
_KNOTS = 5  # of the elastic sheet, along each side
_VISIBLE = 0.25  # ink that counts when the drawn glyph is fitted to its square, about as in normalising
_THINNER = 0.5  # pixels: what is left of hair lines must still be seen
_PEN = 0.8  # pixels, at a side of 64, by which pens of usual spread are thicker or thinner


class Glyphs:
    """The glyphs of some fonts of a bank for the characters of a charset, on a device.

    ``names`` are the fonts to use, none: all. Raises :class:`ConfigError` naming every font that the bank lacks,
    :class:`CharsetError` when it was made for other characters.
    """

    def __init__(
        self, bank: GlyphBank, charset: Charset, names: tuple[str, ...] = (), device: torch.device | str = "cpu"
    ) -> None:
        if lacking := [c for c in charset if c not in bank.charset]:
            raise CharsetError(
                f"{bank.path}: made for other characters, without {len(lacking)} of the recipe's: "
                f"{list_characters(lacking)}; make it again with these"
            )
        known = [font.name for font in bank.fonts]
        if strange := [name for name in names if name not in known]:
            raise ConfigError(f"{bank.path}: has no font {', '.join(strange)}; it has {', '.join(known)}")
        weight = torch.tensor([f.weight if not names or f.name in names else 0.0 for f in bank.fonts])
        font, label = torch.from_numpy(bank.font.copy()), torch.from_numpy(bank.label.copy())
        place = torch.full((len(bank.charset),), -1)
        place[torch.from_numpy(bank.charset.encode(charset.characters))] = torch.arange(len(charset))
        rows = ((place[label] >= 0) & (weight[font] > 0)).nonzero()[:, 0]
        rows = rows[place[label[rows]].argsort(stable=True)]
        self.side, self.digest = bank.side, bank.digest
        self.fonts = tuple(f for f in bank.fonts if f.weight and (not names or f.name in names))
        self.of_class = Ragged.of(torch.bincount(place[label[rows]], minlength=len(charset)).tolist(), device)
        self.packed = torch.from_numpy(bank.packed.copy())[rows].to(device)
        self.font = font[rows].to(device)
        self.weight = weight[font[rows]].to(device)

    def covers(self, classes: Tensor) -> Tensor:
        """Which of (N,) classes at least one font draws, bool (N,)."""
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
        glyph = self._unpacked(self._choose(classes, keys.habit))
        knots = normal(derive(keys.sample, -8), 2 * _KNOTS * _KNOTS).view(-1, 2, _KNOTS, _KNOTS)
        sheet = _Sheet(hands, knots * style.elastic * hands.slip[:, None, None, None])
        whole = glyph.new_tensor([[0.5, 0.5, _SHEET / 2]]).expand(len(glyph), 3)
        small = side // 2
        box = _box(_look(glyph, sheet, whole, small), whole, margin / side)
        drawn = _look(glyph, sheet, box, side)
        growth = ((hands.pen / style.pen).log() / 0.2 * _PEN * side / 64).clamp(-_THINNER, 1)
        drawn = thickened(drawn, growth[:, None, None, None])
        drawn[:, :, :margin], drawn[:, :, -margin:], drawn[..., :margin], drawn[..., -margin:] = 0, 0, 0, 0
        return ink_on_paper((drawn[:, 0] * 255 + 0.5).to(torch.uint8), keys, style)

    def _choose(self, classes: Tensor, habits: Tensor) -> Tensor:
        """A row for each class: of its fonts the one that this writer likes best (weighted, without replacement)."""
        row, owner = self.of_class.entries(classes)
        luck = uniform(derive(derive(habits, -9)[owner], self.font[row]), 1)[:, 0].clamp(min=1e-9)
        liking = luck.log() / self.weight[row]  # the largest of u ^ (1 / w) is drawn by weight
        best = liking.new_full((len(classes),), -math.inf).scatter_reduce_(0, owner, liking, "amax")
        first = self.of_class.size[classes].cumsum(0) - self.of_class.size[classes]
        nth = torch.arange(len(row), device=row.device)
        nth = nth.where(liking == best[owner], len(row))
        chosen = first.new_full((len(classes),), len(row)).scatter_reduce_(0, owner, nth, "amin")
        return row[chosen]

    def _unpacked(self, rows: Tensor) -> Tensor:
        """(N, 1, B, B) in [0, 1]."""
        bits = torch.tensor([6, 4, 2, 0], dtype=torch.uint8, device=rows.device)
        level = self.packed[rows][:, :, None].bitwise_right_shift(bits) & 3
        return level.view(-1, 1, self.side, self.side).float() / (LEVELS - 1)


class _Sheet(NamedTuple):
    """How N glyphs lie on the paper."""

    hands: Hands
    knots: Tensor
    """(N, 2, G, G): how far the sheet is pulled, x and y."""

    def under(self, points: Tensor) -> Tensor:
        """The place in its own square of what is drawn at ``points`` (N, H, W, 2): :func:`lay_out` backwards."""
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


def _look(glyph: Tensor, sheet: _Sheet, box: Tensor, side: int) -> Tensor:
    """What lies in a square of the paper, ``box`` (N, 3) its middle and half its side, as (N, 1, side, side)."""
    step = (torch.arange(side, device=box.device) + 0.5) * (2 / side) - 1
    points = torch.stack([step.expand(side, side), step[:, None].expand(side, side)], 2)
    points = box[:, None, None, :2] + points * box[:, None, None, 2:]
    return F.grid_sample(glyph, sheet.under(points) * 2 - 1, align_corners=False)


def _box(drawn: Tensor, box: Tensor, margin: float) -> Tensor:
    """The square of the paper that fits the ink seen in ``box`` (N, 3), ``margin`` its share of paper on each side."""
    side = drawn.shape[2]
    ink = drawn[:, 0] > _VISIBLE
    across, down = ink.any(1).to(torch.uint8), ink.any(2).to(torch.uint8)  # by column and by row
    ends = torch.stack([torch.stack([a.argmax(1), side - a.flip(1).argmax(1)], 1) for a in (across, down)], 1).float()
    middle = ends.mean(2) / side * 2 - 1
    half = (ends[:, :, 1] - ends[:, :, 0]).amax(1, keepdim=True) / side / (1 - 2 * margin)
    return torch.cat([box[:, :2] + middle * box[:, 2:], half * box[:, 2:]], 1)
