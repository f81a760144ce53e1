"""Paper divided out and ink found, on drawn pictures with known light, noise and contrast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawn_page import SIDE, Floats, grey, page
from hanmo import background, filters, paper
from hanmo.errors import BlankImageError, FaintInkError
from hanmo.noise import noise_of
from hanmo.normalize import VERSION, Normalization, Version

SQUARE = Normalization(side=48)
every_character = pytest.mark.parametrize("character", "永切国小心州")


def apart(levels: Floats, character: str, version: Version = VERSION) -> float:
    """The ink that differs from the square of the clean page by a version, as a share of its ink.

    Version 2 takes the soft edges of strokes on clean pages for paper, as all versions do on other pages.
    """
    clean = replace(SQUARE, version=version)(grey(page(character))).astype(int)
    return float(np.abs(SQUARE(grey(levels)).astype(int) - clean).sum() / clean.sum())


@every_character
def test_uneven_light_is_divided_out(character: str) -> None:
    light = np.linspace(0.55, 1, SIDE)
    for lamp in (light[None], light[:, None], (light[None] + light[:, None]) / 2):
        assert apart(page(character) * lamp, character, version=2) < 0.02


@every_character
def test_a_hard_shadow_is_divided_out(character: str) -> None:
    lit = np.where(np.arange(SIDE) < SIDE // 2, 0.6, 1.0)
    assert apart(page(character) * lit, character, version=2) < 0.1


def test_even_paper_is_left_alone() -> None:
    picture = grey(page("永"))
    np.testing.assert_array_equal(background.flatten(picture), picture)
    np.testing.assert_array_equal(paper.without_impulses(picture), picture)
    assert noise_of(picture) == 0
    _, clean = paper.ink_of(picture)
    assert clean


@pytest.mark.parametrize("shape", [(1, 2), (1, 3), (3, 1)])
def test_even_the_smallest_pictures_have_noise(shape: tuple[int, int]) -> None:
    assert noise_of(np.resize(np.array([255, 0, 250], np.uint8), shape)) > 20_000


def test_divided_paper_has_one_level() -> None:
    empty = np.repeat(np.linspace(190, 240, SIDE)[None], SIDE, 0)
    flat = background.flatten(grey(empty)).astype(int)
    assert np.abs(flat - background.PAPER).max() <= 12


@every_character
def test_noise_is_smoothed_away(character: str) -> None:
    rng = np.random.default_rng(1)
    for deviation, most in ((4, 0.1), (12, 0.15), (25, 0.3)):
        assert apart(page(character) + rng.normal(0, deviation, (SIDE, SIDE)), character) < most


@pytest.mark.parametrize("deviation", [4, 12, 30])
def test_noise_is_measured(deviation: int) -> None:
    noise = np.random.default_rng(2).normal(0, deviation, (SIDE, SIDE))
    measured = noise_of(grey(128 + noise)) / 64
    assert measured == pytest.approx(deviation, rel=0.15)
    on_a_character = noise_of(grey(np.clip(page("小", 200, 60) + noise, 0, 255))) / 64
    assert on_a_character == pytest.approx(deviation, rel=0.35)


@every_character
def test_salt_and_pepper_is_taken_off(character: str) -> None:
    levels = page(character)
    chance = np.random.default_rng(1).random(levels.shape)
    levels[chance < 0.01] = 0
    levels[chance > 0.99] = 255
    # A grain that touches a stroke stays with it.
    assert apart(levels, character) < 0.3
    quiet = paper.without_impulses(grey(levels)).astype(int)
    assert (np.abs(quiet - page(character)) > 60).sum() < 0.3 * (np.abs(levels - page(character)) > 60).sum()


@every_character
def test_dense_salt_and_pepper_is_taken_off(character: str) -> None:
    levels = page(character)
    chance = np.random.default_rng(1).random(levels.shape)
    levels[chance < 0.09] = 0
    levels[chance > 0.91] = 255
    blank = page(character) == 235  # thin strokes suffer
    quiet = paper.without_impulses(grey(levels)).astype(int)
    assert (np.abs(quiet - 235)[blank] > 60).mean() < 0.02


@every_character
def test_low_contrast(character: str) -> None:
    assert apart(page(character, 200, 170), character) < 0.03


@every_character
def test_a_veil_below_the_dead_zone_vanishes(character: str) -> None:
    levels = page(character)
    stripes = np.indices(levels.shape).sum(0) % 7 < 3
    veil = (235 - 30) * paper.DEAD_ZONE / 1000 - 2
    veiled = SQUARE(grey(np.where(stripes & (levels > 234), levels - veil, levels)))
    # Version 2 counts all faint pixels as paper, so it leaves out the soft edges too that a veil makes uncertain.
    np.testing.assert_array_equal(veiled, replace(SQUARE, version=2)(grey(levels)))


@every_character
def test_soft_edges_of_clean_pictures_are_ink(character: str) -> None:
    picture = grey(page(character))
    ink, noiseless = paper.ink_of(picture)
    assert noiseless
    np.testing.assert_array_equal(ink > 0, picture < 235)
    without, _ = paper.ink_of(picture, keep_faint=False)
    assert np.count_nonzero(without) < np.count_nonzero(ink)
    assert (without <= ink).all()


def test_the_dead_zone() -> None:
    ink = paper.ink_levels(220, 20, 150)
    assert (ink[190:] == 0).all()
    assert 0 < ink[180] < 20
    assert (ink[:21] == 255).all()
    assert (np.diff(ink.astype(int)) <= 0).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_one_level_is_blank(level: int) -> None:
    with pytest.raises(BlankImageError, match="the picture is blank"):
        SQUARE(np.full((SIDE, SIDE), level, np.uint8))


def test_an_empty_sheet_in_uneven_light_is_blank() -> None:
    sheet = np.repeat(np.linspace(190, 240, SIDE)[None], SIDE, 0)
    with pytest.raises(BlankImageError):
        SQUARE(grey(sheet))


@pytest.mark.parametrize("deviation", [6, 15, 40])
@pytest.mark.parametrize("side", [48, 96, 300])
def test_pure_noise_is_no_character(deviation: int, side: int) -> None:
    noise = np.random.default_rng(deviation).normal(128, deviation, (side, side))
    with pytest.raises(BlankImageError):
        SQUARE(grey(noise))


@pytest.mark.parametrize("shape", [(70, 64), (96, 17), (40, 2), (3, 90), (61, 61)])
def test_white_paper_is_even(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(shape[1])
    tile = background.tile_of(max(shape))
    found = []
    for share in np.linspace(0, 1, 40):
        dark = rng.random([-(-length // tile) for length in shape]) < share  # whole tiles, some of them dark
        picture = np.where(dark.repeat(tile, 0).repeat(tile, 1), 30, rng.integers(236, 256))[: shape[0], : shape[1]]
        means = np.where(dark, 30, picture.max())
        bright = filters.maximum_filter(means.astype(np.uint8), background.CLOSING)
        found.append(background._is_white(picture.astype(np.uint8), tile))
        if found[-1]:
            assert bright.min() > means.max() - background.UNEVEN
    assert any(found)
    assert not all(found)


def test_ink_that_drowns_in_noise_says_so() -> None:
    noise = np.random.default_rng(1).normal(0, 40, (SIDE, SIDE))
    with pytest.raises(FaintInkError, match="drowns in noise; take a sharper one"):
        SQUARE(grey(page("永", 140, 128) + noise))


def test_whole_numbers_that_other_code_repeats() -> None:
    """The torch and the JavaScript twin repeat these; by hand, so that all three can be looked up."""
    rows = background.between_tiles(10, 2, 5)
    assert (rows.sum(1) == 64).all()
    assert rows[0].tolist() == [64, 0, 0, 0, 0]
    upto = paper.histogram(np.repeat(np.array([50, 200], np.uint8), (30, 70)).reshape(10, 10))
    assert upto[[49, 50, 199, 200, 255]].tolist() == [0, 30, 30, 100, 100]
    assert paper.otsu(upto) == 125
    assert paper.quantile(upto, 125, 256, 500) == 200
    assert paper.quantile(upto, 0, 125, 100) == 50
    assert paper.quantile(upto, 60, 100, 100) == 60
    assert paper.quantile(upto, 201, 256, 500) == 201
