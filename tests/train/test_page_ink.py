"""The torch twin of the front end beside the numpy original."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from hanmo import background, filters, noise, paper
from hanmo.errors import BlankImageError
from hanmo.normalize import Normalization, Version
from hanmo.synth.fonts.variants import draw_medians
from hanmo.synth.paper.page import PageConfig, write_page
from hanmo.train import page_ink
from hanmo.train.page_strays import normalize_pages

TEXT = "永切田口国日川小心三州一憨浴瞳竭墨翰雁果"
PAGES = 300


def pages(side: int, count: int) -> Tensor:
    drawn = torch.stack([torch.from_numpy(square.copy()) for _, square in draw_medians(TEXT, 64)])
    return write_page(
        drawn.repeat(-(-count // len(drawn)), 1, 1)[:count], torch.arange(count) * 7_919, PageConfig(), side
    )


def assert_alike(written: Tensor, normalization: Normalization) -> None:
    squares, blank = normalize_pages(
        written, normalization.side, normalization.margin, keep_faint=normalization.version > 2
    )
    assert squares.shape == (len(written), normalization.side, normalization.side)
    assert squares.dtype == torch.uint8
    for number, page in enumerate(written.numpy()):
        try:
            expected = normalization(page).astype(int)
        except BlankImageError:
            assert blank[number], number
            continue
        assert not blank[number], number
        # A level of difference is rounding: single precision adds in another order.
        assert np.abs(squares[number].numpy() - expected).max() <= 1, number


def test_squares_of_pages_are_those_of_the_original() -> None:
    assert_alike(pages(96, PAGES), Normalization(side=48))


@pytest.mark.parametrize("version", [2, 3])
def test_pages_without_noise(version: Version) -> None:
    """Soft strokes on one level of paper; a veil covers half of the last pages."""
    squares = torch.stack([torch.from_numpy(square.copy()) for _, square in draw_medians(TEXT, 64)])
    clean = torch.full((2 * len(squares), 80, 80), 250, dtype=torch.uint8)
    clean[:, 8:72, 8:72] -= squares.repeat(2, 1, 1) // 2
    clean[len(squares) :, ::2] -= 10
    assert_alike(clean, Normalization(side=48, version=version))


@pytest.mark.parametrize("side", [48, 61, 80])
def test_pages_of_other_sides(side: int) -> None:
    assert_alike(pages(side, 30), Normalization(side=40, margin=1))


def test_what_is_blank() -> None:
    rng = np.random.default_rng(5)
    blank = np.full((5, 96, 96), 200, np.uint8)
    blank[1] = np.linspace(190, 240, 96)
    blank[2] = rng.normal(128, 30, (96, 96)).clip(0, 255)
    blank[3, 5] = 90  # a rule
    blank[4, 40, 40] = 0  # a speck
    assert_alike(torch.from_numpy(blank), Normalization(side=48))
    assert normalize_pages(torch.from_numpy(blank), 48, 2)[1].all()


def test_every_step_alone() -> None:
    written = pages(96, 40)
    steps = (
        (page_ink.flatten, background.flatten),
        (page_ink.without_impulses, paper.without_impulses),
        (page_ink.noise_of, noise.noise_of),
        (lambda grey: page_ink.smoothed(grey, 2), lambda grey: filters.smoothed(grey, 2)),
    )
    for twin, original in steps:
        expected = np.stack([np.asarray(original(page)) for page in written.numpy()])
        np.testing.assert_array_equal(twin(written.int()).numpy(), expected)
