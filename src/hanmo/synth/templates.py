"""Templates: characters as print shows them, from the packaged strokes and from printed fonts of a bank.

They are what a matching net (:mod:`hanmo.nets.matching`) compares handwriting with. A *form* is one way to draw all
characters: the strokes, or one font.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hanmo.charset import Charset
from hanmo.errors import ConfigError
from hanmo.normalize import Normalization
from hanmo.synth.fonts.bank import GlyphBank
from hanmo.synth.noise import keys_of
from hanmo.synth.strokes.hand import StyleConfig
from hanmo.synth.strokes.writer import StrokeBank


class Templates(NamedTuple):
    """T templates of a charset."""

    squares: Tensor
    """uint8 (T, B, B), 0 = paper, 255 = ink, of :attr:`normalization`."""
    labels: Tensor
    """int64 (T,): the class of each."""
    forms: Tensor
    """int64 (T,): the form of each, from 0; 0 are the strokes."""
    normalization: Normalization


def draw_templates(
    strokes: StrokeBank, charset: Charset, bank: GlyphBank | None = None, names: Sequence[str] = ()
) -> Templates:
    """The plain strokes of a charset, and its glyphs in the fonts ``names`` of a bank, one form each.

    ``strokes`` are the strokes of this charset. Squares have the side of the bank, 64 without one. Characters that a
    font lacks have no template of this form. Raises :class:`ConfigError` naming fonts that the bank lacks.
    """
    side, margin = (bank.side, bank.margin) if bank else (64, 2)
    every = torch.arange(len(charset))
    plain = strokes.write(every, keys_of(torch.tensor(0), every), StyleConfig.neat(), side, margin).cpu()
    parts = [(plain, every)]
    known = [font.name for font in bank.fonts] if bank else []
    if strange := [name for name in names if name not in known]:
        raise ConfigError(f"{bank.path if bank else 'no bank'}: has no font {', '.join(strange)}; take one of {known}")
    parts += [_glyphs(bank, known.index(name), charset) for name in names if bank]
    forms = torch.cat([torch.full((len(labels),), number) for number, (_, labels) in enumerate(parts)])
    squares, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    return Templates(squares, labels, forms, Normalization(side=side, margin=margin))


def _glyphs(bank: GlyphBank, font: int, charset: Charset) -> tuple[Tensor, Tensor]:
    """The glyphs of one font of a bank for a charset, uint8 (T, B, B), and their classes (T,)."""
    held = [c for c in charset if c in bank.charset]
    place = torch.full((len(bank.charset),), -1)  # the class of each character of the bank, -1 for others
    place[torch.from_numpy(bank.charset.encode(held))] = torch.from_numpy(charset.encode(held))
    labels = place[torch.from_numpy(bank.label.copy())]
    rows = ((torch.from_numpy(bank.font.copy()) == font) & (labels >= 0)).nonzero()[:, 0]
    return torch.from_numpy(bank.pictures(rows.numpy())), labels[rows]
