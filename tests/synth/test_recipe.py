"""Recipes and the packs made from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hanmo.charset import Charset
from hanmo.config import load_toml
from hanmo.errors import CharsetError, ConfigError
from hanmo.normalize import Normalization
from hanmo.synth.recipe import SynthRecipe, by_use, draw_samples, synthesize

SMALL = SynthRecipe(characters="永人山", per_character=5, seed=2, side=48)


def test_the_demo_recipe_is_fifty_characters() -> None:
    recipe = load_toml(Path(__file__).parents[2] / "recipes" / "synth-demo.toml", SynthRecipe)
    charset = recipe.charset()
    assert len(charset) == 50
    assert all(c in charset for c in "永翰墨")
    assert len(recipe) == 50 * recipe.per_character


def test_characters_by_name_number_or_spelled_out() -> None:
    assert SynthRecipe(characters="level1").charset() == Charset.level1()
    assert str(SynthRecipe(characters=5).charset()) == "的一是不了"
    assert SMALL.charset().characters == ("永", "人", "山")
    assert sorted(by_use()) == sorted(Charset.level1())


def test_samples_come_writer_by_writer_dark_on_white() -> None:
    samples = list(draw_samples(SMALL))
    assert [s.label for s in samples[:4]] == ["永", "人", "山", "永"]
    assert [s.writer for s in samples[::3]] == ["w0001", "w0002", "w0003", "w0004", "w0005"]
    assert all(s.image.shape == (48, 48) and s.image[0, 0] == 255 and s.image.min() < 80 for s in samples)


def test_more_writers_leave_the_first_ones_as_they_were() -> None:
    more = SynthRecipe(characters="永人山", per_character=9, seed=2, side=48)
    for few, many in zip(draw_samples(SMALL), draw_samples(more), strict=False):
        assert np.array_equal(few.image, many.image)


def test_a_pack_is_the_same_every_time(tmp_path: Path) -> None:
    told: list[int] = []
    one = synthesize(SMALL, tmp_path / "one", on_progress=told.append)
    two = synthesize(SMALL, tmp_path / "two")
    assert one.digest == two.digest
    assert told[-1] == len(one) == 15
    assert one.charset.characters == ("永", "人", "山")
    assert one.normalization == Normalization()
    assert one.labels.tolist() == [0, 1, 2] * 5
    assert [one.writer_of(i) for i in (0, 14)] == ["w0001", "w0005"]


def test_unknown_characters_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(CharsetError, match=r"2 character\(s\): A 龘;"):
        synthesize(SynthRecipe(characters="永龘A"), tmp_path / "pack")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('characters = "永"\nper_charater = 3', "unknown key 'per_charater'; did you mean 'per_character'"),
        ('characters = "永"\n[style]\nlink = 0.5', "unknown key 'style.link'; did you mean 'style.links'"),
        ('characters = "永"\n[style]\nlinks = 2', "style links = 2.0 is impossible"),
        ("characters = 0", "characters = 0 is impossible; 1 to 3,755"),
        ('characters = "永"\nper_character = 0', "per_character = 0 is impossible"),
        ("seed = 1", "'characters' is missing"),
    ],
)
def test_mistakes_in_a_recipe_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_toml(tmp_path / "recipe.toml", SynthRecipe)
