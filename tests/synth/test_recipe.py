"""Recipes, and the samples and sheets drawn from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hanmo.charset import Charset
from hanmo.config import dump_toml, load_toml, to_table
from hanmo.errors import ConfigError
from hanmo.synth.paper.page import PageConfig
from hanmo.synth.recipe import SynthRecipe, characters_by_use
from hanmo.synth.samples import draw_pages, draw_samples

SMALL = SynthRecipe(characters="永人山", per_character=5, seed=2, side=48)


def test_the_demo_recipe_is_fifty_characters() -> None:
    recipe = load_toml("@synth-demo", SynthRecipe)
    charset = recipe.charset()
    assert len(charset) == 50
    assert all(c in charset for c in "永翰墨")
    assert len(recipe) == 50 * recipe.per_character


def test_characters_by_name_number_or_spelled_out() -> None:
    assert SynthRecipe(characters="level1").charset() == Charset.level1()
    assert str(SynthRecipe(characters=5).charset()) == "的一是不了"
    assert SMALL.charset().characters == ("永", "人", "山")
    assert sorted(characters_by_use()) == sorted(Charset.level1())


def test_samples_come_writer_by_writer_dark_on_white() -> None:
    samples = list(draw_samples(SMALL))
    assert [s.label for s in samples[:4]] == ["永", "人", "山", "永"]
    assert [s.writer for s in samples[::3]] == ["w0001", "w0002", "w0003", "w0004", "w0005"]
    assert all(s.image.shape == (48, 48) and s.image[0, 0] == 255 and s.image.min() < 80 for s in samples)


def test_more_writers_leave_the_first_ones_as_they_were() -> None:
    more = SynthRecipe(characters="永人山", per_character=9, seed=2, side=48)
    for few, many in zip(draw_samples(SMALL), draw_samples(more), strict=False):
        assert np.array_equal(few.image, many.image)


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


def test_a_recipe_without_pages_is_written_as_before_there_were_any() -> None:
    assert "page" not in dump_toml(SMALL)
    assert list(to_table(SMALL)) == [
        "characters",
        "per_character",
        "seed",
        "side",
        "style",
        "mix",
        "normalization",
    ]


def test_a_page_section_is_read_and_written(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('characters = "永人"\n[page]\ncell = 1\nmost = 3\n', encoding="utf-8")
    recipe = load_toml(tmp_path / "recipe.toml", SynthRecipe)
    assert recipe.page == PageConfig(cell=1.0, most=3)
    (tmp_path / "again.toml").write_text(dump_toml(recipe), encoding="utf-8")
    assert load_toml(tmp_path / "again.toml", SynthRecipe) == recipe


def test_pages_of_a_recipe_are_drawn_as_its_section_says() -> None:
    white = replace(SMALL, page=PageConfig.off())
    sheet = draw_pages(white, 4)
    assert sheet.shape == (3 * 48, 4 * 48)
    assert (sheet.min(), sheet.max()) == (0, 255)
    assert np.mean(sheet == 255) > 0.4
    usual = draw_pages(SMALL, 4)
    assert np.mean(usual == 255) < np.mean(sheet == 255)
    assert np.array_equal(usual, draw_pages(replace(SMALL, page=PageConfig()), 4))


def test_any_stretch_of_samples_is_as_in_the_whole() -> None:
    whole = list(draw_samples(SMALL))
    for start, stop in ((0, 4), (4, 8), (7, None)):
        for sample, same in zip(draw_samples(SMALL, start, stop), whole[start:stop], strict=True):
            assert np.array_equal(sample.image, same.image)
            assert (sample.label, sample.writer) == (same.label, same.writer)
