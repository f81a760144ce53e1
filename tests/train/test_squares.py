"""The same character on another number of pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from hanmo.charset import Charset
from hanmo.normalize import Normalization
from hanmo.synth.mix import Mix, MixConfig
from hanmo.synth.noise import keys_of
from hanmo.synth.strokes.hand import StyleConfig
from hanmo.train.squares import as_bytes, finer, refit

SMALL = Normalization(side=24)


def drawn_squares(side: int, margin: int, count: int = 12) -> Tensor:
    charset = Charset("永人山水")
    mix = Mix(MixConfig(), charset, StyleConfig(), "cpu")
    return mix.write(torch.arange(count) % 4, keys_of(torch.tensor(5), torch.arange(count)), side, margin)


def test_a_full_room_stays_a_full_room_whatever_the_pixels() -> None:
    for own, wanted in ((finer(SMALL), SMALL), (SMALL, finer(SMALL)), (Normalization(side=64), Normalization(side=48))):
        full = torch.zeros(1, own.side, own.side)
        full[:, own.margin : -own.margin, own.margin : -own.margin] = 1
        there = refit(full, own, wanted)[0]
        inside = there[wanted.margin : -wanted.margin, wanted.margin : -wanted.margin]
        assert there.shape == (wanted.side, wanted.side)
        assert inside.min() > 0.5
        assert inside[1:-1, 1:-1].min() > 0.999
        outside = there.clone()
        outside[wanted.margin - 1 : 1 - wanted.margin, wanted.margin - 1 : 1 - wanted.margin] = 0
        assert outside.max() < 1e-6


def test_a_refitted_drawing_is_the_same_drawn_smaller() -> None:
    square = Normalization(side=48)
    assert (finer(square).side, finer(square).margin) == (64, 3)
    large, small = (drawn_squares(n.side, n.margin) / 255 for n in (finer(square), square))
    made = refit(large, finer(square), square)
    moved = (made.roll(1, 2) - small).abs().mean()
    assert (made - small).abs().mean() < moved / 2
    assert torch.equal(as_bytes(refit(small, square, square)), as_bytes(small))
