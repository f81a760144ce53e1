"""Templates: plain strokes and glyphs of printed fonts, each with its class and form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hanmo.charset import Charset
from hanmo.errors import ConfigError
from hanmo.synth.fonts.bank import FontRecord, GlyphBank, pack_levels, write_bank
from hanmo.synth.strokes.writer import StrokeBank
from hanmo.synth.templates import draw_templates

CHARSET = Charset("一丁七")


def record(name: str, glyphs: int) -> FontRecord:
    return FontRecord(
        name=name, licence="OFL-1.1", package="test", version="1", glyphs=glyphs, variants=0, missing=3 - glyphs
    )


@pytest.fixture
def bank(tmp_path: Path) -> GlyphBank:
    """Two fonts for 七一丁, whose glyphs are squares of one grey level; the second lacks 一."""
    levels = np.stack([np.full((64, 64), 85 * k, np.uint8) for k in (1, 2, 3)])
    glyphs = [(np.arange(3), pack_levels(levels)), (np.array([0, 2]), pack_levels(levels[:2]))]
    fonts = [record("kai", 3), record("song", 2)]
    return write_bank(tmp_path / "bank.glyphs", Charset("七一丁"), fonts, glyphs, side=64, margin=2)


def test_strokes_are_the_only_form_without_a_bank() -> None:
    templates = draw_templates(StrokeBank(CHARSET), CHARSET)
    assert templates.squares.shape == (3, 64, 64)
    assert templates.labels.tolist() == [0, 1, 2]
    assert templates.forms.tolist() == [0, 0, 0]
    assert (templates.squares.amax((1, 2)) == 255).all()
    again = draw_templates(StrokeBank(CHARSET), CHARSET)
    assert torch.equal(templates.squares, again.squares)


def test_a_font_gives_the_characters_it_has_in_the_order_of_the_charset(bank: GlyphBank) -> None:
    templates = draw_templates(StrokeBank(CHARSET), CHARSET, bank, ("song", "kai"))
    of_song, of_kai = templates.forms == 1, templates.forms == 2
    grey = {form: dict(zip(templates.labels[rows].tolist(), templates.squares[rows, 0, 0].tolist(), strict=True))
            for form, rows in (("song", of_song), ("kai", of_kai))}  # fmt: skip
    assert grey["song"] == {2: 85, 1: 170}
    assert grey["kai"] == {2: 85, 0: 170, 1: 255}


def test_characters_beyond_the_bank_have_strokes_alone(bank: GlyphBank) -> None:
    charset = Charset("一三")
    templates = draw_templates(StrokeBank(charset), charset, bank, ("kai",))
    assert templates.labels.tolist() == [0, 1, 0]


def test_a_font_that_the_bank_lacks_is_named(bank: GlyphBank) -> None:
    with pytest.raises(ConfigError, match="has no font ming"):
        draw_templates(StrokeBank(CHARSET), CHARSET, bank, ("kai", "ming"))
