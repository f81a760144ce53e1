"""Minimum classification error training of an MQDF."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hanmo.classic.baseline import cross_validate, run_classic, top_accuracy
from hanmo.classic.features import GradientFeatures
from hanmo.classic.mce import _measures, _towards, refine
from hanmo.classic.mqdf import MQDF
from hanmo.classic.reader import ClassicConfig
from hanmo.data.pack import Pack
from hanmo.errors import ArgumentError, DataError

Numbers = tuple[NDArray[np.float32], NDArray[np.int64]]


def samples(seed: int, count: int = 400) -> Numbers:
    """Two classes of which one lies on both sides of the other: a Gaussian fits it badly."""
    generator = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], count)
    numbers = generator.normal(size=(3 * count, 6)).astype(np.float32)
    numbers[labels == 0, 0] += 1.5
    numbers[:count:3, 0] += 6
    numbers[labels == 2, 1] += 3
    return numbers, labels


def test_errors_become_fewer_on_samples_that_were_not_seen() -> None:
    numbers, labels = samples(0)
    unseen, of = samples(1)
    fitted = MQDF.fit(numbers, labels, axes=2)
    trained = refine(fitted, numbers, labels, epochs=6, rate=0.05)
    for given, classes in ((numbers, labels), (unseen, of)):
        before, after = (top_accuracy(mqdf.scores(given), classes, 1) for mqdf in (fitted, trained))
        assert after > before
    assert np.array_equal(trained.axes, fitted.axes), "only the means are trained"


def test_the_direction_is_that_of_the_gradient_of_the_score() -> None:
    numbers, labels = samples(0, 40)
    mqdf = MQDF.fit(numbers, labels, axes=2)
    towards, step = _towards(mqdf, numbers[:1], labels[:1])[0], 1e-2
    for axis in range(6):
        scores = []
        for sign in (1, -1):
            means = mqdf.means.copy()
            means[labels[0], axis] += sign * step
            scores.append(float(replace(mqdf, means=means).scores(numbers[:1])[0, labels[0]]))
        slope = (scores[0] - scores[1]) / (2 * step)
        assert slope * mqdf.minor / 2 == pytest.approx(float(towards[axis]), abs=2e-2)


def test_the_measure_is_positive_for_errors_alone() -> None:
    numbers, labels = samples(0)
    mqdf = MQDF.fit(numbers, labels, axes=2)
    measures, rivals = _measures(mqdf, numbers, labels)
    assert ((measures > 0) == (mqdf.scores(numbers).argmax(axis=1) != labels)).all()
    assert (rivals != labels).all()


def test_it_is_repeatable_and_no_epoch_changes_nothing() -> None:
    numbers, labels = samples(0)
    mqdf = MQDF.fit(numbers, labels, axes=2)
    assert refine(mqdf, numbers, labels, epochs=0) is mqdf
    first, second, other = (refine(mqdf, numbers, labels, epochs=2, seed=seed).means for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_the_axes_are_scaled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers, labels = samples(0)
    mqdf = MQDF.fit(numbers, labels, axes=2)
    scaling, scaled = MQDF.__dict__["_scaled"], []
    scale = scaling.func
    monkeypatch.setattr(scaling, "func", lambda function: scaled.append(function) or scale(function))
    trained = refine(mqdf, numbers, labels, epochs=1)
    scores = trained.scores(numbers)
    assert scaled == [mqdf], "each step changes the means alone"
    np.testing.assert_array_equal(scores, replace(trained).scores(numbers))


def test_what_cannot_be() -> None:
    numbers, labels = samples(0, 10)
    mqdf = MQDF.fit(numbers, labels, axes=2)
    for wrong in ({"rate": 0.0}, {"rate": 2.0}, {"epochs": -1}):
        with pytest.raises(ArgumentError, match="epochs from 0, rate above 0 and up to 1"):
            refine(mqdf, numbers, labels, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="2 classes for a function of 3"):
        refine(mqdf, numbers[:20], labels[:20])
    with pytest.raises(DataError, match="not finite"):
        refine(mqdf, numbers * np.float32(np.nan), labels)


def test_the_reader_trains_when_it_is_asked_to(drawn: Path) -> None:
    train, test = Pack.open(drawn / "train"), Pack.open(drawn / "test")
    plain = ClassicConfig(features=GradientFeatures(grid=4), dimensions=30, axes=5)
    trained = replace(plain, mce=3)
    results = [run_classic(train, test, config) for config in (plain, trained)]
    assert not np.array_equal(results[0].reader.mqdf.means, results[1].reader.mqdf.means)
    assert np.array_equal(results[0].reader.projection.matrix, results[1].reader.projection.matrix)
    assert min(result.top1 for result in results) > 90
    assert len(cross_validate(train, [plain, trained], 2)) == 2
