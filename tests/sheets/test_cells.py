from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from hanmo.sheets.cells import SIDE, cut, inside, side_of
from hanmo.sheets.grid import Grid


def grid_of(*corners: tuple[float, float]) -> Grid:
    return Grid(np.array(corners, np.float64)[None, None])


def test_an_upright_square_is_cut_pixel_for_pixel() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (90, 120), np.uint8)
    # Corners are pixel centres plus or minus half a pixel: 40 pixels from the column 30 and the row 20 on.
    grid = grid_of((29.5, 19.5), (69.5, 19.5), (69.5, 59.5), (29.5, 59.5))
    assert np.array_equal(cut(picture, grid)[0, 0], picture[20:60, 30:70])


def test_perspective_is_removed() -> None:
    corners = [(60, 30), (230, 60), (210, 250), (30, 200)]
    picture = Image.new("L", (260, 280), 255)
    ImageDraw.Draw(picture).polygon(corners, fill=0)
    ImageDraw.Draw(picture).line([corners[0], corners[2]], 255, 5)
    cell = cut(np.asarray(picture), grid_of(*corners))[0, 0]
    places = np.arange(8, len(cell) - 8)
    assert (cell[places, places] > 180).all(), "the diagonal leads from corner to corner"
    assert cell[8:-8, 8:-8].mean() < 30


def test_a_large_cell_is_averaged_down() -> None:
    stripes = np.zeros((800, 800), np.uint8)
    stripes[::2] = 200
    cell = cut(stripes, grid_of((100, 100), (700, 100), (700, 700), (100, 700)))[0, 0]
    assert cell.shape == (SIDE, SIDE)
    assert abs(cell.astype(int) - 100).max() < 30


@pytest.mark.parametrize("tall", [True, False])
def test_a_cell_that_is_no_square_keeps_its_proportions(tall: bool) -> None:
    picture = np.full((200, 200), 210, np.uint8)
    y, x = np.mgrid[:200, :200]
    picture[(x - 100) ** 2 + (y - 100) ** 2 < 15**2] = 0
    width, height = (40, 80) if tall else (80, 40)
    left, top = 100 - width / 2, 100 - height / 2
    cell = cut(picture, grid_of((left, top), (left + width, top), (left + width, top + height), (left, top + height)))
    rows, columns = (np.ptp(np.flatnonzero((cell[0, 0] < 100).any(axis))) for axis in (1, 0))
    assert abs(rows - columns) <= 1, "a circle stays one"
    edge = cell[0, 0][:, 0] if tall else cell[0, 0][0]
    assert (edge == 210).all(), "paper is added on two sides"


def test_a_cell_beyond_the_picture_or_without_area_does_no_harm() -> None:
    picture = np.full((50, 50), 180, np.uint8)
    outside = [(-90, -90), (-50, -90), (-50, -50), (-90, -50)]
    point = [(20, 20)] * 4
    cells = cut(picture, Grid(np.array([[outside, outside, point]], np.float64)))
    assert (cells[0, :2] == 180).all()


def test_the_side_is_the_median_of_all_edges() -> None:
    assert side_of(grid_of((0, 0), (30, 0), (30, 40), (0, 40))) == 35


def test_pixels_from_inside_of_the_cells_hold_no_rules() -> None:
    picture = np.full((120, 200, 3), 200, np.uint8)
    for x in range(20, 181, 40):
        picture[20:101, x - 2 : x + 3] = 0
    for y in range(20, 101, 40):
        picture[y - 2 : y + 3, 20:181] = 0
    corners = np.array([(0, 0), (40, 0), (40, 40), (0, 40)], np.float64)
    shifts = np.stack(np.meshgrid(np.arange(20, 180, 40), np.arange(20, 100, 40)), -1)
    found = inside(picture, Grid(corners + shifts[:, :, None]))
    assert found.shape[:2] == (2, 4)
    assert found.min() == 200
