from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hanmo.sheets.light import FAINTEST, SIDE, WHOLE, darkness, marks, noise, reduced, ridges


@pytest.mark.parametrize("shape", [(40, 60), (900, 700), (1600, 1000), (2417, 3999), (801, 5003, 3)])
def test_a_picture_is_reduced_as_a_whole(shape: tuple[int, ...]) -> None:
    ramp = np.linspace(0, 255, shape[1]).astype(np.uint8)
    image = np.broadcast_to(ramp.reshape(1, -1, *[1] * (len(shape) - 2)), shape).copy()
    small, scale = reduced(image)
    assert small.size == (round(shape[1] * scale), round(shape[0] * scale))
    assert max(small.size) <= SIDE
    middle = np.asarray(small)[small.height // 2].reshape(small.width, -1)[:, 0]
    assert np.abs(middle - np.linspace(0, 255, small.width)).max() < 8, "nothing is cut off or moved"


def test_only_a_line_that_is_darker_than_both_sides_responds() -> None:
    dark = np.zeros((60, 80), np.uint8)
    dark[20] = 255
    dark[40:] = 255
    across = ridges(dark)
    assert (across[20, 10:-10] == WHOLE).all()
    assert not across[30:].any(), "an edge is no line"
    assert not ridges(dark.T).any(), "nor is it one in the other direction"


def test_a_faint_rule_counts_as_much_as_a_dark_one_but_noise_does_not() -> None:
    grain = np.random.default_rng(1).normal(0, 12, (256, 256))
    dark = (60 + grain).clip(0, 255)
    dark[:, :128] = 60
    dark[100] += 30
    seen = ridges(dark.astype(np.uint8))
    quiet, loud = noise(seen)[1, 0], noise(seen)[1, -1]
    assert quiet < loud < FAINTEST
    marked = marks(seen)
    assert marked.shape == seen.shape
    assert marked[100, 20:100].min() == 1
    assert marked[110:, 160:].mean() < 0.1


def test_darkness_is_that_of_the_darkest_channel_beside_the_paper() -> None:
    pixels = np.full((200, 300, 3), (240, 230, 200), np.uint8)
    pixels[100, :] = (240, 115, 200)
    dark = darkness(Image.fromarray(pixels))
    assert not dark[:80].any()
    assert abs(int(dark[100, 150]) - 127) <= 2
