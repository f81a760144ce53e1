from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from PIL import ImageColor

from hanmo.sheets.against import compare
from hanmo.sheets.overlay import LONGEST, draw_overlay, kind_of
from hanmo.sheets.sheet import Sheet
from hanmo.sheets.write import COLUMNS, as_csv, as_dict, as_rows

Make = Callable[[list[str]], Sheet]


def test_the_table_has_a_row_for_each_cell(sheet_of: Make) -> None:
    text = as_csv(as_rows(sheet_of(["山 ", "□水"])))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == COLUMNS
    assert [(r["row"], r["column"], r["character"], r["empty"], r["corrected"]) for r in rows] == [
        ("1", "1", "山", "0", "0"),
        ("1", "2", "", "1", "0"),
        ("2", "1", "", "0", "1"),
        ("2", "2", "水", "0", "0"),
    ]
    assert rows[0]["probability"] == "0.98"
    assert rows[0]["candidates"] == "山丶"
    assert (rows[1]["x1"], rows[1]["y3"]) == ("163.0", "159.0")


def test_json_holds_all_there_is(sheet_of: Make) -> None:
    sheet = sheet_of(["山 ", "□水"])
    table = json.loads(json.dumps(as_dict(sheet, compare(sheet, "山川木"))))
    assert table["text"] == "山\n□水"
    assert table["grids"] == [{"rows": 2, "columns": 2, "ruled": True}]
    assert (table["width"], table["height"], table["rotation"], table["upside_down"]) == (800, 600, 0, False)
    first = table["cells"][0]
    assert first["candidates"][0] == {"character": "山", "probability": 0.98, "alike": ""}
    assert (first["grid"], first["row"], first["column"], first["character"]) == (1, 1, 1, "山")
    assert table["cells"][1]["candidates"] == []
    assert [d["kind"] for d in table["differences"]] == ["unread", "other"]
    assert table["differences"][1] == {"kind": "other", "expected": "木", "grid": 1, "row": 2, "column": 2}
    assert "differences" not in as_dict(sheet)


def test_cells_are_shown_by_kind(sheet_of: Make) -> None:
    sheet = sheet_of(["山 □"])
    assert [kind_of(cell) for cell in sheet.cells] == ["sure", "empty", "not read"]
    assert kind_of(sheet.cells[0], different=True) == "different"


def test_the_overlay_outlines_each_cell_in_the_colour_of_its_kind(sheet_of: Make) -> None:
    sheet = sheet_of(["山 □水"])
    drawn = np.asarray(draw_overlay(np.full((600, 800, 3), 255, np.uint8), sheet, [sheet.cells[3]]))
    assert drawn.shape[1] == 800
    assert drawn.shape[0] > 600, "a legend is added below"
    for cell, colour in zip(sheet.cells, ("#0f766e", "#94a3b8", "#b91c1c", "#a21caf"), strict=True):
        left, top = cell.quadrilateral[0].round().astype(int)
        inside = drawn[top : top + 95, left : left + 95].reshape(-1, 3)
        assert (inside == ImageColor.getrgb(colour)).all(1).any() or cell.empty
        # The character is written in white on a tag of this colour; an empty cell has an outline only.
        coloured = (np.abs(inside.astype(int) - ImageColor.getrgb(colour)).sum(1) < 90).mean()
        assert (coloured < 0.03) if cell.empty else (coloured > 0.06)


@pytest.mark.parametrize("rotation", [0, 90])
def test_a_large_photograph_is_reduced_and_turned(rotation: int, sheet_of: Make) -> None:
    made = sheet_of(["山"])
    sheet = Sheet(made.cells, made.grids, "rows", (1000, 4000), rotation)
    shape = (4000, 1000, 3) if rotation == 0 else (1000, 4000, 3)
    drawn = draw_overlay(np.full(shape, 255, np.uint8), sheet)
    assert drawn.width == LONGEST // 4
    assert drawn.height > LONGEST
