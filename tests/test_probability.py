from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from hanmo.probability import log_softmax, softmax


@given(npst.arrays(np.float32, (3, 5), elements=st.floats(-(2.0**100), 2.0**100, width=32)), st.floats(0.05, 20))
def test_it_sums_to_one_keeps_the_best_and_never_overflows(logits: NDArray[np.float32], temperature: float) -> None:
    probabilities = softmax(logits, temperature)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(probabilities.max(axis=1), probabilities[np.arange(3), logits.argmax(axis=1)])


def test_a_temperature_flattens() -> None:
    logits = np.array([[2.0, 0.0, -1.0]], np.float16)
    np.testing.assert_allclose(softmax(logits, 2.0), np.exp([[1, 0, -0.5]]) / np.exp([1, 0, -0.5]).sum())


def test_the_excluded_get_nothing() -> None:
    np.testing.assert_array_equal(softmax(np.array([[-np.inf, 1, 1]], np.float16)), [[0, 0.5, 0.5]])


@given(npst.arrays(np.float32, (3, 5), elements=st.floats(-1e4, 1e4, width=32)), st.floats(0.05, 20))
def test_logarithms_are_those_of_the_probabilities(logits: NDArray[np.float32], temperature: float) -> None:
    logarithms = log_softmax(logits, temperature)
    assert np.isfinite(logarithms).all(), "however small a probability is"
    np.testing.assert_allclose(np.exp(logarithms), softmax(logits, temperature), rtol=1e-6, atol=1e-300)
