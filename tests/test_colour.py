"""Coloured print beside ink: the print goes, the ink stays, and every other picture keeps Pillow's luma."""

from __future__ import annotations

import json
import subprocess
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hanmo.colour import find_print, to_grey
from hanmo.image import load
from hanmo.serve.site import STATIC
from needs import NODE

Grey = NDArray[np.uint8]
Colour = tuple[int, int, int]

WHITE, WARM, COOL, LAMP = (250, 250, 250), (246, 236, 214), (226, 234, 246), (214, 190, 140)
PAPERS = [WHITE, WARM, COOL, LAMP]
BLACK, PENCIL, BLUE_BLACK, BLUE_PEN, RED_PEN = (25, 25, 25), (110, 110, 110), (28, 32, 60), (50, 60, 160), (200, 30, 30)
RED, PINK, BLUE, GREEN = (220, 60, 60), (230, 130, 130), (110, 150, 225), (80, 180, 90)


def cover(distance: NDArray[np.float64], thickness: float) -> NDArray[np.float64]:
    """How much of each pixel a line covers, 0 to 1, with soft edges."""
    return np.clip(thickness / 2 + 0.5 - np.abs(distance), 0, 1)


def masks(side: int = 120) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A grid of four fields, and a cross with a slanting stroke over it."""
    y, x = np.mgrid[:side, :side].astype(float)
    grid = np.max([cover(a - at * side, 2.4) for a in (x, y) for at in (0.1, 0.503, 0.9)], axis=0)
    inside = (np.minimum(x, y) > 0.15 * side) & (np.maximum(x, y) < 0.85 * side)
    strokes = np.max([cover(d, 5) for d in (x - 0.4 * side, y - 0.3 * side, (x - 0.8 * y) / 1.3)], axis=0)
    return grid, strokes * inside


def painted(paper: Colour, *layers: tuple[NDArray[np.float64], Colour]) -> Grey:
    """Layers printed one over the other; each colour is as on white paper, and takes on the paper's tint."""
    picture = np.ones((*layers[0][0].shape, 3))
    for mask, colour in layers:
        picture += mask[..., None] * (np.array(colour) / 255 - 1) * picture
    return (picture * paper + 0.5).astype(np.uint8)


def jpeg(picture: Grey) -> Grey:
    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=70)
    return np.asarray(Image.open(file))


def luma(picture: Grey) -> Grey:
    return np.array(Image.fromarray(picture).convert("L"))


GRID, STROKES = masks()
LINE, CORE = (GRID > 0.9) & (STROKES == 0), STROKES == 1


def assert_only_ink_left(grey: Grey, paper: Colour, slack: int) -> None:
    bright = int(luma(np.full((1, 1, 3), paper, np.uint8))[0, 0])
    assert np.abs(grey[LINE].astype(int).mean() - bright) <= slack
    assert grey[CORE].max() < 0.72 * bright


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("rule", [RED, PINK, BLUE, GREEN])
@pytest.mark.parametrize("ink", [BLACK, PENCIL, BLUE_BLACK])
def test_print_goes_and_ink_stays(paper: Colour, rule: Colour, ink: Colour) -> None:
    picture = painted(paper, (GRID, rule), (STROKES, ink))
    assert_only_ink_left(to_grey(picture), paper, 8)


@pytest.mark.parametrize("rule", [RED, PINK, BLUE, GREEN])
def test_most_of_the_print_goes_from_a_jpeg(rule: Colour) -> None:
    """Colour is stored at half the size, so some of a thin line stays: at most a third of its darkness, in green."""
    picture = jpeg(painted(WHITE, (GRID, rule), (STROKES, BLACK)))
    before, after = (250 - grey[LINE].astype(int).mean() for grey in (luma(picture), to_grey(picture)))
    assert after <= before / 3
    assert to_grey(picture)[CORE].max() <= 140


def test_strokes_keep_their_edges_where_they_cross_lines() -> None:
    grey = to_grey(painted(WHITE, (GRID, RED), (STROKES, BLACK)))
    alone = luma(painted(WHITE, (STROKES, BLACK)))
    assert np.abs(grey.astype(int) - alone).max() <= 12


def test_a_blue_pen_stays_on_a_red_grid_and_red_corrections_go_from_black_ink() -> None:
    assert_only_ink_left(to_grey(painted(WHITE, (GRID, RED), (STROKES, BLUE_PEN))), WHITE, 8)
    assert_only_ink_left(to_grey(painted(WHITE, (STROKES, BLACK), (GRID * (STROKES == 0), RED_PEN))), WHITE, 8)


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("ink", [BLACK, PENCIL, RED, RED_PEN, BLUE_PEN, BLUE, GREEN, (120, 0, 0), (0, 0, 255)])
def test_one_ink_alone_keeps_its_luma(paper: Colour, ink: Colour) -> None:
    for picture in (painted(paper, (STROKES, ink)), jpeg(painted(paper, (STROKES, ink)))):
        np.testing.assert_array_equal(to_grey(picture), luma(picture))
        np.testing.assert_array_equal(load(picture), luma(picture))


def test_doubts_keep_the_luma() -> None:
    dark = painted((30, 40, 60), (GRID, RED), (STROKES, BLACK))
    pen_on_black_grid = painted(WHITE, (GRID, BLACK), (STROKES, BLUE_PEN))
    noise = np.random.default_rng(1).normal(0, 5, (*GRID.shape, 3))
    photographed = np.clip(painted(WARM, (GRID, (150, 150, 150)), (STROKES, BLACK)) + noise, 0, 255).astype(np.uint8)
    for picture in (dark, pen_on_black_grid, photographed, np.full((1, 1, 3), RED, np.uint8)):
        np.testing.assert_array_equal(to_grey(picture), luma(picture))


def test_pictures_files_and_transparency_are_read_alike() -> None:
    picture = painted(WARM, (GRID, RED), (STROKES, BLACK))
    big = np.repeat(np.repeat(picture, 6, 0), 6, 1)
    assert find_print(Image.fromarray(big)) == find_print(big) is not None
    for given in (picture, Image.fromarray(picture), np.dstack([picture, np.full(GRID.shape, 255, np.uint8)])):
        np.testing.assert_array_equal(load(given), to_grey(picture))
    solid = np.maximum(GRID, STROKES)
    colours = np.where(STROKES[..., None] > 0, BLACK, RED)
    clear = np.dstack([colours, solid * 255]).astype(np.uint8)
    assert_only_ink_left(load(clear), (255, 255, 255), 8)


def test_the_page_makes_the_same_grey() -> None:
    node = NODE.get()
    random = np.random.default_rng(2)
    given = [painted(p, (GRID, r), (STROKES, i)) for p in PAPERS for r in (RED, BLUE, GREEN) for i in (BLACK, RED_PEN)]
    given += [jpeg(picture) for picture in given]
    given += [random.integers(0, 256, (*random.integers(1, 90, 2), 3), np.uint8) for _ in range(20)]
    cases = [[p.shape[1], p.shape[0], np.dstack([p, np.full(p.shape[:2], 255)]).ravel().tolist()] for p in given]
    for case in cases[::5]:
        case[2][3::4] = random.integers(0, 256, len(case[2]) // 4).tolist()
    script = (
        f'import {{ fromPixels }} from "{(STATIC / "js" / "local" / "grey.js").as_uri()}";'
        'import { readFileSync } from "node:fs";'
        "const grey = ([w, h, p]) => [...fromPixels(w, h, Uint8Array.from(p)).levels];"
        'const made = JSON.parse(readFileSync(0, "utf8")).map(grey);'
        "process.stdout.write(JSON.stringify(made));"
    )
    command = [node, "--input-type=module", "-e", script]
    ran = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, check=True, timeout=60)
    for (width, height, pixels), levels in zip(cases, json.loads(ran.stdout), strict=True):
        rgba = np.array(pixels, np.uint8).reshape(height, width, 4)
        upright = load(rgba).ravel().tolist()
        assert levels in (upright, [255 - level for level in upright])  # load may turn it over
