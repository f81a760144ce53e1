"""Classes that stand for several characters: how their members are named, restricted and explained."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hanmo.charset import Charset, Members, check_groups, merge_groups, named_charset, sets_within
from hanmo.errors import ArgumentError, CharsetError
from hanmo.occlusion import explain
from hanmo.prediction import Candidate, Prediction
from hanmo.recognizer import Recognizer

HAND: dict[str, Any] = {
    "一": [[(0, 5), (10, 5)]],
    "1": [[(5, 0), (5, 10)]],
    "十": [[(0, 5), (10, 5)], [(5, 0), (5, 10)]],
    "0": [[(0, 0), (10, 0), (10, 10), (0, 10), (0, 0)]],
}
GROUPS = {"一": "一-—", "1": "1lI|丨", "0": "0Oo〇。"}


@pytest.fixture(scope="module")
def reader(comparing_bundle: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    return Recognizer(comparing_bundle(tmp_path_factory.mktemp("groups") / "tiny", HAND, 16, groups=GROUPS))


def best(prediction: Prediction) -> tuple[str, str]:
    candidate = prediction.candidates[0]
    return candidate.character, candidate.alike


def test_a_class_is_named_by_its_representative_and_lists_the_others(reader: Recognizer) -> None:
    assert [best(reader.recognize(strokes)) for strokes in HAND.values()] == [
        ("一", "-—"), ("1", "lI|丨"), ("十", ""), ("0", "Oo〇。"),
    ]  # fmt: skip
    assert reader.recognize(HAND["0"]).character == "0"


@pytest.mark.parametrize(
    ("among", "expected"),
    [
        ("digits", ("0", "")),
        ("latin", ("O", "o")),
        ("oO", ("O", "o")),
        (["o", "O"], ("O", "o")),
        ({"。", "十"}, ("。", "")),
        ("punctuation", ("。", "")),
        ("digits+latin", ("0", "Oo")),
        (["digits", "〇"], ("0", "〇")),
    ],
)
def test_among_names_the_first_member_that_was_asked_for(
    reader: Recognizer, among: Any, expected: tuple[str, str]
) -> None:
    prediction = reader.recognize(HAND["0"], among=among)
    assert best(prediction) == expected
    assert sum(c.probability for c in prediction.candidates) == pytest.approx(1)


def test_among_closes_the_answer_to_the_classes_of_its_members(reader: Recognizer) -> None:
    free = {c.character: c.probability for c in reader.recognize(HAND["十"]).candidates}
    closed = reader.recognize(HAND["十"], among="-O")
    assert {(c.character, c.alike) for c in closed.candidates} == {("-", ""), ("O", "")}
    for candidate, of in zip(closed.candidates, closed.candidates, strict=True):
        share = free[{"-": "一", "O": "0"}[of.character]] / (free["一"] + free["0"])
        assert candidate.probability == pytest.approx(share)
    assert reader.recognize_batch([HAND["十"]], among="-O") == [closed]
    assert [c.character for c in reader.recognize(HAND["一"], among="level1").candidates] == ["一", "十"]


def test_characters_are_all_that_can_be_named(reader: Recognizer) -> None:
    assert str(reader.characters) == "一1十0-—lI|丨Oo〇。"
    assert "14 characters" in repr(reader)
    assert [reader.class_of(c) for c in "一-1丨十0。"] == [0, 0, 1, 1, 2, 3, 3]
    with pytest.raises(CharsetError, match="'翰' is not among the 14 characters"):
        reader.class_of("翰")
    with pytest.raises(CharsetError, match="1 label\\(s\\) outside the charset of 14 characters: 翰"):
        reader.recognize(HAND["0"], among="0翰")
    with pytest.raises(CharsetError, match="'greek' is no set"):
        reader.recognize(HAND["0"], among="greek")


def test_a_pickled_reader_keeps_its_groups(reader: Recognizer) -> None:
    again = pickle.loads(pickle.dumps(reader))
    assert best(again.recognize(HAND["0"], among="latin")) == ("O", "o")


def test_predictions_from_logits(reader: Recognizer) -> None:
    squares = np.stack([reader.square(strokes) for strokes in HAND.values()])
    logits = reader.logits(squares)
    assert reader.decide(logits, 2) == reader.predict(squares, 2)
    assert reader.decide(logits, among="digits") == reader.predict(squares, among="digits")
    reader.check_among("digits")
    with pytest.raises(ArgumentError, match="among is empty"):
        reader.check_among("")


def test_members_are_explained_like_their_class(reader: Recognizer) -> None:
    as_class, as_member = explain(reader, HAND["0"], "0"), explain(reader, HAND["0"], "〇")
    assert (as_class.character, as_member.character) == ("0", "〇")
    np.testing.assert_array_equal(as_class.heat, as_member.heat)


def test_people_see_the_others(reader: Recognizer) -> None:
    candidates = (Candidate("0", 0.75, "Oo"), Candidate("十", 0.25))
    assert str(Prediction(candidates)) == "0 (or O o) 75.0% 十 25.0%"
    assert "or O o" in Prediction(candidates)._repr_html_()
    assert "&lt;" in Prediction((Candidate("〈", 1.0, "<"),))._repr_html_()
    assert Candidate("十", 0.25).alike == ""


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"翰": "翰h"}, "'翰' is no class of this charset of 2 characters"),
        ({"0": ""}, "must start with it"),
        ({"0": "O0"}, "must start with it, not 'O0'"),
        ({"0": "0OO"}, "twice: O"),
        ({"0": "0O", "1": "1O"}, "twice: O"),
        ({"0": "01"}, "twice: 1"),
    ],
)
def test_impossible_groups(groups: dict[str, str], message: str) -> None:
    with pytest.raises(CharsetError, match=message):
        check_groups(Charset("01"), groups)


def test_all_of_wide_can_be_named() -> None:
    """The classes of wide with all groups name every character of wide, and closed to level 1 they are level 1."""
    from hanmo.charset import GROUPS as ALL

    wide, level1 = named_charset("wide"), Charset.level1()
    members = Members(merge_groups(wide), {group.representative: group.members for group in ALL})
    assert set(members.known) == set(wide)
    choice = members.among("level1")
    assert choice.classes is not None
    assert choice.classes.tolist() == list(range(3755))
    assert [choice.name(i) for i in range(3755)] == [(c, "") for c in level1]
    digits = members.among("digits")
    assert digits.classes is not None
    named = [digits.name(i) for i in range(len(digits.classes))]
    assert sorted(named) == [(str(n), "") for n in range(10)]
    np.testing.assert_array_equal(members.encode("0O〇"), [members.class_of("0")] * 3)


def test_sets_worth_choosing() -> None:
    assert sets_within(Charset.level1()) == []
    assert sets_within(Charset("0123456789")) == []
    assert sets_within(Charset("0123456789十")) == ["digits"]
    assert sets_within(named_charset("gb2312")) == ["level1", "level2", "common"]
    wide = sets_within(named_charset("wide"))
    assert "level1" in wide
    assert "digits" in wide
    assert "wide" not in wide


def test_the_table_and_the_json_name_the_others(
    reader: Recognizer, run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    import json

    from PIL import Image

    from hanmo.image import load

    Image.fromarray(load(HAND["0"])).save("a.png")
    status, out, _ = run("recognize", "a.png", "--bundle", str(reader.bundle.path))
    assert status == 0
    assert "or O o 〇 。" in out
    _, out, _ = run("recognize", "a.png", "--bundle", str(reader.bundle.path), "--json", "--among", "latin")
    (first, *_) = json.loads(out)["candidates"]
    assert (first["character"], first["alike"]) == ("O", "o")
