"""Characters that look the same, and the choice among a set, in the browser's own reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn_digits import DIGITS, GROUPS
from hanmo.recognizer import Recognizer
from hanmo.serve.site import write_site
from needs import RUNTIME


@pytest.fixture(scope="module")
def reader(comparing_bundle: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    return Recognizer(comparing_bundle(tmp_path_factory.mktemp("digits") / "digits", DIGITS, 48, groups=GROUPS))


@pytest.fixture(scope="module")
def root(reader: Recognizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("host")
    write_site(root / "below" / "here", RUNTIME.get(), reader.bundle)
    return root


@pytest.mark.parametrize("among", [None, "digits", "oO十", "〇口"])
def test_answers_are_those_of_python(page: Any, reader: Recognizer, among: str | None) -> None:
    inputs = [{"strokes": strokes} for strokes in DIGITS.values()]
    options = {"top": 5} | ({"among": among} if among else {})
    answers = page.evaluate("([inputs, options]) => reader.read(inputs, options)", [inputs, options])
    for answer, strokes in zip(answers, DIGITS.values(), strict=True):
        expected = reader.recognize([np.array(stroke) for stroke in strokes], 5, among=among)
        assert [(c["character"], c["alike"]) for c in answer["candidates"]] == [
            (c.character, c.alike) for c in expected.candidates
        ]
        for got, candidate in zip(answer["candidates"], expected.candidates, strict=True):
            assert got["probability"] == pytest.approx(candidate.probability, abs=2e-6)


def test_words_that_name_nothing_are_refused(page: Any) -> None:
    code = page.evaluate(
        """() => reader.read([{strokes: [[[0, 0], [1, 1]]]}], {among: "greek"}).catch((e) => e.code)"""
    )
    assert code == "unusable_among"


def test_members_can_be_looked_up_and_explained(page: Any) -> None:
    found = page.evaluate("() => reader.lookup('〇')")
    assert found["character"] == "〇"
    assert all(other["character"] != "0" for other in found["look_alikes"])
    why = page.evaluate("(input) => reader.explain(input, 'O')", {"strokes": DIGITS["0"]})
    assert why["character"] == "O"


def test_the_menu_offers_the_sets_of_the_manifest(sheet: Callable[..., Any]) -> None:
    one = sheet()
    one.draw(DIGITS["口"])
    one.expect_first("口")
    one.page.locator("#among select").select_option("digits")
    one.page.wait_for_function("() => document.querySelector('#candidates .glyph').textContent !== '口'")
    assert set(one.candidates()) == set("0123456789")
    one.picture("among-site")
