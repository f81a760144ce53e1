from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hanmo
from drawn_boxes import boxes, draw_boxes
from hanmo.errors import ArgumentError, CharsetError, ImageError, SheetError
from hanmo.recognizer import Recognizer
from hanmo.sheets.grid import Grid
from hanmo.sheets.order import order_of_cells, order_of_grids
from hanmo.sheets.sheet import Sheet, read_grids
from hanmo.sheets.turn import turned_grid

POEM = ["春眠不觉晓 ", "  处闻啼鸟", "夜来风雨声 ", "花落知多少 ", "      "]
TEXT = "春眠不觉晓\n\u3000\u3000处闻啼鸟\n夜来风雨声\n花落知多少"


def test_a_sheet_is_read_cell_by_cell(reader: Recognizer) -> None:
    pixels, grid = draw_boxes(POEM, cross="#707070", struck={(2, 1)})
    sheet = read_grids(pixels, [grid], reader)
    assert sheet.text() == TEXT.replace("来", "□")
    assert (sheet.size, sheet.rotation, sheet.upside_down) == ((pixels.shape[1], pixels.shape[0]), 0, False)
    struck = sheet.cells[13]
    assert (struck.row, struck.column, struck.corrected, struck.character) == (2, 1, True, None)
    assert struck.probability == 0, "its candidates stay in the prediction"
    empty = sheet.cells[6]
    assert (empty.empty, empty.prediction, empty.character, empty.probability) == (True, None, None, 0.0)
    first = sheet.cells[0]
    assert first.picture.shape == (96, 96)
    assert np.array_equal(first.quadrilateral, grid.quads[0, 0])
    assert first.prediction is not None
    assert len(first.prediction.candidates) == 10
    assert first.probability == first.prediction.probability > 0.9


def test_a_faint_character_beside_dark_ones_is_read(reader: Recognizer) -> None:
    pixels, grid = draw_boxes(POEM, faint={(0, 2)})
    assert read_grids(pixels, [grid], reader).text() == TEXT


@pytest.mark.parametrize("turn", [0, 2])
def test_a_cell_that_told_the_turn_is_not_read_again(turn: int, reader: Recognizer, monkeypatch: Any) -> None:
    pixels, grid = draw_boxes(POEM)
    height, width = pixels.shape[:2]
    read = []
    recognize = reader.recognize_batch

    def counted(images: list[np.ndarray], *arguments: Any, **options: Any) -> Any:
        read.extend(image.tobytes() for image in images)
        return recognize(images, *arguments, **options)

    monkeypatch.setattr(reader, "recognize_batch", counted)
    sheet = read_grids(np.rot90(pixels, turn).copy(), [turned_grid(grid, turn, (width, height))], reader)
    assert sheet.text() == TEXT
    assert len(read) == len(set(read)) > 19


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_turned_sheet_is_turned_back(turn: int, reader: Recognizer) -> None:
    pixels, grid = draw_boxes(POEM)
    height, width = pixels.shape[:2]
    turned = turned_grid(grid, turn, (width, height))
    sheet = read_grids(np.rot90(pixels, turn).copy(), [turned], reader)
    assert sheet.text() == TEXT
    assert sheet.rotation == 360 - 90 * turn
    assert sheet.upside_down is (turn == 2)
    assert sheet.size == (width, height)
    assert np.allclose(sheet.grids[0].quads, grid.quads)


def test_a_blank_sheet_has_no_text_and_is_not_turned(reader: Recognizer) -> None:
    pixels, grid = draw_boxes(["   "] * 3)
    sheet = read_grids(pixels, [grid], reader)
    assert (sheet.text(), sheet.rotation) == ("", 0)
    assert all(cell.empty for cell in sheet.cells)


def test_coloured_rules_are_hidden_on_a_dark_desk_too(reader: Recognizer) -> None:
    pixels, grid = draw_boxes(["春 不", "  晓"], cross="#c08080")
    desk = np.full((900, 900, 3), (40, 25, 20), np.uint8)
    desk[100 : 100 + pixels.shape[0], 200 : 200 + pixels.shape[1]] = pixels
    sheet = read_grids(desk, [Grid(grid.quads + np.array([200, 100]))], reader)
    assert sheet.text() == "春\u3000不\n\u3000\u3000晓"
    assert sheet.cells[1].picture.min() > 200
    with pytest.raises(SheetError, match="outside of its picture"):
        read_grids(pixels, [Grid(grid.quads + 2000)], reader)


def test_columns_are_read_as_the_direction_says(reader: Recognizer) -> None:
    pixels, grid = draw_boxes(["山大", "水小", "火 "])
    assert read_grids(pixels, [grid], reader, direction="columns").text() == "山水火\n大小"
    assert read_grids(pixels, [grid], reader, direction="columns-right-to-left").text() == "大小\n山水火"
    assert list(order_of_cells(2, 2, "columns-right-to-left")) == [(0, 1), (1, 1), (0, 0), (1, 0)]


def test_two_pages_are_read_one_after_the_other(reader: Recognizer) -> None:
    left, grid = draw_boxes(["山水", "火木"])
    right, _ = draw_boxes(["春夜", "花雨"])
    other = Grid(grid.quads + np.array([left.shape[1], 0]))
    pixels = np.hstack([left, right])
    sheet = read_grids(pixels, [other, grid], reader)
    assert sheet.text() == "山水\n火木\n\n春夜\n花雨"
    assert [cell.grid for cell in sheet.cells] == [0] * 4 + [1] * 4
    backward = read_grids(pixels, [grid, other], reader, direction="columns-right-to-left")
    assert backward.text() == "夜雨\n春花\n\n水木\n山火"


def test_grids_below_each_other_are_read_from_the_top() -> None:
    grids = [boxes(2, 2, at=(0, 500)), boxes(2, 2, at=(300, 10)), boxes(2, 2, at=(0, 0))]
    assert order_of_grids(grids, "rows") == [2, 1, 0]
    assert order_of_grids(grids, "columns-right-to-left") == [1, 2, 0]


def test_one_page_is_read_before_the_next() -> None:
    left = [boxes(2, 2, at=(0, 0)), boxes(2, 2, at=(0, 400))]
    right = boxes(3, 2, at=(900, 40))
    assert order_of_grids([right, *left], "rows") == [1, 2, 0]
    assert order_of_grids([right, *left], "columns-right-to-left") == [0, 1, 2]


def test_ornaments_that_look_like_boxes_are_left_out(reader: Recognizer) -> None:
    pixels, grid = draw_boxes(["春眠不觉晓", "处处闻啼鸟"] * 5)
    stars = np.full((100, pixels.shape[1], 3), 255, np.uint8)
    y, x = np.mgrid[:100, : pixels.shape[1]]
    stars[(np.abs(x % 100 - 50) + np.abs(y - 50) < 40) & ((x // 3 + y // 7) % 2 == 0)] = 0
    ornament = Grid(boxes(1, 5, at=(0, 0)).quads + np.array([0, pixels.shape[0]]))
    sheet = read_grids(np.vstack([pixels, stars]), [grid, ornament], reader)
    assert len(sheet.grids) == 1
    assert sheet.text() == "\n".join(["春眠不觉晓", "处处闻啼鸟"] * 5)
    alone = read_grids(np.vstack([pixels, stars]), [ornament], reader)
    assert len(alone.grids) == 1, "the only grid stays, whatever it holds"


def test_context_is_only_used_where_it_is_asked_for(reader: Recognizer) -> None:
    pixels, grid = draw_boxes(["已经学习"])
    plain = read_grids(pixels, [grid], reader, among="己经学习已")
    assert all(cell.in_context is None for cell in plain.cells)
    read = read_grids(pixels, [grid], reader, among="己经学习已", context=True)
    assert read.text() == "已经学习"
    assert [cell.in_context for cell in read.cells] == list("已经学习")


def test_among_restricts_the_answers(reader: Recognizer) -> None:
    pixels, grid = draw_boxes(["春夜"])
    assert read_grids(pixels, [grid], reader, among="夜山").text() in ("山夜", "夜夜", "□夜")
    with pytest.raises(CharsetError, match="龘"):
        read_grids(pixels, [grid], reader, among="龘")


def test_a_photograph_is_read_as_a_whole(reader: Recognizer) -> None:
    rows = [
        "春眠不觉晓处处闻啼",
        "鸟夜来风雨声花落知",
        "多少床前明月光疑是",
        "地上霜举头望明月低",
        "头思故乡白日依山尽",
        "黄河入海流欲穷千里",
    ]
    pixels, _ = draw_boxes(rows, 150)
    noise = np.random.default_rng(5).normal(0, 3, pixels.shape)
    pixels = (pixels + noise).clip(0, 255).astype(np.uint8)
    sheet = hanmo.read_sheet(pixels, reader)
    assert isinstance(sheet, hanmo.Sheet)
    assert sheet.text() == "\n".join(rows)
    upside_down = hanmo.read_sheet(np.rot90(pixels, 2).copy())
    assert (upside_down.text(), upside_down.rotation) == ("\n".join(rows), 180)


def test_what_is_no_sheet_is_an_error(reader: Recognizer) -> None:
    with pytest.raises(SheetError, match="the picture is blank"):
        hanmo.read_sheet(np.full((900, 700), 250, np.uint8), reader)
    with pytest.raises(ArgumentError, match="direction is 'up'; one of rows, columns"):
        hanmo.read_sheet(np.full((900, 700), 250, np.uint8), reader, direction="up")  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="strokes are no picture of a page"):
        hanmo.read_sheet([[(0, 0), (1, 1)]], reader)


def test_lines_are_rows_or_columns(sheet_of: Callable[..., Sheet]) -> None:
    sheet = sheet_of(["山 ", "  ", "□水"])
    assert [[cell.text for cell in line] for line in sheet.lines] == [["山", "\u3000"], ["\u3000"] * 2, ["□", "水"]]
    assert sheet.text() == "山\n\n□水"


def test_a_blue_pen_beside_black_rules_is_not_taken_for_print(reader: Recognizer) -> None:
    rows = ["春眠不觉晓", "处处闻啼鸟", "夜来风雨声", "花落知多少"]
    pixels, grid = draw_boxes(rows, pen="#5070d8", rule="#101010")
    sheet = read_grids(pixels, [grid], reader)
    read = [cell.character for cell in sheet.cells]
    assert sum(a == b for a, b in zip(read, "".join(rows), strict=True)) >= 18
