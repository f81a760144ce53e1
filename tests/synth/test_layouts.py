"""Printed strokes find their place in pictures, and hands lay characters out as those do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from hanmo.charset import Charset
from hanmo.errors import ConfigError, FontError
from hanmo.medians import even_out, load_medians
from hanmo.synth.fonts.bank import FontRecord, GlyphBank, pack_levels, write_bank
from hanmo.synth.fonts.layouts import STEPS, fit_layouts, read_layouts
from hanmo.synth.fonts.registration import fit_strokes
from hanmo.synth.mix import Mix, MixConfig
from hanmo.synth.noise import keys_of
from hanmo.synth.strokes.hand import StyleConfig
from hanmo.synth.strokes.layouts import displaced
from hanmo.synth.strokes.structure import shape_of
from hanmo.synth.strokes.writer import StrokeBank

SIDE = 64


def strokes_of(character: str) -> tuple[Tensor, Tensor]:
    points = even_out(list(load_medians().of(character)), 16)
    return torch.from_numpy(points), torch.from_numpy(shape_of(points).along)


def inked(strokes: Tensor) -> np.ndarray:
    """Strokes (T, P, 2) drawn with a pen of three pixels, fitted to the square, uint8."""
    low, high = strokes.amin((0, 1)), strokes.amax((0, 1))
    fitted = (strokes - (low + high) / 2) / (high - low).max() * 58 + SIDE / 2
    picture = Image.new("L", (SIDE, SIDE))
    for stroke in fitted:
        ImageDraw.Draw(picture).line([(float(x), float(y)) for x, y in stroke], fill=255, width=3)
    return np.array(picture)


def test_displaced_strokes_are_found() -> None:
    points, along = strokes_of("言")
    moved = torch.zeros(len(points), 6)
    moved[3, :2] = torch.tensor([0.05, -0.03])  # one bar lies elsewhere
    moved[2, 2] = -0.3  # another is shorter
    owner = torch.zeros(len(points), dtype=torch.int64)
    found, as_printed = (
        fit_strokes(points, along, owner, torch.from_numpy(inked(strokes)).float()[None] / 255)
        for strokes in (displaced(points, along, moved), points)
    )
    assert float(found.error) < 0.03
    change = (found.moved - as_printed.moved).detach()
    assert change[3, 0] - change[[0, 4], 0].mean() == pytest.approx(0.05, abs=0.025)
    assert change[2, 2] < -0.12  # what is short is pulled back: the ink beyond it is near, too
    assert change[2, 2] == change[:, 2].min()


def test_pictures_do_not_disturb_each_other() -> None:
    one, two = strokes_of("十"), strokes_of("永")
    pictures = torch.from_numpy(np.stack([inked(one[0]), inked(two[0])])).float() / 255
    owner = torch.tensor([0] * len(one[0]) + [1] * len(two[0]))
    both = fit_strokes(torch.cat([one[0], two[0]]), torch.cat([one[1], two[1]]), owner, pictures)
    alone = fit_strokes(*one, torch.zeros(len(one[0]), dtype=torch.int64), pictures[:1])
    assert torch.allclose(both.moved[: len(one[0])], alone.moved, atol=1e-3)


@pytest.fixture
def bank(tmp_path: Path) -> GlyphBank:
    """Two fonts for 三 and 口, in one of which the middle bar of 三 lies far to the right."""
    charset = Charset("三口")
    pictures = []
    for shift in (0.0, 0.12):
        (three, along), (mouth, _) = strokes_of("三"), strokes_of("口")
        moved = torch.zeros(3, 6)
        moved[1, 0] = shift
        pictures.append(np.stack([inked(displaced(three, along, moved)), inked(mouth)]))
    labels = np.arange(2)
    fits = fit_layouts(charset, np.tile(labels, 2), np.concatenate(pictures) // 85, lambda done: None)
    fonts = [
        FontRecord(name=name, licence="OFL-1.1", package="x", version="1", glyphs=2, variants=0, missing=0)
        for name in ("printed", "shifted")
    ]
    glyphs = [(labels, pack_levels(page)) for page in pictures]
    return write_bank(tmp_path / "a.glyphs", charset, fonts, glyphs, side=SIDE, margin=2, layouts=fits)


def test_a_bank_keeps_its_layouts(bank: GlyphBank) -> None:
    assert bank.layouts is not None
    assert bank.layouts.strokes.tolist() == [3, 3, 3, 3]
    assert (bank.layouts.error < 40).all()
    moved = bank.layouts.moved * STEPS
    assert moved[7, 0] - moved[[6, 8], 0].mean() > 0.04 + moved[1, 0] - moved[[0, 2], 0].mean()


def test_damaged_layouts_are_noticed(bank: GlyphBank) -> None:
    data = bank.path.read_bytes()
    bank.path.write_bytes(data[:-8] + bytes(255 - byte for byte in data[-8:]))
    with pytest.raises(FontError, match="damaged"):
        GlyphBank.open(bank.path)


def test_hands_lay_out_between_fonts(bank: GlyphBank) -> None:
    charset = Charset("口三永")
    layouts = read_layouts(bank, charset)
    assert layouts is not None
    classes = torch.tensor([1] * 200 + [2])
    habits = keys_of(torch.tensor(0), torch.arange(201)).habit
    blend = layouts.choose(classes, habits, 1.0)
    bar = blend.of(torch.arange(201), torch.full((201,), 1))[:, 0]
    whole = (bank.layouts.moved * STEPS)[7, 0] if bank.layouts else 0
    assert bar[200] == 0  # no font has 永, so it stands as printed
    assert 0.2 * whole < float(bar[:200].mean()) < 0.8 * whole
    assert float(bar[:200].std()) > 0.15 * whole
    assert not layouts.choose(classes, habits, 0.0).of(torch.arange(201), torch.ones(201, dtype=torch.int64)).any()


def test_only_named_fonts_are_followed(bank: GlyphBank) -> None:
    layouts = read_layouts(bank, Charset("三"), ("printed",))
    assert layouts is not None
    assert layouts.of_class.size.tolist() == [1]


def test_contacts_do_not_lead_strokes_back_to_the_print(bank: GlyphBank) -> None:
    """三 with its middle bar far to the right stays so, although its bars are near each other."""
    charset, classes = Charset("三"), torch.zeros(60, dtype=torch.int64)
    keys = keys_of(torch.tensor(2), torch.arange(60))
    style = replace(StyleConfig.neat(), pen=0.026, layouts=1.0)

    def middle(names: tuple[str, ...], contacts: float) -> float:
        mix = Mix(MixConfig(bank=str(bank.path), names=names), charset, replace(style, contacts=contacts))
        ink = mix.write(classes, keys, 64)[:, 24:40].float().sum((0, 1))
        return float((ink * torch.arange(64)).sum() / ink.sum())

    moved = middle(("shifted",), 0.0) - middle(("printed",), 0.0)
    assert moved > 1
    assert middle(("shifted",), 0.9) - middle(("printed",), 0.9) > 0.8 * moved


def test_characters_that_no_font_has_stand_as_printed(bank: GlyphBank) -> None:
    charset, classes = Charset("永"), torch.zeros(3, dtype=torch.int64)
    keys = keys_of(torch.tensor(0), torch.arange(3))
    layouts = read_layouts(bank, charset)
    strokes, style = StrokeBank(charset), StyleConfig(layouts=1.0)
    assert torch.equal(
        strokes.write(classes, keys, style, 48, layouts=layouts), strokes.write(classes, keys, style, 48)
    )


def test_layouts_of_other_strokes_are_refused(bank: GlyphBank) -> None:
    assert bank.layouts is not None
    strokes = bank.layouts.strokes.copy()
    strokes[0] = 4
    with pytest.raises(FontError, match="other strokes than this hanmo's"):
        read_layouts(replace(bank, layouts=bank.layouts._replace(strokes=strokes)), Charset("三"))


def test_layouts_need_a_bank_that_has_them(bank: GlyphBank, tmp_path: Path) -> None:
    style = StyleConfig(layouts=1.0)
    with pytest.raises(ConfigError, match="but no bank is named that has any; name a bank"):
        Mix(MixConfig(), bank.charset, style)
    glyphs = [(bank.label[bank.font == i], bank.packed[bank.font == i]) for i in range(2)]
    bare = write_bank(tmp_path / "bare.glyphs", bank.charset, bank.fonts, glyphs, side=SIDE, margin=2)
    with pytest.raises(ConfigError, match=r"bare\.glyphs has none"):
        Mix(MixConfig(bank=str(bare.path)), bank.charset, style)


def test_layouts_change_what_is_drawn_from_strokes(bank: GlyphBank) -> None:
    charset = Charset("三口")
    keys = keys_of(torch.tensor(1), torch.arange(4))
    classes = torch.tensor([0, 1, 0, 1])

    def drawn(amount: float) -> Tensor:
        mix = Mix(MixConfig(bank=str(bank.path)), charset, StyleConfig(layouts=amount))
        return mix.write(classes, keys, 64)

    assert torch.equal(drawn(0.0), drawn(0.0))
    assert not torch.equal(drawn(0.0), drawn(1.0))
