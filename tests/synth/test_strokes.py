"""Hands, trajectories and pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from hanmo.charset import Charset
from hanmo.errors import CharsetError, ConfigError
from hanmo.synth.noise import derive, keys_of, normal, uniform
from hanmo.synth.strokes.hand import StyleConfig, draw_hands, take_rulers
from hanmo.synth.strokes.motion import make_level
from hanmo.synth.strokes.render import Segments, render
from hanmo.synth.strokes.writer import StrokeBank


@pytest.fixture(scope="module")
def bank() -> StrokeBank:
    return StrokeBank(Charset("永人翰一"))


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def classes(count: int) -> Tensor:
    return torch.arange(count) % 4


def test_same_seed_same_pictures_and_another_seed_others(bank: StrokeBank) -> None:
    first, again, other = (bank.draw(classes(20), seeded(s)) for s in (3, 3, 4))
    assert first.shape == (20, 64, 64)
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunks_leave_no_trace(bank: StrokeBank, chunk: int) -> None:
    assert torch.equal(bank.draw(classes(50), seeded(), chunk=chunk), bank.draw(classes(50), seeded()))


def test_a_picture_does_not_depend_on_those_after_it(bank: StrokeBank) -> None:
    assert torch.equal(bank.draw(classes(9), seeded()), bank.draw(classes(30), seeded())[:9])


def test_pictures_are_the_same_on_any_number_of_threads(bank: StrokeBank) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = bank.draw(classes(40), seeded())
        torch.set_num_threads(2)
        assert torch.equal(alone, bank.draw(classes(40), seeded()))
    finally:
        torch.set_num_threads(threads)


def test_level_1_drawn_neatly_is_inked_and_all_different() -> None:
    level1 = StrokeBank(Charset.level1())
    pictures = level1.draw(torch.arange(3755), seeded(), StyleConfig.neat()).flatten(1)
    assert (pictures.amax(1) > 200).all()
    assert (pictures > 127).sum(1).min() > 30
    assert len(pictures.unique(dim=0)) == 3755


def test_ink_fills_the_square_up_to_the_margin(bank: StrokeBank) -> None:
    pictures = bank.draw(classes(40), seeded(), side=64, margin=5)
    frame = torch.ones(64, 64, dtype=torch.bool)
    frame[3:-3, 3:-3] = False  # soft focus spreads the ink by two pixels
    assert pictures[:, frame].max() < 10
    inked = pictures > 40
    height, width = inked.any(2).sum(1), inked.any(1).sum(1)
    longest = torch.maximum(height, width)  # a faint link may stick out of what counts as ink here
    assert longest.min() >= 44
    assert longest.float().mean() > 52


def test_one_writer_is_more_alike_than_two(bank: StrokeBank) -> None:
    # The pen's width is a habit: the ink of one writer's samples varies less than that of many writers.
    same = bank.draw(torch.zeros(60, dtype=torch.int64), seeded(), writers=torch.zeros(60, dtype=torch.int64))
    many = bank.draw(torch.zeros(60, dtype=torch.int64), seeded())
    assert same.sum((1, 2)).float().std() < 0.75 * many.sum((1, 2)).float().std()
    assert len(same.unique(dim=0)) == 60


def test_neat_writers_all_write_alike(bank: StrokeBank) -> None:
    pictures = bank.draw(torch.zeros(3, dtype=torch.int64), seeded(), StyleConfig.neat())
    assert torch.equal(pictures[0], pictures[1])


def test_links_add_ink() -> None:
    bank, zeros = StrokeBank(Charset("翰")), torch.zeros(30, dtype=torch.int64)
    apart, joined = (
        bank.draw(zeros, seeded(), replace(StyleConfig.neat(), haste=0.8, links=p)).float().sum((1, 2))
        for p in (0.0, 1.0)
    )
    assert (joined >= apart).all()
    assert joined.mean() > 1.03 * apart.mean()


def test_short_strokes_become_one_with_their_neighbours() -> None:
    bank, zeros = StrokeBank(Charset("心")), torch.zeros(40, dtype=torch.int64)
    hasty = replace(StyleConfig.neat(), haste=1.0)
    apart, merged = (bank.draw(zeros, seeded(), replace(hasty, merge=m)) for m in (0.0, 1.0))
    changed = (apart != merged).flatten(1).any(1)
    assert 10 < int(changed.sum()) < 40  # some writers do, some do not
    assert merged[changed].float().mean() > apart[changed].float().mean()


def test_a_ruler_makes_straight_level_lines_of_even_width() -> None:
    keys = keys_of(torch.tensor(5), torch.arange(400))
    still = replace(StyleConfig.neat(), haste=1.0, slant=0.1, lift=0.1, taper=0.3, pen=0.026)
    hands = take_rulers(draw_hands(keys, still), keys.sample, torch.full((400,), 0.5))
    ruled = hands.straight == 1
    assert 150 < int(ruled.sum()) < 250
    assert not hands.taper[ruled].any()
    assert hands.taper[~ruled].all()
    assert 0.7 < float(hands.level[ruled].mean()) < 0.9, "some lines stay oblique"
    assert not hands.level[~ruled].any()

    bank, many = StrokeBank(Charset("一")), torch.zeros(400, dtype=torch.int64)
    pictures = bank.draw(many, seeded(), replace(still, ruled=1.0)) > 127
    height = pictures.any(2).sum(1)
    assert 40 < int((height <= height.min() + 1).sum()) < 200, "three in ten have a ruler, of these most are level"


def test_few_strokes_are_ruled_more_often() -> None:
    def ruled(character: str) -> int:
        bank, many = StrokeBank(Charset(character)), torch.zeros(200, dtype=torch.int64)
        usual, some = (bank.draw(many, seeded(), StyleConfig(ruled=r)) for r in (0.0, 0.06))
        return int((usual != some).flatten(1).any(1).sum())

    assert ruled("十") > 2 * ruled("翰") > 0


def test_only_nearly_level_and_upright_strokes_become_so() -> None:
    strokes = torch.tensor([[[0.0, 0.0], [1.0, 0.1]], [[0.0, 0.0], [0.1, 1.0]], [[0.0, 0.0], [1.0, 0.7]]])
    level = make_level(strokes, torch.ones(3))
    assert torch.allclose(level[0], torch.tensor([[0.0, 0.05], [1.0, 0.05]]))
    assert torch.allclose(level[1], torch.tensor([[0.05, 0.0], [0.05, 1.0]]))
    assert torch.equal(level[2], strokes[2])
    assert torch.equal(make_level(strokes, torch.zeros(3)), strokes)


@pytest.mark.parametrize(
    "style", [StyleConfig(pen=0.002), StyleConfig(pen=0.006, binary=1.0), StyleConfig(pen_spread=1.0)]
)
def test_the_thinnest_pens_leave_ink(bank: StrokeBank, style: StyleConfig) -> None:
    for side in (32, 64):
        assert (bank.draw(classes(200), seeded(), style, side).flatten(1).amax(1) > 100).all()


def test_drawing_nothing(bank: StrokeBank) -> None:
    assert bank.draw(torch.zeros(0, dtype=torch.int64), seeded()).shape == (0, 64, 64)


def test_unknown_characters_are_named_all_at_once() -> None:
    with pytest.raises(CharsetError, match=r"2 character\(s\): A 𪚥;"):
        StrokeBank(Charset("永𪚥A"))


@pytest.mark.parametrize("wrong", [{"links": 1.5}, {"bend": -0.1}, {"pen": 0.0}, {"slant": float("nan")}])
def test_impossible_styles(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=rf"style {next(iter(wrong))} = "):
        StyleConfig(**wrong)


def test_a_line_has_the_width_and_the_place_it_should() -> None:
    start, end = torch.tensor([[4.0, 8.0]]), torch.tensor([[12.0, 8.0]])
    line = Segments(start, end, torch.full((1, 2), 1.5), torch.ones(1), torch.tensor([1]))
    pictures = render(line, 2, 16)
    assert pictures[0].max() == 0
    # Across the middle of the line: a pen of 3 pixels centred between rows 7 and 8.
    assert pictures[1, :, 8].tolist() == [0] * 6 + [128, 255, 255, 128] + [0] * 6
    assert pictures[1, 7].nonzero()[:, 0].tolist() == list(range(2, 14))


def test_a_hair_line_is_grey() -> None:
    start, end = torch.tensor([[4.0, 8.5]]), torch.tensor([[12.0, 8.5]])
    line = Segments(start, end, torch.full((1, 2), 0.25), torch.ones(1), torch.zeros(1, dtype=torch.int64))
    assert 80 < int(render(line, 1, 16)[0, 8, 8]) < 130


def test_noise_has_the_moments_it_claims_and_depends_on_the_key_alone() -> None:
    keys = derive(torch.tensor(5), torch.arange(20_000))
    for numbers, mean, deviation in ((normal(keys, 4), 0, 1), (uniform(keys, 4), 0.5, 12**-0.5)):
        assert abs(float(numbers.mean()) - mean) < 0.01
        assert abs(float(numbers.std()) - deviation) < 0.01
        assert abs(float(np.corrcoef(numbers.T.numpy())[0, 1])) < 0.03
    assert torch.equal(normal(keys[3:4], 4), normal(keys, 4)[3:4])
    assert float(normal(keys, 4).abs().max()) < 3.47
    assert keys.unique().numel() == 20_000
