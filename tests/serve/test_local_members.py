"""How the page's own reader names classes, beside Python."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from hanmo.charset import GROUPS, Members, merge_groups, named_charset, sets_within
from hanmo.serve.site import STATIC
from needs import NODE

HERE = Path(__file__).parent


def javascript(settings: dict[str, Any], among: list[str | None]) -> list[Any]:
    command = [NODE.get(), str(HERE / "members.mjs"), str(STATIC / "js" / "local")]
    given = json.dumps({"settings": settings, "among": among})
    ran = subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=60)
    answers: list[Any] = json.loads(ran.stdout)
    return answers


def test_classes_are_named_as_python_names_them() -> None:
    wide = named_charset("wide")
    charset, groups = merge_groups(wide), {group.representative: group.members for group in GROUPS}
    members = Members(charset, groups)
    names = sets_within(members.known)
    assert {"level1", "traditional", "digits", "latin", "punctuation"} <= set(names)
    settings = {
        "charset": str(charset),
        "groups": groups,
        "sets": {name: "".join(c for c in named_charset(name) if c in members.known) for name in names},
    }
    asked = [None, *names, "digits+latin", "punctuation+ascii-punctuation", "oO", "〇翰", "+"]
    for among, answer in zip(asked, javascript(settings, asked), strict=True):
        choice = members.all if among is None else members.among(among)
        classes = list(range(len(charset))) if choice.classes is None else choice.classes.tolist()
        assert answer == [[number, *choice.name(i)] for i, number in enumerate(classes)], among


def test_unknown_words_are_refused() -> None:
    answers = javascript({"charset": "01", "groups": {"0": "0O"}, "sets": {}}, ["O1", "digits", ""])
    assert answers[0] == [[0, "O", ""], [1, "1", ""]]
    assert [answer["code"] for answer in answers[1:]] == ["unusable_among"] * 2
