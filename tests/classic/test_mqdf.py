"""LDA and MQDF against Gaussians written out, and what both refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hanmo.classic.lda import Projection
from hanmo.classic.mqdf import MQDF
from hanmo.errors import ArgumentError, DataError

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


def clouds(classes: int = 4, width: int = 6, each: int = 60, apart: float = 2.0) -> tuple[Floats, Labels]:
    """Gaussian classes, each with a covariance of its own."""
    rng = np.random.default_rng(0)
    parts = [
        rng.normal(size=width) * apart + rng.normal(size=(each, width)) @ rng.normal(size=(width, width))
        for _ in range(classes)
    ]
    return np.concatenate(parts).astype(np.float32), np.repeat(np.arange(classes), each)


def gaussian(numbers: Floats, labels: Labels, x: Floats) -> NDArray[np.float64]:
    """Twice the log density of every class, but for a constant, (N, C)."""
    columns = []
    for c in range(labels.max() + 1):
        own = numbers[labels == c].astype(np.float64)
        covariance = np.cov(own.T, bias=True)
        apart = x - own.mean(axis=0)
        distance = np.einsum("nd,de,ne->n", apart, np.linalg.inv(covariance), apart)
        columns.append(-distance - np.linalg.slogdet(covariance)[1])
    return np.stack(columns, axis=1)


def written_out(numbers: Floats, labels: Labels, x: Floats, k: int, minor: float, shrink: float) -> Any:
    """MQDF2 in the words of the paper, one class and one axis at a time."""
    width = numbers.shape[1]
    fitted = []
    for c in range(labels.max() + 1):
        own = numbers[labels == c].astype(np.float64)
        values, vectors = np.linalg.eigh(np.cov(own.T, bias=True))
        fitted.append((own.mean(axis=0), values[::-1], vectors[:, ::-1]))
    mean = np.mean([values for _, values, _ in fitted])
    fitted = [(m, (1 - shrink) * values + shrink * mean, vectors) for m, values, vectors in fitted]
    t = minor * np.mean([values[k:] for _, values, _ in fitted])
    scores = np.zeros((len(x), len(fitted)))
    for c, (m, values, vectors) in enumerate(fitted):
        rest = ((x - m) ** 2).sum(axis=1)
        for j in range(k):
            along, variance = (x - m) @ vectors[:, j], max(values[j], t)
            scores[:, c] -= along**2 / variance + np.log(variance)
            rest -= along**2
        scores[:, c] -= rest / t + (width - k) * np.log(t)
    return scores


def test_with_all_axes_it_is_the_quadratic_discriminant() -> None:
    numbers, labels = clouds()
    scores = MQDF.fit(numbers, labels, axes=6).scores(numbers)
    np.testing.assert_allclose(scores, gaussian(numbers, labels, numbers), rtol=2e-3, atol=0.05)


@pytest.mark.parametrize(("k", "minor", "shrink"), [(1, 1.0, 0.0), (3, 1.5, 0.0), (4, 0.8, 0.4), (2, 1.0, 1.0)])
def test_scores_are_those_of_the_paper(k: int, minor: float, shrink: float) -> None:
    numbers, labels = clouds(width=8)
    scores = MQDF.fit(numbers, labels, k, minor, shrink).scores(numbers[:50])
    np.testing.assert_allclose(scores, written_out(numbers, labels, numbers[:50], k, minor, shrink), rtol=2e-3)


def test_many_samples_are_scored_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers, labels = clouds()
    mqdf = MQDF.fit(numbers, labels, 3)
    whole = mqdf.scores(numbers)
    monkeypatch.setattr("hanmo.classic.mqdf._PROJECTED", 100)
    np.testing.assert_allclose(mqdf.scores(numbers), whole, rtol=1e-4, atol=1e-3)
    assert mqdf.scores(numbers[:0]).shape == (0, 4)


def test_answers_are_the_best_scores_in_order() -> None:
    numbers, labels = clouds(classes=7)
    mqdf = MQDF.fit(numbers, labels, 3)
    order = np.argsort(-mqdf.scores(numbers), axis=1)
    for top in (1, 3, 7):
        np.testing.assert_array_equal(mqdf.answers(numbers, top), order[:, :top])
    assert mqdf.answers(numbers, 99).shape == (len(numbers), 7)
    assert mqdf.parameters == 7 * 6 + 7 * 6 * 3 + 7 * 3 + 1


def test_classes_with_fewer_samples_than_axes_are_no_problem() -> None:
    numbers, labels = clouds(classes=5, width=20, each=4, apart=5.0)
    for shrink in (0.0, 0.3):
        scores = MQDF.fit(numbers, labels, axes=10, shrink=shrink).scores(numbers)
        assert np.isfinite(scores).all()
        assert (scores.argmax(axis=1) == labels).mean() > 0.9


def test_whitening_leaves_a_spread_of_one_and_apart_what_is_apart() -> None:
    numbers, labels = clouds(classes=4, width=6)
    projected = Projection.fit(numbers, labels, 6)(numbers)
    centred = projected - np.stack([projected[labels == c].mean(axis=0) for c in range(4)])[labels]
    np.testing.assert_allclose(centred.T @ centred / len(centred), np.eye(6), atol=1e-3)
    means = np.stack([projected[labels == c].mean(axis=0) for c in range(4)])
    np.testing.assert_allclose(means[:, 3:], 0, atol=1e-3)  # C - 1 directions hold all of the means
    assert (means.var(axis=0)[:2] >= means.var(axis=0)[1:3]).all()  # the most telling first


def test_two_classes_are_parted_along_fishers_direction() -> None:
    numbers, labels = clouds(classes=2, width=5, each=200)
    parts = [numbers[labels == c].astype(np.float64) for c in range(2)]
    within = sum(np.cov(p.T, bias=True) for p in parts)
    wanted = np.linalg.solve(within, parts[1].mean(axis=0) - parts[0].mean(axis=0))
    found = Projection.fit(numbers, labels, 1).matrix[:, 0]
    assert abs(found @ wanted) / np.linalg.norm(found) / np.linalg.norm(wanted) == pytest.approx(1, abs=1e-4)


def test_a_feature_that_never_varies_does_no_harm() -> None:
    numbers, labels = clouds()
    with_constant = np.hstack((numbers, np.ones((len(numbers), 1), np.float32)))
    projected = Projection.fit(with_constant, labels, 3)(with_constant)
    assert np.isfinite(projected).all()
    np.testing.assert_allclose(np.abs(projected), np.abs(Projection.fit(numbers, labels, 3)(numbers)), atol=1e-2)


def spoilt(numbers: Floats, value: float) -> Floats:
    bad = numbers.copy()
    bad[3, 1] = value
    return bad


NUMBERS, LABELS = clouds()
BAD: list[tuple[Floats, Labels, str]] = [
    (spoilt(NUMBERS, np.nan), LABELS, "sample 3 hold a number that is not finite"),
    (spoilt(NUMBERS, np.inf), LABELS, "sample 3 hold a number that is not finite"),
    (NUMBERS[0], LABELS, r"expected \(N, D\)"),
    (NUMBERS, LABELS[:-1], "do not fit 240 samples"),
    (NUMBERS, LABELS - 1, "do not fit 240 samples"),
    (NUMBERS, LABELS.astype(np.float64), "do not fit 240 samples"),  # type: ignore[list-item]
    (NUMBERS[:181], LABELS[:181], "class 3 has 1 samples"),
    (NUMBERS, np.where(LABELS == 1, 2, LABELS), "class 1 has 0 samples"),
    (NUMBERS[:60], LABELS[:60], "nothing to tell apart"),
]


@pytest.mark.parametrize(("numbers", "labels", "message"), BAD)
def test_unfit_samples_are_refused(numbers: Floats, labels: Labels, message: str) -> None:
    with pytest.raises(DataError, match=message) as first:
        MQDF.fit(numbers, labels, 2)
    with pytest.raises(DataError, match=message):
        Projection.fit(numbers, labels, 2)
    assert "\n" not in str(first.value)


@pytest.mark.parametrize("settings", [(0, 1.0, 0.0), (7, 1.0, 0.0), (2, 0.0, 0.0), (2, np.nan, 0.0), (2, 1.0, 1.1)])
def test_impossible_settings_of_mqdf_are_refused(settings: tuple[int, float, float]) -> None:
    with pytest.raises(ArgumentError, match="axes of 6"):
        MQDF.fit(NUMBERS, LABELS, *settings)


@pytest.mark.parametrize("settings", [(0, 0.0), (7, 0.0), (2, -1.0), (2, np.nan)])
def test_impossible_settings_of_lda_are_refused(settings: tuple[int, float]) -> None:
    with pytest.raises(ArgumentError, match="dimensions of 6"):
        Projection.fit(NUMBERS, LABELS, *settings)


def test_numbers_of_another_width_are_refused() -> None:
    with pytest.raises(DataError, match=r"expected \(N, 6\)"):
        MQDF.fit(NUMBERS, LABELS, 2).scores(NUMBERS[:, :5])
    with pytest.raises(DataError, match=r"expected \(N, 6\)"):
        Projection.fit(NUMBERS, LABELS, 2)(NUMBERS[:, :5])
    with pytest.raises(DataError, match="not finite"):
        MQDF.fit(NUMBERS, LABELS, 2).scores(spoilt(NUMBERS, np.nan))


def test_classes_of_one_point_each_have_no_spread() -> None:
    numbers = np.repeat(np.eye(3, dtype=np.float32), 2, axis=0)
    with pytest.raises(DataError, match="spread"):
        MQDF.fit(numbers, np.repeat(np.arange(3), 2), 2)
