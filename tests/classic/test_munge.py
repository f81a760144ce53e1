"""MUNGE: neighbours, exchanged features, and a reader that never sees a true label."""

from __future__ import annotations

import numpy as np
import pytest

from hanmo.classic.munge import compress, munge, nearest_others
from hanmo.classic.reader import ClassicConfig, fit_features
from hanmo.errors import ArgumentError, DataError

TWO = np.array([[0.0, 10, 5], [1, 20, 5]], np.float32)


def clusters(seed: int, samples: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Three classes of Gaussian clouds in six dimensions, whose centres are far apart."""
    random = np.random.default_rng(seed)
    labels = np.arange(3 * samples) % 3
    centres = np.eye(3, 6) * 6
    return (centres[labels] + random.standard_normal((len(labels), 6))).astype(np.float32), labels


def test_nearest_other_samples() -> None:
    line = np.array([[0.0], [1], [3], [3.5], [9]], np.float32)
    assert nearest_others(line).tolist() == [1, 0, 3, 2, 3]
    twins = np.zeros((2, 3), np.float32)
    assert nearest_others(twins).tolist() == [1, 0]


def test_nearest_in_many_parts_is_the_nearest() -> None:
    features = np.random.default_rng(0).standard_normal((1100, 4)).astype(np.float32)
    distances = np.linalg.norm(features[:, None] - features, axis=2)
    np.fill_diagonal(distances, np.inf)
    assert nearest_others(features).tolist() == distances.argmin(1).tolist()


def test_nothing_is_exchanged_with_probability_0() -> None:
    features, _ = clusters(1)
    assert np.array_equal(munge(features, 2, swap=0.0), np.concatenate([features, features]))


def test_two_samples_exchange_all_with_probability_1_and_no_spread() -> None:
    """The first exchanges with the second, then the second with the first: both are again what they were."""
    assert munge(TWO, 1, swap=1.0, spread=1e9) == pytest.approx(TWO, abs=1e-6)
    three = np.array([[0.0, 0], [1, 1], [9, 9]], np.float32)  # the third exchanges with the second only
    assert munge(three, 1, swap=1.0, spread=1e9) == pytest.approx(three[[0, 2, 1]], abs=1e-5)


def test_a_half_exchanges_features_one_by_one() -> None:
    made = munge(TWO, 4000, swap=0.5, spread=1e9, seed=3).reshape(4000, 2, 3)
    # After two turns a feature is exchanged where one of the two exchanged it: in a half of all cases.
    assert (made[:, 0, :2] == TWO[1, :2]).mean(axis=0) == pytest.approx([0.5, 0.5], abs=0.03)
    together = ((made[:, 0, 0] == 1) == (made[:, 0, 1] == 20)).mean()
    assert together == pytest.approx(0.5, abs=0.03), "one feature tells nothing about the other"
    assert (made[:, :, 2] == 5).all(), "where both agree there is nothing to draw"


def test_spread_divides_the_deviation() -> None:
    far = np.array([[0.0], [8], [1000]], np.float32)  # the third changes only the second, after the first has its value
    drawn = munge(far, 20_000, swap=1.0, spread=4.0, seed=1).reshape(-1, 3)
    # e_0 ~ N(8, 2), e_1 ~ N(0, 2); then the second exchanges with the first once more.
    assert drawn[:, 0].mean() == pytest.approx(0, abs=0.1)
    assert np.isfinite(drawn).all()
    narrow = munge(far, 20_000, swap=1.0, spread=40.0, seed=1).reshape(-1, 3)
    assert narrow[:, 0].std() < drawn[:, 0].std() / 8


def test_seeds_decide() -> None:
    features, _ = clusters(1)
    assert np.array_equal(munge(features, 2, seed=5), munge(features, 2, seed=5))
    assert not np.array_equal(munge(features, 2, seed=5), munge(features, 2, seed=6))
    assert munge(features, 2).dtype == np.float32


def test_a_compressed_reader_reads_without_having_seen_a_label() -> None:
    features, labels = clusters(1)
    large = ClassicConfig(dimensions=6, axes=4, ridge=0.0)
    teachers = [fit_features(features[i::2], labels[i::2], large) for i in range(2)]
    small = ClassicConfig(dimensions=2, axes=1, ridge=0.0)
    projection, mqdf = compress(teachers, features, small, times=3)
    test, truth = clusters(2)
    assert (mqdf.answers(projection(test))[:, 0] == truth).mean() > 0.95
    assert projection.dimensions == 2


def test_impossible_calls() -> None:
    features, labels = clusters(1)
    reader = fit_features(features, labels, ClassicConfig(dimensions=2, axes=1))
    for options in ({"times": 0}, {"times": 1, "swap": 1.5}, {"times": 1, "spread": 0.0}):
        with pytest.raises(ArgumentError, match="from 1, 0 to 1, above 0"):
            munge(features, **options)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="1 samples"):
        munge(TWO[:1], 1)
    with pytest.raises(ArgumentError, match="at least one is needed"):
        compress([], features, ClassicConfig())
    with pytest.raises(DataError, match="name class 1 less than twice"):
        compress([reader], np.tile(features[:1], (4, 1)), ClassicConfig(dimensions=2, axes=1))
