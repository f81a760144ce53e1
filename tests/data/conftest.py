"""Samples to test with: drawn by numpy, no handwriting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hanmo.data.sample import Sample

Draw = Callable[..., list[Sample]]


@pytest.fixture
def draw() -> Draw:
    """``draw(labels, writers=...)``: a sample for each label, a few random dark bars on paper."""

    def draw(labels: str, *, writers: int = 0, blank: tuple[int, ...] = (), seed: int = 0) -> list[Sample]:
        rng = np.random.default_rng(seed)
        samples = []
        for number, label in enumerate(labels):
            image = np.full(rng.integers(24, 56, 2), 255, np.uint8)
            for _ in range(0 if number in blank else 4):
                row, column = rng.integers(2, np.array(image.shape) - 8)
                image[row : row + 3, column:-2] = rng.integers(0, 80)
            writer = f"{1001 + number % writers}" if writers else ""
            samples.append(Sample(label, image, f"{writer or 'drawn'}-f.gnt", writer))
        return samples

    return draw
