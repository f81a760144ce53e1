"""The embedded readers give the recorded answers to drawn pictures, in every batch and with any number of threads."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hanmo.builtin import EMBEDDED
from scripts import load_script

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "same_answers.py"
SAMPLE = 50
"""Pictures in every run; `make soak` reads all 500."""


@pytest.fixture(scope="module")
def golden() -> ModuleType:
    return load_script(SCRIPT)


@pytest.fixture(scope="module")
def recorded(golden: ModuleType) -> dict[str, Any]:
    return json.loads(golden.RECORDED.read_text(encoding="utf-8"))


def test_the_record_has_500_answers_of_every_bundle(golden: ModuleType, recorded: dict[str, Any]) -> None:
    assert set(recorded) == set(EMBEDDED)
    for answers in recorded.values():
        assert len(answers["top1"]) == len(answers["probabilities"]) == golden.PICTURES == 500
    assert golden.RECORDED.stat().st_size < 50_000


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_sample_is_read_as_recorded(golden: ModuleType, recorded: dict[str, Any], name: str) -> None:
    answers = golden.answer(name, golden.draw_pictures(SAMPLE))
    assert golden.problems(name, answers, recorded[name]) == []


@pytest.mark.soak
@pytest.mark.parametrize("name", EMBEDDED)
def test_all_pictures_are_read_as_recorded(golden: ModuleType, recorded: dict[str, Any], name: str) -> None:
    answers = golden.answer(name, golden.draw_pictures())
    assert golden.problems(name, answers, recorded[name]) == []


def test_fewer_pictures_are_the_first_of_all(golden: ModuleType) -> None:
    few, more = golden.draw_pictures(3), golden.draw_pictures(6)
    assert all(np.array_equal(one, other) for one, other in zip(few, more, strict=False))
    assert len({golden.digest([picture]) for picture in more}) == 6


def test_every_difference_is_named(golden: ModuleType) -> None:
    nothing = np.zeros((0,), np.uint8)
    answers = golden.Answers("永山水", [0.9, 0.8, 0.7], nothing, nothing.astype(np.float32), 0.5)
    record = {"top1": "永川水", "probabilities": [0.9, 0.8, 0.71]}
    batch, character, probability = golden.problems("free", answers, record)
    assert batch == "free: batch or threads change a logit by 0.5"
    assert character == "free: picture 1 is read as 山, recorded is 川 (0.8)"
    assert probability == "free: picture 2, 水: probability 0.7, recorded is 0.71"
    assert golden.largest_gap(answers, record) == pytest.approx(0.01)
