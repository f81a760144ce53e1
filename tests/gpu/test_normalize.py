"""The front end for pictures of different sizes, beside the NumPy original."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hanmo import background, neighbours, noise, paper, rules, strays
from hanmo.bulk.packing import REMARKS
from hanmo.errors import BlankImageError
from hanmo.gpu import ink, normalize
from hanmo.gpu import neighbours as gpu_neighbours
from hanmo.gpu import strays as gpu_strays
from hanmo.gpu.pictures import Sizes, mask_of, unpacked, words_of
from hanmo.normalize import Normalization, Version
from hanmo.synth.fonts.variants import draw_medians
from hanmo.synth.paper.page import PageConfig, write_page

TEXT = "永切田口国日川小心三州一憨浴瞳竭墨翰雁果丨二"
Grey = NDArray[np.uint8]


@pytest.fixture(scope="module")
def pictures() -> list[Grey]:
    """Some hundred pictures of many sizes: clean, spoilt, cut, with rules, specks and parts of other characters."""
    rng = np.random.default_rng(3)
    drawn = [255 - np.asarray(square) for _, square in draw_medians(TEXT, 64)]
    made: list[Grey] = []
    for number in range(12 * len(drawn)):
        image: Any = drawn[number % len(drawn)]
        margins = rng.integers(0, 16, (2, 2))
        match number // len(drawn):
            case 0 | 1:  # cut to the ink
                rows, columns = (np.flatnonzero((image < 128).any(axis)) for axis in (1, 0))
                image = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            case 2 | 3:  # of odd sizes
                image = np.pad(image, margins, constant_values=255)
            case 4:  # rules
                image = np.pad(image, margins, constant_values=250)
                image[rng.integers(len(image))] = 60
                image[:, rng.integers(image.shape[1])] = 90
            case 5:  # specks
                image = np.pad(image, margins, constant_values=255)
                for size in (1, 2, 3):
                    row, column = rng.integers(0, 60, 2)
                    image[row : row + size, column : column + size] = 0
            case 6:  # the next character
                image = np.pad(image, ((4, 4), (4, 28)), constant_values=255)
                image[:, -9:] = np.minimum(image[:, -9:], np.pad(drawn[number % 7], 4, constant_values=255)[:, 20:29])
            case 7:  # noise
                image = np.pad(image, margins, constant_values=230)
                image = image + rng.normal(0, rng.integers(2, 30), image.shape)
            case 8:  # salt and pepper
                image = np.where(rng.random(image.shape) < rng.choice([0.006, 0.05]), rng.choice([0, 255]), image)
            case 9:  # a shadow
                image = np.pad(image, margins, constant_values=255)
                image = image * np.linspace(0.4, 1, image.shape[1])
            case 10:  # light print, and a veil
                image = np.pad(image, margins, constant_values=255)
                image = np.minimum(image, 255 - 70 * (rng.random(image.shape) < 0.2))
            case _:  # two characters
                image = np.concatenate((image[:, 8:56:2], image[:, 8:56:2] * 0 + 255, image[:, 8:56:2]), 1)[::2]
        made.append(np.ascontiguousarray(image.clip(0, 255).astype(np.uint8)[:96, :96]))
    pages = torch.stack([torch.from_numpy(np.ascontiguousarray(255 - image)) for image in drawn])
    spoilt = write_page(pages.repeat(4, 1, 1), torch.arange(4 * len(drawn)) * 7_919, PageConfig(), 96).numpy()
    made += [page[: 96 - number % 40, number % 23 :].copy() for number, page in enumerate(spoilt)]
    made += [rng.integers(0, 256, (size, size + 3), dtype=np.uint8) for size in (1, 2, 5, 17, 33)]
    return [*made, *(np.full((40, 30), level, np.uint8) for level in (0, 60, 200))]


def together(pictures: Sequence[Grey]) -> tuple[torch.Tensor, Sizes]:
    heights, widths = (torch.tensor([picture.shape[axis] for picture in pictures]) for axis in (0, 1))
    sizes = Sizes(heights, widths)
    flat = torch.from_numpy(np.concatenate([picture.reshape(-1) for picture in pictures]))
    return unpacked(flat, sizes.area.cumsum(0) - sizes.area, sizes, int(sizes.longer.max())), sizes


def test_pictures_lie_in_the_corner_and_their_edges_are_repeated(pictures: list[Grey]) -> None:
    tensor, _ = together(pictures)
    for picture, found in zip(pictures, tensor.numpy(), strict=True):
        missing = [(0, found.shape[axis] - picture.shape[axis]) for axis in (0, 1)]
        np.testing.assert_array_equal(found, np.pad(picture, missing, mode="edge"))


def test_steps_on_grey_levels(pictures: list[Grey]) -> None:
    tensor, sizes = together(pictures)
    flat, uneven = ink.flatten(tensor, sizes)
    clean, changed = ink.without_impulses(tensor, sizes)
    noises = ink.noise_of(tensor, sizes)
    for number, picture in enumerate(pictures):
        height, width = picture.shape
        np.testing.assert_array_equal(flat[number, :height, :width], background.flatten(picture), str(number))
        np.testing.assert_array_equal(clean[number, :height, :width], paper.without_impulses(picture), str(number))
        assert noises[number] == noise.noise_of(picture), number
    assert uneven.any()
    assert changed.any()
    assert (noises > 0).any()


def test_steps_on_ink(pictures: list[Grey]) -> None:
    inked: list[Grey] = []
    for picture in pictures:
        try:
            inked.append(paper.ink_of(picture)[0])
        except BlankImageError:
            inked.append(np.zeros_like(picture))
    _, sizes = together(pictures)
    tensor = torch.zeros(len(inked), 96, 96, dtype=torch.uint8)
    for number, one in enumerate(inked):
        tensor[number, : one.shape[0], : one.shape[1]] = torch.from_numpy(one.copy())
    own, touches = gpu_neighbours.own_ink(tensor, sizes)
    close = gpu_neighbours.is_cut_close(tensor, sizes)
    steps = (
        (gpu_strays.without_print(tensor), strays.without_print),
        (gpu_strays.without_rules(tensor, sizes), rules.without_rules),
        (gpu_strays.without_specks(tensor, sizes), strays.without_specks),
        (own, lambda one: one * neighbours.own_pixels(one)[0]),
    )
    for found, original in steps:
        changed = 0
        for number, one in enumerate(inked):
            expected = original(one)
            np.testing.assert_array_equal(found[number, : one.shape[0], : one.shape[1]], expected, str(number))
            changed += not np.array_equal(expected, one)
        assert changed > 3, "some pictures need this step"
    assert [bool(flag) for flag in close] == [neighbours.is_cut_close(neighbours.projected(one)) for one in inked]
    assert [bool(flag) for flag in touches] == [neighbours.own_pixels(one)[1] for one in inked]


@pytest.mark.parametrize("version", [2, 3])
def test_squares_and_remarks_are_those_of_the_original(pictures: list[Grey], version: Version) -> None:
    settings = Normalization(side=48, version=version)
    tensor, sizes = together(pictures)
    found = normalize.normalize(tensor, sizes, torch.zeros(len(pictures), dtype=torch.bool), settings)
    seen = set()
    for number, picture in enumerate(pictures):
        try:
            expected = settings.inspect(picture)
        except BlankImageError:
            assert found.unread[number], number
            continue
        assert not found.unread[number], number
        assert REMARKS[found.remarks[number]] == expected.remark, number
        seen.add(expected.remark)
        # A level of difference is rounding: single precision adds in another order.
        assert np.abs(found.squares[number].numpy() - expected.square.astype(int)).max() <= 1, number
    assert seen == set(REMARKS)
    assert found.unread.any()


def test_a_small_character_on_a_large_picture_is_left_unread() -> None:
    large = np.full((90, 96), 255, np.uint8)
    large[30:60, 40:60] = 0
    tensor, sizes = together([large, large])
    found = normalize.normalize(tensor, sizes, torch.tensor([True, False]), Normalization(side=48))
    assert found.unread.tolist() == [True, False]


@pytest.mark.parametrize(
    ("settings", "known"),
    [
        (Normalization(), True),
        (Normalization(method="moment"), False),
        (Normalization(version=1), False),
    ],
)
def test_what_it_can_do(settings: Normalization, known: bool) -> None:
    assert normalize.can_normalize(settings) == known


@pytest.mark.parametrize("side", [1, 48, 62, 96])
def test_words_hold_the_columns_of_a_mask(side: int) -> None:
    mask = torch.from_numpy(np.random.default_rng(side).random((3, side, side)) < 0.5)
    words = words_of(mask)
    assert words.shape == (3, side, 2)
    torch.testing.assert_close(mask_of(words), mask)
    for word, first in enumerate((-8, 40)):
        for bit in range(64):
            column = first + bit
            expected = mask[:, :, column] if 0 <= column < side else torch.zeros(3, side, dtype=torch.bool)
            torch.testing.assert_close(words[..., word] >> bit & 1 == 1, expected)


def test_specks_are_found_where_words_meet() -> None:
    rng = np.random.default_rng(8)
    made = []
    for _ in range(120):
        image = np.zeros((96, rng.integers(70, 97)), np.uint8)
        for _ in range(12):
            size, row, column = rng.integers(1, 5), rng.integers(0, 95), rng.integers(36, 62)
            image[row : row + size, column : column + size] = 255
        made.append(image)
    tensor, sizes = together(made)
    inked = tensor.masked_fill(~sizes.inside(tensor.shape[1]), 0)
    found = gpu_strays.without_specks(inked, sizes).numpy()
    changed = 0
    for image, whole in zip(made, found, strict=True):
        expected = strays.without_specks(image)
        np.testing.assert_array_equal(whole[: image.shape[0], : image.shape[1]], expected)
        changed += not np.array_equal(expected, image)
    assert changed > 100
