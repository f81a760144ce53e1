"""Glyphs of fonts in a writer's hand, and their mixture with strokes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hanmo.charset import Charset
from hanmo.errors import CharsetError, ConfigError, FontError
from hanmo.synth.fonts.bank import FontRecord, GlyphBank, pack_levels, write_bank
from hanmo.synth.fonts.glyphs import Glyphs
from hanmo.synth.fonts.variants import draw_medians
from hanmo.synth.mix import Mix, MixConfig
from hanmo.synth.noise import keys_of
from hanmo.synth.strokes.hand import StyleConfig

CHARACTERS = "永宪容客中国"
MakeBank = Callable[..., Path]


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """Two fonts: ``all`` draws every character, ``few`` the first three, upside down so that they can be told apart."""
    squares = np.stack([square for _, square in draw_medians(CHARACTERS, 64)])
    fonts = [
        FontRecord(name=name, licence="OFL-1.1", package="p", version="1", glyphs=count, variants=0, missing=6 - count)
        for name, count in (("all", 6), ("few", 3))
    ]
    glyphs = [(np.arange(6), pack_levels(squares)), (np.arange(3), pack_levels(squares[:3, ::-1]))]
    write_bank(tmp_path / "fonts.glyphs", Charset(CHARACTERS), fonts, glyphs, side=64, margin=2)
    return tmp_path / "fonts.glyphs"


def drawn(
    glyphs: Glyphs, classes: list[int], style: StyleConfig | None = None, *, seed: int = 1, chunk: int | None = None
) -> torch.Tensor:
    keys = keys_of(torch.tensor(seed), torch.arange(len(classes)))
    return glyphs.write(torch.tensor(classes), keys, style or StyleConfig(), 64, chunk=chunk)


def test_a_neat_hand_gives_the_glyph_as_it_is(bank: Path) -> None:
    opened = GlyphBank.open(bank)
    glyphs = Glyphs(opened, opened.charset, ("all",))
    pictures = drawn(glyphs, list(range(6)), StyleConfig.neat()).float()
    printed = torch.from_numpy(opened.pictures(np.arange(6))).float()
    assert (pictures - printed).abs().mean() < 18  # of 255: it is sampled twice


def test_same_keys_same_pictures_for_any_chunk(bank: Path) -> None:
    opened = GlyphBank.open(bank)
    glyphs, classes = Glyphs(opened, opened.charset), [0, 1, 2, 3, 4, 5] * 4
    first = drawn(glyphs, classes)
    assert torch.equal(first, drawn(glyphs, classes, chunk=5))
    assert not torch.equal(first, drawn(glyphs, classes, seed=2))
    assert len(first.unique(dim=0)) == 24


def test_ink_fills_the_square_within_its_margin(bank: Path) -> None:
    opened = GlyphBank.open(bank)
    pictures = drawn(Glyphs(opened, opened.charset), [0, 1, 2, 3, 4, 5] * 10)
    extent = torch.maximum((pictures > 60).any(1).sum(1), (pictures > 60).any(2).sum(1))
    assert extent.min() >= 48
    assert extent.float().mean() > 57
    assert extent.max() <= 63


def test_a_writer_keeps_to_one_font_and_fonts_are_drawn_by_weight(bank: Path) -> None:
    opened = GlyphBank.open(bank)
    glyphs = Glyphs(opened, opened.charset)
    classes, writers = torch.arange(3).repeat(400), torch.arange(400).repeat_interleave(3)
    rows = glyphs._choose(classes, keys_of(torch.tensor(5), torch.arange(1200), writers))
    fonts = glyphs.font[rows].view(400, 3)
    assert (fonts == fonts[:, :1]).all()
    assert 0.4 < float(fonts[:, 0].float().mean()) < 0.6
    glyphs.weight = torch.where(glyphs.font == 1, 4.0, 1.0)
    rows = glyphs._choose(classes, keys_of(torch.tensor(5), torch.arange(1200), writers))
    assert 0.74 < float(glyphs.font[rows].float().mean()) < 0.86


def test_a_font_that_is_not_named_weighs_nothing(bank: Path) -> None:
    opened = GlyphBank.open(bank)
    opened = replace(opened, fonts=(opened.fonts[0], replace(opened.fonts[1], weight=2.5)))
    assert opened.weights().tolist() == [1.0, 2.5]
    assert opened.weights(("few",)).tolist() == [0.0, 2.5]


def test_what_no_font_draws_comes_from_strokes(bank: Path) -> None:
    config = MixConfig(strokes=0, fonts=1, bank=str(bank), names=("few",))
    mix = Mix(config, Charset(CHARACTERS), StyleConfig())
    classes = torch.arange(6)
    keys = keys_of(torch.tensor(3), classes)
    pictures = mix.write(classes, keys, 64)
    assert torch.equal(pictures[3:], mix.strokes.write(classes, keys, StyleConfig(), 64)[3:])
    assert mix.glyphs is not None
    assert torch.equal(pictures[:3], mix.glyphs.write(classes[:3], type(keys)(*(k[:3] for k in keys)), mix.style, 64))


def test_sources_name_licences(bank: Path) -> None:
    mix = Mix(MixConfig(fonts=0.5, bank=str(bank), names=("all",)), Charset("永客"), StyleConfig())
    assert mix.sources == (
        "drawn strokes: hanzi-writer-data 2.0.1 (Arphic-1999)",
        "drawn glyphs: all, p 1 (OFL-1.1)",
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"strokes": 0.0}, "strokes and fonts are both 0, so nothing would be drawn"),
        ({"fonts": 0.5}, "fonts have a weight but no bank"),
        ({"strokes": -1.0}, "strokes = -1.0 is impossible"),
    ],
)
def test_impossible_mixtures(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MixConfig(**wrong)


def test_missing_fonts_and_characters_are_all_named(bank: Path, tmp_path: Path) -> None:
    opened = GlyphBank.open(bank)
    with pytest.raises(ConfigError, match="has no font brush, pencil; it has all, few"):
        Glyphs(opened, opened.charset, ("brush", "few", "pencil"))
    with pytest.raises(CharsetError, match="made for other characters, without 2 of the recipe's: 人 山"):
        Glyphs(opened, Charset("永人山"))
    with pytest.raises(FontError, match="no bank of glyphs"):
        Mix(MixConfig(fonts=1, bank=str(tmp_path / "none.glyphs")), Charset("永"), StyleConfig())
