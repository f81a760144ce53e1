"""The embedded bundles answer alike however many squares are read at once, and with any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from hanmo.recognizer import Recognizer
from hanmo.strokes import draw

SQUARES = 48


@pytest.mark.parametrize("name", ["free", "nano"])
def test_logits_do_not_depend_on_the_batch(name: str) -> None:
    """Sums of whole numbers have no order that could change them; only what is computed in floats could differ.

    ONNX Runtime joins quantised operators (QLinearConv and so on) so that nothing between the input and the logits is
    a float. Where it does not, as with all optimisations switched off, a convolution in floats gives other last bits
    for another batch, and a few squares fall on the other side of a rounding to 8 bits: 24 of 512 with ``nano``.
    """
    readers = [Recognizer(name, threads=threads) for threads in (1, 2)]
    rng = np.random.default_rng(1)
    normalization = readers[0].bundle.normalization
    lines = [[np.cumsum(rng.normal(0, 1, (6, 2)), axis=0) for _ in range(4)] for _ in range(SQUARES // 2)]
    written = np.stack([normalization(draw(strokes)) for strokes in lines])
    noise = rng.integers(0, 256, written.shape, np.uint8)  # values that no picture has, so many near roundings
    squares = np.concatenate([written, noise])
    expected = readers[0].logits(squares)
    for reader in readers:
        for batch in (1, 5, 64):
            parts = [reader.logits(squares[at : at + batch]) for at in range(0, SQUARES, batch)]
            assert np.array_equal(np.concatenate(parts), expected)
