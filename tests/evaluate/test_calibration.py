"""Softmax, calibration error, temperature and the refusal threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from hanmo.evaluate.calibration import (
    TEMPERATURES,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    refusal_threshold,
    reliability,
)
from hanmo.evaluate.metrics import restrict
from hanmo.probability import softmax

PROBABILITIES = hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1))


def drawn(temperature: float, n: int = 4000, classes: int = 12) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits of a net whose true temperature is known: labels are drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(7)
    logits = rng.normal(0, 3, (n, classes)).astype(np.float32)
    return logits, (logits / temperature + rng.gumbel(size=logits.shape)).argmax(axis=1)


@given(PROBABILITIES, st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_the_error_lies_between_nothing_and_all(sure: NDArray[np.float64], bins: int, seed: int) -> None:
    correct = np.random.default_rng(seed).random(len(sure)) < 0.5
    error = expected_calibration_error(sure, correct, bins)
    assert 0 <= error <= 1
    assert reliability(sure, correct, bins).count.sum() == len(sure)


@given(st.integers(1, 20), st.integers(1, 30))
def test_perfect_calibration_is_no_error(tenths: int, bins: int) -> None:
    share = min(tenths, 10) / 10
    correct = np.arange(10) < round(10 * share)
    assert expected_calibration_error(np.full(10, share), correct, bins) == pytest.approx(0, abs=1e-12)


def test_the_error_by_hand() -> None:
    sure = np.array([0.95, 0.95, 0.55, 0.55])
    correct = np.array([True, True, True, False])
    assert expected_calibration_error(sure, correct, bins=10) == pytest.approx((0.05 * 2 + 0.05 * 2) / 4)
    assert expected_calibration_error(np.ones(3), np.zeros(3, bool)) == 1.0
    assert np.isnan(expected_calibration_error(np.empty(0), np.empty(0, bool)))


def test_probabilities_that_are_none_are_refused() -> None:
    for wrong in (np.array([1.5]), np.array([-0.1]), np.array([np.nan])):
        with pytest.raises(ValueError, match="softmax"):
            reliability(wrong, np.array([True]))
    with pytest.raises(ValueError, match="expected"):
        reliability(np.ones(2), np.ones(3, bool))


def test_the_likelihood_agrees_with_softmax_and_never_overflows() -> None:
    logits, labels = drawn(1.0, n=50)
    expected = -np.log(softmax(logits, 2.0)[np.arange(50), labels])
    np.testing.assert_allclose(negative_log_likelihood(logits, labels, 2.0), expected, rtol=1e-4)
    assert negative_log_likelihood(np.array([[0, 1e5]], np.float32), np.array([0]))[0] == 1e5


@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.7, 6.0])
def test_the_temperature_of_a_known_net_is_found(temperature: float) -> None:
    logits, labels = drawn(temperature)
    fitted = fit_temperature(logits, labels)
    assert fitted == pytest.approx(temperature, rel=0.12)
    best = negative_log_likelihood(logits, labels, fitted).mean()
    for other in (0.98, 1.02):
        assert best <= negative_log_likelihood(logits, labels, fitted * other).mean()


def test_a_fitted_temperature_calibrates() -> None:
    logits, labels = drawn(3.0, n=8000)
    correct = logits.argmax(axis=1) == labels
    before = expected_calibration_error(softmax(logits).max(axis=1), correct)
    after = expected_calibration_error(softmax(logits, fit_temperature(logits, labels)).max(axis=1), correct)
    assert after < 0.02 < before


def test_a_net_that_is_never_wrong_or_knows_nothing_meets_the_limits() -> None:
    assert fit_temperature(np.eye(5, dtype=np.float32) * 8, np.arange(5)) == pytest.approx(TEMPERATURES[0], rel=1e-3)
    assert fit_temperature(np.eye(5, dtype=np.float32) * 8, (np.arange(5) + 1) % 5) == pytest.approx(
        TEMPERATURES[1], rel=1e-3
    )
    assert fit_temperature(np.zeros((3, 4), np.float32), np.zeros(3, int)) == 1.0


@pytest.mark.parametrize("scale", [0.1, 10.0, 1000.0])
def test_one_mistake_among_many_is_fitted_at_any_scale(scale: float) -> None:
    logits = np.tile(np.array([scale, 0.0], np.float32), (100, 1))
    labels = np.array([1] * 2 + [0] * 98)
    wanted = scale / np.log(98 / 2)  # the sigmoid then says 98 %
    assert fit_temperature(logits, labels) == pytest.approx(np.clip(wanted, *TEMPERATURES), rel=1e-4)


def test_a_temperature_can_be_fitted_to_closed_logits() -> None:
    logits, labels = drawn(2.0)
    few = labels < 4
    closed = restrict(logits[few], np.arange(4))
    assert fit_temperature(closed, labels[few]) == pytest.approx(
        fit_temperature(logits[few][:, :4], labels[few]), rel=1e-4
    )


def test_a_temperature_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        fit_temperature(np.empty((0, 3), np.float32), np.empty(0, int))
    with pytest.raises(ValueError, match="not finite"):
        fit_temperature(np.array([[-np.inf, 1]], np.float32), np.array([0]))


@given(PROBABILITIES, st.floats(0.01, 1))
def test_the_threshold_keeps_enough_and_no_higher_one_does(sure: NDArray[np.float64], keep: float) -> None:
    threshold = refusal_threshold(sure, keep)
    assert (sure >= threshold).mean() >= keep - 1e-9
    assert (sure > threshold).mean() < keep


def test_the_threshold_by_hand() -> None:
    sure = np.arange(1, 101) / 100
    assert refusal_threshold(sure, keep=0.95) == 0.06
    assert refusal_threshold(sure, keep=1.0) == 0.01
    for n, keep in ((0, 0.9), (3, 0.0), (3, 1.1)):
        with pytest.raises(ValueError, match="keep"):
            refusal_threshold(np.ones(n), keep)
