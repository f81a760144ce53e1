"""Grids are found on drawn sheets of many kinds, and pictures without one are refused."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from hanmo.errors import SheetError
from hanmo.sheets.find import find_grids
from hanmo.sheets.grid import Grid
from sheets.drawing import BLACK, GREEN, RED, Drawn, add_grid, blank, write


def assert_found(grids: list[Grid], truth: list[NDArray[np.float64]], near: float = 0.08) -> None:
    """The grids are those of the truth, in its order, each corner within ``near`` of a cell's side."""
    assert [grid.quads.shape[:2] for grid in grids] == [quads.shape[:2] for quads in truth]
    for grid, quads in zip(grids, truth, strict=True):
        side = float(np.median(np.linalg.norm(quads[:, :, 1] - quads[:, :, 0], axis=-1)))
        assert np.linalg.norm(grid.quads - quads, axis=-1).max() < near * side + 1.5
        assert grid.ruled


PAPERS = {
    "squares": {},
    "faint": {"colour": (225, 225, 222)},
    "thick": {"width": 5},
    "green": {"colour": GREEN},
    "red": {"colour": RED, "width": 1},
    "dashed": {"dash": (7, 5)},
    "tianzige": {"cross": True, "colour": RED},
    "mizige": {"cross": True, "diagonals": True, "colour": GREEN},
    "gaps between rows": {"gap": (0, 22), "colour": GREEN},
    "gaps between columns": {"gap": (20, 0)},
    "boxes apart": {"gap": (8, 12)},
    "missing row rule": {"missing": (("row", 4),)},
    "missing column rule": {"missing": (("column", 5),)},
    "empty": {"written": False},
}


@pytest.mark.parametrize("name", PAPERS)
def test_papers(name: str) -> None:
    sheet = add_grid(blank(), 10, 8, **PAPERS[name])
    assert_found(find_grids(sheet.pixels), sheet.grids)


@pytest.mark.parametrize("name", ["squares", "mizige", "gaps between rows", "dashed"])
@pytest.mark.parametrize("degrees", [-8, -3, 5, 8])
def test_turned(name: str, degrees: float) -> None:
    sheet = add_grid(blank(), 10, 8, at=(180, 200), **PAPERS[name]).turned(degrees)
    assert_found(find_grids(sheet.pixels), sheet.grids)


@pytest.mark.parametrize("name", ["squares", "tianzige", "gaps between rows", "dashed"])
def test_perspective(name: str) -> None:
    corners = [(0.12, 0.04), (0.9, 0.1), (0.98, 0.97), (0.03, 0.9)]
    sheet = add_grid(blank(), 10, 8, cell=80, **PAPERS[name]).seen(corners)
    assert_found(find_grids(sheet.pixels), sheet.grids)


@pytest.mark.parametrize("rise", [-25, 30])
@pytest.mark.parametrize("name", ["squares", "mizige"])
def test_bent(name: str, rise: float) -> None:
    sheet = add_grid(blank(), 10, 9, cell=70, **PAPERS[name]).bent(rise)
    assert_found(find_grids(sheet.pixels), sheet.grids)


def test_a_page_turned_by_a_quarter_is_found_with_rows_and_columns_exchanged() -> None:
    sheet = add_grid(blank(), 10, 8, **PAPERS["mizige"])
    (grid,) = find_grids(np.rot90(sheet.pixels).copy())
    assert (grid.rows, grid.columns) == (8, 10)


def test_frames_titles_and_lines_to_sign_on_are_no_cells() -> None:
    sheet = add_grid(blank(), 9, 8, cell=70, at=(150, 200))
    draw = ImageDraw.Draw(sheet.picture)
    for inset in (50, 60, 140):
        bottom = 1150 - inset if inset < 100 else 840
        draw.rectangle((inset, inset if inset < 100 else 190, 860 - (inset - 50), bottom), outline=BLACK, width=2)
    draw.text((300, 80), "Practice sheet of Chinese characters", fill=BLACK, font=ImageFont.load_default(30))
    for x in (150, 450):
        draw.line((x, 960, x + 240, 960), fill=BLACK, width=2)
    assert_found(find_grids(sheet.pixels), sheet.grids)


@pytest.mark.parametrize("cross", [False, True])
def test_a_row_that_the_edge_of_the_picture_cuts_is_left_out(cross: bool) -> None:
    sheet = add_grid(blank(), 10, 8, cell=80, cross=cross)
    (grid,) = find_grids(sheet.pixels[: 120 + 5 * 80 + 42])
    assert (grid.rows, grid.columns) == (5, 8)


def test_two_grids_below_each_other() -> None:
    sheet = add_grid(blank(), 4, 8, cell=70, at=(120, 100))
    add_grid(sheet, 6, 12, cell=45, at=(120, 560), colour=RED, seed=1)
    assert_found(find_grids(sheet.pixels), sheet.grids)


def test_two_pages_in_one_photograph() -> None:
    sheet = add_grid(blank((1700, 1100)), 12, 8, cell=70, at=(120, 120), cross=True)
    add_grid(sheet, 12, 8, cell=70, at=(1000, 131), cross=True, seed=1)
    assert_found(find_grids(sheet.pixels), sheet.grids)


def test_rows_of_a_form_are_grids_of_their_own_length() -> None:
    sheet = blank()
    for row, boxes in enumerate((6, 11, 8, 4)):
        add_grid(sheet, 1, boxes, cell=48, at=(200, 150 + 90 * row), seed=row)
    draw = ImageDraw.Draw(sheet.picture)
    draw.rectangle((200, 560, 730, 900), outline=BLACK, width=2)
    assert_found(find_grids(sheet.pixels), sheet.grids)


def _jpeg(sheet: Drawn, quality: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    sheet.picture.save(file, "jpeg", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("name", ["squares", "mizige", "gaps between rows"])
def test_spoilt_photographs(name: str) -> None:
    sheet = add_grid(blank(), 10, 8, cell=70, **PAPERS[name])
    x = np.arange(sheet.pixels.shape[1])[None, :, None]
    shadow = sheet.pixels * (0.4 + 0.6 / (1 + np.exp((x - 420) / 20)))
    noise = np.random.default_rng(0).normal(0, 12, sheet.pixels.shape)
    pictures = {
        "JPEG": _jpeg(sheet, 30),
        "dark": (sheet.pixels * 0.3).astype(np.uint8),
        "blurred": np.asarray(sheet.picture.filter(ImageFilter.GaussianBlur(1.5))),
        "shadow": shadow.astype(np.uint8),
        "noisy": np.clip(sheet.pixels + noise, 0, 255).astype(np.uint8),
        "grey": np.asarray(sheet.picture.convert("L")),
    }
    for spoilt in pictures.values():
        assert_found(find_grids(spoilt), sheet.grids)


def test_corners_lie_on_the_inner_edges_of_thick_rules() -> None:
    sheet = add_grid(blank(), 8, 8, cell=80, width=9, written=False)
    (grid,) = find_grids(sheet.pixels)
    inwards = np.array([(4.5, 4.5), (-4.5, 4.5), (-4.5, -4.5), (4.5, -4.5)])
    assert np.abs(grid.quads - (sheet.grids[0] + inwards)).mean() < 1


def test_free_rows_of_separate_characters() -> None:
    sheet, rng = blank(), np.random.default_rng(5)
    draw = ImageDraw.Draw(sheet.picture)
    for r in range(7):
        for c in range(6):
            x, y = 120 + 115 * c, 120 + 120 * r
            draw.rectangle((x + 8, y + 6, x + 52, y + 56), outline=(30, 30, 40), width=4)
            write(draw, np.array([(x, y), (x + 62, y), (x + 62, y + 62), (x, y + 62)]), rng)
    (grid,) = find_grids(np.asarray(sheet.picture.rotate(3, fillcolor=(252, 251, 247))))
    assert (grid.rows, grid.columns, grid.ruled) == (7, 6, False)


def test_free_rows_stay_even_where_a_circle_connects_two_and_one_is_low() -> None:
    sheet = blank()
    draw = ImageDraw.Draw(sheet.picture)
    for r in range(7):
        for c in range(6):
            x, y = 120 + 115 * c, 120 + 120 * r
            low = 14 if r == 6 else 0  # a row of 一
            draw.rectangle((x + 8, y + 6 + low, x + 52, y + 56 - low), outline=(30, 30, 40), width=4)
    draw.ellipse((340, 110, 420, 310), outline=(30, 30, 40), width=4)  # around two characters, one below the other
    (grid,) = find_grids(sheet.pixels)
    assert (grid.rows, grid.columns) == (7, 6)
    heights = grid.quads[:, :, 3, 1] - grid.quads[:, :, 0, 1]
    assert heights.min() > 0.5 * heights.max()


def test_twelve_megapixels_take_two_seconds_at_most() -> None:
    sheet = add_grid(blank(), 13, 9, cell=75, cross=True, diagonals=True)
    large = np.asarray(sheet.picture.resize((3000, 4000)))
    begin = time.process_time()
    (grid,) = find_grids(large)
    assert time.process_time() - begin < 3  # of the processor; slow machines of tests get half as much again
    assert (grid.rows, grid.columns) == (13, 9)


def _table() -> NDArray[np.uint8]:
    page = blank((1400, 1000)).picture
    draw = ImageDraw.Draw(page)
    for x in (60, 210, 560, 680, 960, 1360):
        draw.line((x, 100, x, 900), fill=BLACK, width=2)
    for y in range(100, 901, 40):
        draw.line((60, y, 1360, y), fill=BLACK, width=2)
    return np.asarray(page)


def _text(size: int) -> NDArray[np.uint8]:
    page = Image.new("RGB", (1080, 1600), "white")
    draw = ImageDraw.Draw(page)
    for k in range(1500 // (2 * size)):
        line = "The quick brown fox jumps over the lazy dog and runs away."
        draw.text((40, 40 + 2 * k * size), line[k % 9 :], fill="black", font=ImageFont.load_default(size))
    return np.asarray(page)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.full((1200, 900), 255, np.uint8), "blank"),
        (np.zeros((1200, 900, 3), np.uint8), "blank"),
        (np.full((40, 30), 255, np.uint8), "too small"),
        (_text(14), "no grid"),
        (_text(18), "no grid"),
        (_text(24), "no grid"),
        (_text(36), "no grid"),
        (_table(), "grid"),
    ],
    ids=["white", "black", "tiny", "tiny text", "small text", "text", "large text", "table of wide fields"],
)
def test_pictures_without_a_grid_are_refused_in_one_line(picture: NDArray[np.uint8], message: str) -> None:
    with pytest.raises(SheetError, match=message) as refusal:
        find_grids(picture)
    assert "\n" not in str(refusal.value)


def test_a_sheet_of_too_many_boxes_is_refused() -> None:
    paper = np.full((1700, 1700), 255, np.uint8)
    paper[40:1661:40] = paper[:, 40:1661:40] = 60
    paper[41:1662:40] = paper[:, 41:1662:40] = 60
    paper[:40] = paper[1662:] = paper[:, :40] = paper[:, 1662:] = 255
    with pytest.raises(SheetError, match=r"the sheet has 1,\d\d\d boxes; photograph it in parts of at most 1,500"):
        find_grids(paper)


@pytest.mark.parametrize("margin", [1, 2, 8])
def test_a_grid_that_fills_its_picture_is_found_whole(margin: int) -> None:
    paper = np.full((646, 646), 250, np.uint8)
    for place in range(20, 630, 100):
        paper[place : place + 4, 20:624] = paper[20:624, place : place + 4] = 60
    near = paper[20 - margin : 624 + margin, 20 - margin : 624 + margin]
    (grid,) = find_grids(near)
    assert grid.quads.shape[:2] == (6, 6)
    assert np.abs(grid.quads[0, 0, 0] - margin - 4).max() < 3
