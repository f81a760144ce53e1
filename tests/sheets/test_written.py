from __future__ import annotations

import numpy as np
import pytest

from drawn_boxes import draw_boxes
from hanmo.colour import to_grey
from hanmo.sheets.cells import cut
from hanmo.sheets.cleaned import contrasted, fine_print, without_foreign, without_print
from hanmo.sheets.written import PAPER, Writing, find_writing, paper_of

ROWS = ["春眠不觉晓 ", "处处闻啼鸟 ", "夜来风雨声 ", "      "]
EMPTY = np.array([character == " " for character in "".join(ROWS)])


def cells_of(*arguments: object, **options: object) -> np.ndarray:
    pixels, grid = draw_boxes(*arguments, **options)  # type: ignore[arg-type]
    pictures = cut(to_grey(pixels), grid)
    return pictures.reshape(-1, *pictures.shape[2:])


def noisy(pictures: np.ndarray, deviation: float) -> np.ndarray:
    noise = np.random.default_rng(3).normal(0, deviation, pictures.shape)
    return (pictures + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("cross", [None, "#e08080", "#808080", "#404040"])
@pytest.mark.parametrize("pen", ["#202028", "#909090"])
def test_empty_cells_are_told_from_written_ones(cross: str | None, pen: str) -> None:
    pictures = noisy(cells_of(ROWS, cross=cross, pen=pen, rule="#606060"), 4)
    assert np.array_equal(find_writing(pictures).empty, EMPTY)


def test_a_sheet_without_writing_is_empty() -> None:
    assert find_writing(noisy(cells_of([" " * 6] * 4, cross="#808080"), 6)).empty.all()


def test_far_fainter_writing_is_left_to_the_reader() -> None:
    writing = find_writing(cells_of(ROWS, faint={(0, 2), (2, 3)}))
    assert np.flatnonzero(writing.faint).tolist() == [2, 15]
    assert not (writing.faint & ~writing.empty).any()


def test_strokes_of_the_next_cell_are_no_writing() -> None:
    pictures = cells_of(ROWS)
    pictures[5, 40:60, :14] = 30  # the end of a long stroke of the cell on its left
    writing = find_writing(pictures)
    assert writing.empty[5]
    assert writing.foreign[5, 22:26, 3:6].all()


def test_turned_cells_have_turned_writing() -> None:
    pictures = cells_of(ROWS).reshape(4, 6, 96, 96)
    turned = np.rot90(np.rot90(pictures, 1, axes=(0, 1)), 1, axes=(2, 3))
    there = find_writing(np.ascontiguousarray(turned).reshape(-1, 96, 96))
    here = find_writing(pictures.reshape(-1, 96, 96)).turned(1, (4, 6))
    assert np.array_equal(here.empty, there.empty)
    assert np.array_equal(here.ink[0] > 0, np.rot90(find_writing(pictures.reshape(-1, 96, 96)).ink[5] > 0))


def test_print_is_left_out_and_strokes_stay() -> None:
    plain, crossed = cells_of(ROWS), cells_of(ROWS, cross="#707070")
    writing = find_writing(crossed)
    print_alone = crossed[EMPTY].astype(int).min()
    assert print_alone < 130
    cleaned = without_print(crossed, writing, fine_print(crossed))
    assert cleaned[EMPTY].min() > 200
    strokes = plain[~EMPTY] < 60
    assert (cleaned[~EMPTY][strokes] < 90).mean() > 0.97


def test_pale_strokes_become_black_and_paper_white() -> None:
    plain = cells_of(ROWS)[~EMPTY, 8:-8, 8:-8]
    pale = (170 + plain // 16).astype(np.uint8)  # 15 levels of contrast, as of hard pencil on grey paper
    strong = contrasted(pale)
    assert strong[plain < 60].max() < 80
    assert strong[plain > 235].min() > 220


def test_a_cell_without_ink_stays_white() -> None:
    assert contrasted(np.full((1, 40, 40), 200, np.uint8)).min() == 255


def test_rules_and_neighbours_are_left_out_without_a_look_at_the_print() -> None:
    pictures = cells_of(ROWS, cross="#707070")
    pictures[5, 40:60, :14] = 30
    cleaned = without_foreign(pictures, find_writing(pictures))
    assert cleaned[5, 40:60, :14].min() > 200
    assert cleaned[:, :5].min() > 200
    assert np.array_equal(cleaned[:, 12:-12, 20:-12], pictures[:, 12:-12, 20:-12])


def test_few_cells_have_no_print_in_common() -> None:
    assert not fine_print(cells_of(["一一一"])).any()
    writing = find_writing(cells_of(["一一一"]))
    assert isinstance(writing, Writing)
    assert not writing.empty.any()


def test_the_paper_is_a_quantile_of_each_cell() -> None:
    pictures = np.random.default_rng(2).integers(0, 256, (5, 30, 30), np.uint8)
    expected = np.quantile(pictures, PAPER, axis=(1, 2), keepdims=True)
    assert np.abs(paper_of(pictures) - expected).max() <= 1
