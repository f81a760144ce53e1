"""Characters on pages."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hanmo.errors import ConfigError
from hanmo.synth.fonts.variants import draw_medians
from hanmo.synth.paper.config import COUNTED, FREE
from hanmo.synth.paper.effects import Effects, Grain, sample_numbers
from hanmo.synth.paper.page import PageConfig, write_page

TEXT = "永人山水大中"
ALONE = PageConfig(neighbours=0.0, through=0.0)
"""Pages that take nothing from the other samples of the batch."""


@pytest.fixture(scope="module")
def squares() -> Tensor:
    """Twenty-four squares of six characters, uint8 (24, 64, 64)."""
    drawn = torch.stack([torch.from_numpy(square.copy()) for _, square in draw_medians(TEXT, 64)])
    return drawn.repeat(4, 1, 1)


@pytest.fixture(scope="module")
def keys() -> Tensor:
    return torch.arange(24) * 7_919 + 5


def differences(one: Tensor, other: Tensor) -> Tensor:
    return (one.int() - other.int()).abs()


def test_pages_are_bytes_of_the_side_asked_for(squares: Tensor, keys: Tensor) -> None:
    for side in (96, 61):
        pages = write_page(squares, keys, PageConfig(), side)
        assert pages.shape == (24, side, side)
        assert pages.dtype == torch.uint8
        assert pages.float().std((1, 2)).min() > 2  # something is on each


def test_bytes_and_floats_give_the_same_page(squares: Tensor, keys: Tensor) -> None:
    pages = write_page(squares, keys, PageConfig())
    assert torch.equal(pages, write_page(squares.float() / 255, keys, PageConfig()))


def test_the_keys_decide(squares: Tensor, keys: Tensor) -> None:
    pages = write_page(squares, keys, PageConfig())
    assert torch.equal(pages, write_page(squares, keys, PageConfig()))
    assert differences(pages, write_page(squares, keys + 1, PageConfig())).amax((1, 2)).min() > 0


def test_a_page_is_the_same_alone_and_among_others(squares: Tensor, keys: Tensor) -> None:
    pages = write_page(squares, keys, ALONE)
    for i in (0, 7, 23):
        alone = write_page(squares[i : i + 1], keys[i : i + 1], ALONE)[0]
        assert (differences(alone, pages[i]) <= 1).float().mean() > 0.999  # sums are rounded by the batch's size


def test_switched_off_a_page_is_the_square_in_black_on_white(squares: Tensor, keys: Tensor) -> None:
    pages = write_page(squares, keys, PageConfig.off(), side=64)
    assert differences(pages, 255 - squares).max() <= 1
    large = write_page(squares, keys, PageConfig.off())
    assert (large.amax((1, 2)) == 255).all()
    assert (large.amin((1, 2)) < 30).all()


PARTS = ("frame", "cross", "diagonals", "ring")


@pytest.mark.parametrize("name", [*FREE, *COUNTED])
def test_every_effect_changes_pages(name: str, squares: Tensor, keys: Tensor) -> None:
    base = {"place": 1.0, **dict.fromkeys(PARTS, 1.0)} if name != "place" else {}
    before = write_page(squares, keys, PageConfig.off(**base))
    after = write_page(squares, keys, PageConfig.off(**base, **{name: 1.0}))
    assert (differences(before, after).amax((1, 2)) > 3).float().mean() > 0.6


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_a_cell_is_printed(part: str, squares: Tensor, keys: Tensor) -> None:
    empty = write_page(torch.zeros_like(squares), keys, PageConfig.off(cell=1.0))
    assert (empty == 255).all()
    pages = write_page(torch.zeros_like(squares), keys, PageConfig.off(cell=1.0, **{part: 1.0}))
    assert (pages.amin((1, 2)) < 240).float().mean() > 0.9
    assert (pages == 255).float().mean() > 0.7  # lines, not areas


def test_neighbours_are_other_characters_of_the_batch(squares: Tensor, keys: Tensor) -> None:
    config = PageConfig.off(place=1.0, largest=0.5, neighbours=1.0)
    other = squares.clone()
    other[0] = 0
    before, after = write_page(squares, keys, config), write_page(other, keys, config)
    assert differences(before, after)[1].max() > 50  # the second page shows strokes of the first square
    assert torch.equal(before[2:], after[2:])


def test_a_small_character_is_small_and_whole(squares: Tensor, keys: Tensor) -> None:
    pages = write_page(squares, keys, PageConfig.off(place=1.0, smallest=0.4, largest=0.4))
    for page in pages < 200:
        rows, columns = page.any(1).nonzero()[:, 0], page.any(0).nonzero()[:, 0]
        assert max(int(rows[-1] - rows[0]), int(columns[-1] - columns[0])) in range(30, 40)


def test_strengths_bound_paper_and_ink(squares: Tensor, keys: Tensor) -> None:
    pages = write_page(squares, keys, PageConfig.off(paper=1.0, darkest=150)).float()
    assert pages.amax((1, 2)).min() >= 150
    assert pages.amax((1, 2)).min() < 190
    faint = write_page(squares, keys, PageConfig.off(faint=1.0, faintest=0.5)).float()
    contrast = 1 - faint.amin((1, 2)) / 255
    assert contrast.min() > 0.45
    assert contrast.min() < 0.7


def test_most_pages_have_two_to_five_effects_and_some_none() -> None:
    counts = Effects(sample_numbers(torch.arange(4_000))[0], PageConfig()).count()
    assert counts.max() == 5
    assert ((counts >= 2) & (counts <= 5)).float().mean() > 0.6
    assert 0.1 < (counts == 0).float().mean() < 0.25
    assert Effects(sample_numbers(torch.arange(100))[0], PageConfig(most=0)).count().max() == 0
    assert Effects(sample_numbers(torch.arange(100))[0], PageConfig(clean=1.0)).count().mean() < 0.6


def test_everything_at_once_is_still_a_page(squares: Tensor, keys: Tensor) -> None:
    everything = PageConfig(**dict.fromkeys((*FREE, *COUNTED), 1.0), clean=0.0, most=len(COUNTED))  # type: ignore[arg-type]
    pages = write_page(squares, keys, everything)
    assert pages.shape == (24, 96, 96)
    assert pages.float().std((1, 2)).min() > 1


def test_the_noise_is_noise() -> None:
    grain = Grain.sample(sample_numbers(torch.arange(50))[1], 96)
    for field in grain:
        assert abs(float(field.mean())) < 0.01
        assert abs(float(field.std()) - 1) < 0.01
        assert float(field.abs().max()) < 2.46
        for shift, axis in ((1, 1), (1, 2), (1, 0)):
            assert abs(float((field * field.roll(shift, axis)).mean())) < 0.01
    assert abs(float((grain.a * grain.b).mean())) < 0.01
    assert 0.6 < float(grain.smooth(12).std()) < 1.4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cell": 1.5}, "page cell = 1.5 is impossible; 0 to 1"),
        ({"noise_by": -0.1}, "page noise_by = -0.1 is impossible; 0 to 1"),
        ({"most": 99}, "page most = 99 is impossible; 0 to 23"),
        ({"darkest": 0}, "page darkest = 0 is impossible; 1 to 255"),
        ({"fewest": 1}, "page fewest = 1 is impossible; 2 to 256"),
        ({"faint": float("nan")}, "page faint = nan is impossible"),
        ({"smallest": 0.9, "largest": 0.5}, "page smallest = 0.9 and largest = 0.5 are impossible"),
        ({"smallest": 0.05}, "page smallest = 0.05 and"),
    ],
)
def test_impossible_values_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PageConfig(**changes)  # type: ignore[arg-type]
