"""Recipes whose classes stand for several characters, and characters that only fonts can draw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hanmo.charset import Charset, groups_within
from hanmo.errors import ArgumentError, CharsetError
from hanmo.synth.fonts.bank import FontRecord, GlyphBank, pack_levels, write_bank
from hanmo.synth.fonts.join import join_banks
from hanmo.synth.mix import Mix, MixConfig
from hanmo.synth.noise import keys_of
from hanmo.synth.recipe import SynthRecipe
from hanmo.synth.strokes.hand import StyleConfig


def picture(kind: int) -> np.ndarray:
    """A square with a bar: upright for 0, level for 1, a cross for 2."""
    square = np.zeros((64, 64), np.uint8)
    if kind != 1:
        square[2:62, 28:36] = 255
    if kind != 0:
        square[28:36, 2:62] = 255
    return square


def write(path: Path, characters: str, kinds: list[int], name: str = "font", weight: float = 1.0) -> GlyphBank:
    record = FontRecord(
        name=name, licence="OFL-1.1", package="p", version="1", glyphs=len(kinds), variants=0,
        missing=len(characters) - len(kinds), weight=weight,
    )  # fmt: skip
    packed = pack_levels(np.stack([picture(kind) for kind in kinds]))
    return write_bank(path, Charset(characters), [record], [(np.arange(len(kinds)), packed)], side=64, margin=2)


def draw(mix: Mix, classes: list[int]) -> torch.Tensor:
    keys = keys_of(torch.tensor(1), torch.arange(len(classes)))
    return mix.write(torch.tensor(classes), keys, 64)


def test_a_recipe_may_merge_characters_that_look_the_same() -> None:
    recipe = SynthRecipe(characters="口0O囗o永", groups=True)
    assert str(recipe.charset()) == "口0永"
    assert recipe.members() == {"口": "口囗", "0": "0Oo"}
    assert SynthRecipe(characters="口0O囗o永").members() == {}
    assert len(SynthRecipe(characters="wide", groups=True).charset()) == 10_411


def test_members_of_a_group_that_has_one_of_them_are_left_out() -> None:
    assert groups_within(Charset("0永"), "0永") == {}
    assert groups_within(Charset("O永"), "0O永") == {"O": "O0"}, "the class's own character is first"


def test_characters_without_strokes_come_from_fonts(tmp_path: Path) -> None:
    write(tmp_path / "a.glyphs", "永Q", [2, 0])
    config = MixConfig(strokes=1.0, fonts=1e-9, bank=str(tmp_path / "a.glyphs"))
    mix = Mix(config, Charset("永Q"), StyleConfig.neat())
    yong, letter = draw(mix, [0, 1]).float()
    assert mix.stroke_class.tolist() == [0, -1]
    assert (letter - torch.from_numpy(picture(0)).float()).abs().mean() < 20
    assert (yong - torch.from_numpy(picture(2)).float()).abs().mean() > 20, "drawn from strokes"
    assert mix.write_neat(torch.tensor([1]), keys_of(torch.tensor(1), torch.tensor([0])), 64).sum() == 0


def test_a_class_is_drawn_as_all_its_members(tmp_path: Path) -> None:
    write(tmp_path / "a.glyphs", "Q永R", [0, 2, 1])
    config = MixConfig(strokes=1e-9, fonts=1.0, bank=str(tmp_path / "a.glyphs"))
    mix = Mix(config, Charset("永Q"), StyleConfig.neat(), members={"Q": "QR"})
    level = draw(mix, [1] * 40).float().mean(2).amax(1) > 200  # rows full of ink: the level bar of R
    assert 5 < int(level.sum()) < 35
    assert torch.equal(draw(mix, [1] * 40), draw(mix, [1] * 40))


def test_what_nothing_can_draw_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.glyphs", "永Q", [2])
    with pytest.raises(CharsetError, match=r"no strokes are packaged for 1 character.*Q; and no font of the bank"):
        Mix(MixConfig(fonts=1, bank=str(tmp_path / "a.glyphs")), Charset("永Q"), StyleConfig())
    with pytest.raises(CharsetError, match=r"no strokes are packaged for 1 character.*Q; add fonts"):
        Mix(MixConfig(), Charset("永Q"), StyleConfig())


def test_two_banks_become_one(tmp_path: Path) -> None:
    first = write(tmp_path / "a.glyphs", "永人", [2, 0])
    second = write(tmp_path / "b.glyphs", "Q山", [1, 0])
    other = write(tmp_path / "c.glyphs", "R", [1], name="hand", weight=0.5)
    both = join_banks(first, second, tmp_path / "both.glyphs")
    assert str(both.charset) == "永人Q山"
    assert [(f.name, f.glyphs, f.missing) for f in both.fonts] == [("font", 4, 0)]
    assert np.array_equal(both.pictures(slice(None)), np.stack([picture(kind) for kind in (2, 0, 1, 0)]))
    three = join_banks(both, other, tmp_path / "three.glyphs")
    assert [(f.name, f.glyphs, f.missing, f.weight) for f in three.fonts] == [("font", 4, 1, 1.0), ("hand", 1, 4, 0.5)]
    assert three.label.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ArgumentError, match="has the same glyphs of font: 永 人; leave them out of one"):
        join_banks(first, both, tmp_path / "twice.glyphs")
