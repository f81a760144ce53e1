from __future__ import annotations

from collections.abc import Callable

import pytest

from hanmo.errors import ArgumentError
from hanmo.sheets.against import MAX_CHARACTERS, compare
from hanmo.sheets.sheet import Sheet

Make = Callable[[list[str]], Sheet]


def found(sheet: Sheet, text: str) -> list[tuple[str, str, tuple[int, int] | None, str]]:
    return [
        (d.kind, d.cell.text if d.cell else "", (d.cell.row, d.cell.column) if d.cell else None, d.expected)
        for d in compare(sheet, text)
    ]


def test_the_same_text_has_no_difference(sheet_of: Make) -> None:
    assert compare(sheet_of(["春眠不", "觉  "]), " 春眠\n不觉") == []


def test_another_character_is_named_with_its_cell(sheet_of: Make) -> None:
    assert found(sheet_of(["春眠木", "觉晓 "]), "春眠不觉晓") == [("other", "木", (0, 2), "不")]


def test_a_missing_character_moves_none_of_the_others(sheet_of: Make) -> None:
    assert found(sheet_of(["春不觉晓"]), "春眠不觉晓") == [("missing", "春", (0, 0), "眠")]
    assert found(sheet_of(["眠不觉晓"]), "春眠不觉晓") == [("missing", "", None, "春")]


def test_an_extra_character_is_named(sheet_of: Make) -> None:
    assert found(sheet_of(["春眠眠不觉晓"]), "春眠不觉晓") in (
        [("extra", "眠", (0, 1), "")],
        [("extra", "眠", (0, 2), "")],
    )


def test_a_cell_that_was_not_read_is_no_mistake(sheet_of: Make) -> None:
    assert found(sheet_of(["春□不觉晓"]), "春眠不觉晓") == [("unread", "□", (0, 1), "眠")]


def test_an_exchange_is_no_gap_and_an_extra(sheet_of: Make) -> None:
    assert [kind for kind, *_ in found(sheet_of(["大小人口"]), "大少入口")] == ["other", "other"]


@pytest.mark.parametrize("text", ["", " \n", "大" * (MAX_CHARACTERS + 1)])
def test_no_text_and_too_long_a_text_are_refused(text: str, sheet_of: Make) -> None:
    with pytest.raises(ArgumentError, match="the text to compare with"):
        compare(sheet_of(["大"]), text)
