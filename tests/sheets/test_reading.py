"""The mean of two readings of a cell."""

from __future__ import annotations

import pytest

from hanmo.prediction import Candidate, Prediction
from hanmo.sheets.reading import mean_of

FIRST = Prediction((Candidate("人", 0.55), Candidate("入", 0.40)))
SECOND = Prediction((Candidate("入", 0.50), Candidate("八", 0.30), Candidate("人", 0.10)))
NOTHING = Prediction((), "blank")


def test_the_mean_of_both_decides() -> None:
    assert [(c.character, pytest.approx(c.probability)) for c in mean_of(FIRST, SECOND).candidates] == [
        ("入", 0.45),
        ("人", 0.325),
        ("八", 0.15),
    ]


def test_an_answer_without_candidates_does_not_count() -> None:
    assert mean_of(FIRST, NOTHING) == FIRST
    assert mean_of(NOTHING, SECOND) == SECOND
    assert mean_of(NOTHING, NOTHING) == NOTHING


def test_refused_only_where_both_are() -> None:
    unknown = Prediction(FIRST.candidates, "unknown character")
    assert not mean_of(unknown, SECOND).refused
    assert not mean_of(FIRST, unknown).refused
    assert mean_of(unknown, unknown).reason == "unknown character"
