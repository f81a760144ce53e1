"""Accuracy, confusions and closed answers, against counts by hand and against slow loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from hanmo.evaluate import metrics
from hanmo.evaluate.metrics import class_means, confused_pairs, pair_counts, ranks, restrict, topk_accuracy


@st.composite
def answered(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits with many ties, (N, C), and labels (N,)."""
    shape = draw(st.tuples(st.integers(1, 30), st.integers(2, 7)))
    logits = draw(hnp.arrays(np.int8, shape, elements=st.integers(-4, 4)))
    labels = draw(hnp.arrays(np.int64, shape[0], elements=st.integers(0, shape[1] - 1)))
    return logits.astype(np.float32), labels


@given(answered())
def test_topk_grows_with_k_up_to_100(case: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    logits, labels = case
    ks = range(1, logits.shape[1] + 3)
    values = list(topk_accuracy(logits, labels, ks).values())
    assert values == sorted(values)
    assert values[0] >= 0
    assert values[logits.shape[1] - 1 :] == [100.0] * 3


@given(answered())
def test_ties_score_what_shuffled_classes_score_on_average(case: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    logits, labels = case
    for k in (1, 2):
        credit = ranks(logits, labels).credit(k)
        for row, label, got in zip(logits, labels, credit, strict=True):
            above, tied = int((row > row[label]).sum()), int((row == row[label]).sum())
            places = [above + i < k for i in range(tied)]
            assert got == pytest.approx(np.mean(places))


@given(answered(), st.integers(1, 40))
def test_the_size_of_the_slices_changes_nothing(case: tuple[NDArray[np.float32], NDArray[np.int64]], size: int) -> None:
    whole = ranks(*case), metrics.answers(case[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "_SLICE", size)
        sliced = ranks(*case), metrics.answers(case[0])
    np.testing.assert_array_equal(whole[0].above, sliced[0].above)
    np.testing.assert_array_equal(whole[0].tied, sliced[0].tied)
    np.testing.assert_array_equal(whole[1], sliced[1])


@given(answered())
def test_classes_weighted_by_their_samples_make_the_accuracy(
    case: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> None:
    logits, labels = case
    count = np.bincount(labels, minlength=logits.shape[1])
    shares = 100 * class_means(ranks(logits, labels).credit(1), labels, logits.shape[1])
    assert np.array_equal(np.isnan(shares), count == 0)
    assert np.nansum(shares * count) / count.sum() == pytest.approx(topk_accuracy(logits, labels, [1])[1])


@given(answered())
def test_confusions_are_all_the_mistakes_once(case: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    logits, labels = case
    predicted = logits.argmax(axis=1)
    found = confused_pairs(predicted, labels, top=100)
    assert {(pair.true, pair.predicted) for pair in found} == {
        *zip(labels[predicted != labels].tolist(), predicted[predicted != labels].tolist(), strict=True)
    }
    assert [pair.count for pair in found] == sorted((pair.count for pair in found), reverse=True)
    for pair in found:
        assert pair.count == ((labels == pair.true) & (predicted == pair.predicted)).sum()
        back = sum(other.count for other in found if (other.true, other.predicted) == (pair.predicted, pair.true))
        assert pair.both == pair.count + back


def test_figures_by_hand() -> None:
    logits = np.array([[3, 2, 1, 0], [3, 2, 1, 0], [0, 1, 2, 3], [0, 9, 2, 3]], np.float16)
    labels = np.array([0, 1, 0, 0])
    assert topk_accuracy(logits, labels, (1, 2, 4, 9)) == {1: 25.0, 2: 50.0, 4: 100.0, 9: 100.0}
    assert [(p.true, p.predicted, p.count, p.both) for p in confused_pairs(logits.argmax(axis=1), labels, top=2)] == [
        (0, 1, 1, 2),
        (1, 0, 1, 2),
    ]
    assert pair_counts(logits.argmax(axis=1), labels) == {(0, 1): 1, (0, 3): 1, (1, 0): 1}


def test_a_dead_net_scores_chance_and_a_broken_one_nothing() -> None:
    labels = np.arange(10)
    assert topk_accuracy(np.zeros((10, 10), np.float32), labels) == {
        1: pytest.approx(10),
        5: pytest.approx(50),
        10: 100,
    }
    assert topk_accuracy(np.full((10, 10), np.nan, np.float32), labels, (1, 5)) == {1: 0.0, 5: 0.0}


@given(answered(), st.data())
def test_restrict_answers_only_what_is_allowed(
    case: tuple[NDArray[np.float32], NDArray[np.int64]], data: st.DataObject
) -> None:
    logits, _ = case
    width = logits.shape[1]
    allowed = np.array(sorted(data.draw(st.sets(st.integers(0, width - 1), min_size=1))))
    closed = restrict(logits, allowed)
    assert np.isin(closed.argmax(axis=1), allowed).all()
    np.testing.assert_array_equal(closed[:, allowed], logits[:, allowed])
    labels = allowed[np.arange(len(logits)) % len(allowed)]
    assert topk_accuracy(closed, labels, [1])[1] >= topk_accuracy(logits, labels, [1])[1] - 1e-9


def test_what_does_not_fit_is_refused() -> None:
    logits = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match="expected"):
        ranks(logits, np.zeros(3, int))
    with pytest.raises(ValueError, match="3 classes"):
        ranks(logits, np.array([0, 3]))
    with pytest.raises(ValueError, match="no samples"):
        topk_accuracy(logits[:0], np.zeros(0, int))
    with pytest.raises(ValueError, match="k >= 1"):
        topk_accuracy(logits, np.zeros(2, int), (0,))
    for classes in ([], [3], [-1]):
        with pytest.raises(ValueError, match="restrict"):
            restrict(logits, np.array(classes, int))


def test_no_mistakes_no_confusions() -> None:
    assert confused_pairs(np.arange(4), np.arange(4)) == []
    assert confused_pairs(np.empty(0, int), np.empty(0, int)) == []
