"""Drawn photographs of whole sheets, and the truth of their cells."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from hanmo.charset import Charset
from hanmo.cli.synth import synth
from hanmo.errors import ArgumentError
from hanmo.synth.sheets.camera import make_camera
from hanmo.synth.sheets.draw import DrawnSheet, draw_sheet
from hanmo.synth.sheets.forms import entries, place_boxes
from hanmo.synth.sheets.geometry import Boxes, Line, Text
from hanmo.synth.sheets.papers import PAPERS, make_paper
from hanmo.synth.sheets.printing import dashes
from hanmo.synth.sheets.text import CROSSED, EMPTY, cross_out, fill, reading_order, texts

SEED = 4
FORMS = 13
"""A seed whose first two forms are small photographs; on the first one, two characters are crossed out."""


@pytest.fixture(scope="module")
def sheet() -> DrawnSheet:
    """A small photograph of plain black squares."""
    return next(s for n in range(20) if (s := _if_small(n)))


def _if_small(number: int) -> DrawnSheet | None:
    """The sheet, unless its photograph is large, which the camera alone says."""
    rng = np.random.default_rng([SEED, number])
    paper = make_paper("squares", rng)
    camera = make_camera(rng, paper.page, paper.content(), min(paper.boxes[0].size))
    return draw_sheet(SEED, number, "squares") if camera.size[0] * camera.size[1] < 2_500_000 else None


def _level(grey: np.ndarray, point: np.ndarray) -> float:
    x, y = (round(float(v)) for v in point)
    return float(grey[y - 1 : y + 2, x - 1 : x + 2].mean())


def test_a_sheet_is_the_same_for_the_same_seed_and_number() -> None:
    first, again, other = (draw_sheet(FORMS, n, "form") for n in (0, 0, 1))
    assert first.jpeg() == again.jpeg()
    assert first.truth("a.jpg") == again.truth("a.jpg")
    assert first.truth("a.jpg") != other.truth("a.jpg")
    assert sum(row.count(CROSSED) for grid in first.grids for row in grid.cells) == 2


def test_papers_are_taken_in_turn() -> None:
    assert draw_sheet(2, 8).paper == PAPERS[8] == "form"
    with pytest.raises(ArgumentError, match="paper 'papyrus' is unknown; there are tianzige"):
        draw_sheet(0, 0, "papyrus")


def test_the_truth_lies_where_the_rules_are(sheet: DrawnSheet) -> None:
    grey = np.asarray(sheet.picture.convert("L"), np.float64)
    (grid,) = sheet.grids
    between = (grid.quads[:, :-1, 1:3] + grid.quads[:, 1:, [0, 3]]) / 2  # the rule's two ends between neighbours
    rules = [_level(grey, point) for point in between.mean(2).reshape(-1, 2)]
    inside = [_level(grey, q.mean(0) + (q[0] - q.mean(0)) * 0.9) for q in grid.quads.reshape(-1, 4, 2)]
    assert np.mean(np.array(rules) < np.median(inside) * 0.75) > 0.97


def test_empty_cells_have_no_ink_and_others_have(sheet: DrawnSheet) -> None:
    grey = np.asarray(sheet.picture.convert("L"), np.float64)
    spread: dict[bool, list[float]] = {True: [], False: []}
    for row, quads in zip(sheet.grids[0].cells, sheet.grids[0].quads, strict=True):
        for character, quad in zip(row, quads, strict=True):
            low, high = quad.mean(0) * 0.4 + quad[0] * 0.6, quad.mean(0) * 0.4 + quad[2] * 0.6
            cell = grey[int(low[1]) : int(high[1]), int(low[0]) : int(high[0])]
            spread[character == EMPTY].append(float(np.percentile(cell, 50) - np.percentile(cell, 2)))
    assert spread[True]
    assert np.median(spread[True]) < 0.4 * np.median(spread[False])


@pytest.mark.parametrize("name", PAPERS)
def test_every_cell_is_in_the_picture(name: str) -> None:
    for number in range(12):
        rng = np.random.default_rng([9, number])
        paper = make_paper(name, rng)
        camera = make_camera(rng, paper.page, paper.content(), min(min(b.size) for b in paper.boxes))
        pixels = camera.size[0] * camera.size[1]
        assert 1.4e6 < pixels < 16e6
        for boxes in paper.boxes:
            quads = camera.project(boxes.quads(paper.inset))
            assert (quads > 0).all()
            assert (quads < camera.size).all()
            assert (quads[..., 1, 0] - quads[..., 0, 0]).min() > 24


def test_projecting_back_gives_the_place_on_the_page() -> None:
    for number in range(30):
        rng = np.random.default_rng([2, number])
        paper = make_paper("squares", rng)
        camera = make_camera(rng, paper.page, paper.content(), 10)
        points = rng.uniform(0, 1, (50, 2)) * paper.page
        np.testing.assert_allclose(camera.unproject(camera.project(points)), points, atol=0.05)


@pytest.mark.parametrize("name", PAPERS)
def test_some_cells_stay_empty_and_few_are_crossed_out(name: str) -> None:
    crossed = []
    for number in range(10):
        rng = np.random.default_rng([3, number])
        paper = make_paper(name, rng)
        grids = fill(paper, rng)
        cells = [c for rows in grids for row in rows for c in row]
        assert [(len(rows), len(rows[0])) for rows in grids] == [(b.rows, b.columns) for b in paper.boxes]
        assert 0.02 <= cells.count(EMPTY) / len(cells) <= 0.41
        places = cross_out(grids, rng)
        assert all(grids[g][r][c] != EMPTY for g, r, c in places)
        crossed.append(len(places) / len(cells))
    assert any(crossed)
    assert not all(crossed)
    assert max(crossed) < 0.12


def test_texts_are_characters_that_every_reader_knows() -> None:
    known = set(Charset.level1())
    assert all(c in known for text in texts() for phrase in text for c in phrase)
    assert len(texts()) > 30


def test_columns_are_read_from_the_right() -> None:
    boxes = Boxes(0, 0, 2, 3, (10, 10))
    assert reading_order(boxes, "columns-right-to-left")[:3] == [(0, 2), (1, 2), (0, 1)]
    assert reading_order(boxes, "rows")[:2] == [(0, 0), (0, 1)]


def test_boxes_have_corners_and_gaps() -> None:
    quads = Boxes(5, 7, 2, 3, (10, 10), (2, 4)).quads(0.5)
    assert quads.shape == (2, 3, 4, 2)
    assert quads[0, 0].tolist() == [[5.5, 7.5], [14.5, 7.5], [14.5, 16.5], [5.5, 16.5]]
    assert quads[1, 1, 0].tolist() == [5 + 12 + 0.5, 7 + 14 + 0.5]
    boxes = place_boxes((210, 297), 20, (0, 5), margin=15, head=30, foot=30)
    assert (boxes.columns, boxes.rows) == (9, 9)
    assert boxes.left == 15
    assert boxes.bottom <= 297 - 30


def test_dashes_are_symmetric_and_within_the_line() -> None:
    pieces = dashes(Line((0, 0), (10, 0), 0.3, (0, 0, 0), (2, 1)))
    assert [(round(a[0], 6), round(b[0], 6)) for a, b in pieces] == [(1, 3), (4, 6), (7, 9)]
    assert dashes(Line((0, 0), (10, 0), 0.3, (0, 0, 0))) == [((0, 0), (10, 0))]


def test_lines_after_captions_have_room_for_an_entry() -> None:
    caption, line = Text((10, 20), 4, "姓名", (0, 0, 0)), Line((22, 22.2), (60, 22.2), 0.2, (0, 0, 0))
    (boxes,) = entries([caption, line])
    assert boxes.left == 22
    assert boxes.bottom == pytest.approx(22.2)
    assert boxes.columns == 5
    assert not list(entries([line, line]))


def test_draws_sheets_into_a_folder(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(synth)
    run = CliRunner().invoke(
        app, ["--sheet", "--count", "2", "--paper", "form", "--seed", str(FORMS), "--out", str(tmp_path)]
    )
    assert run.exit_code == 0, run.output
    assert "2 sheets" in run.output
    for number in range(2):
        truth = json.loads((tmp_path / f"{number:04d}-form.json").read_text(encoding="utf-8"))
        with Image.open(tmp_path / truth["picture"]) as picture:
            assert (picture.format, picture.size) == ("JPEG", (truth["width"], truth["height"]))
        assert (truth["paper"], truth["direction"]) == ("form", "rows")
        for grid in truth["grids"]:
            assert [len(row) for row in grid["cells"]] == [grid["columns"]] * grid["rows"]
            assert np.array(grid["quads"]).shape == (grid["rows"], grid["columns"], 4, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sheet", "--show", "人"], "--sheet takes --count"),
        (["--show", "人", "--count", "3"], "--paper and --count need --sheet"),
        (["--show", "人", "--paper", "exam"], "--paper and --count need --sheet"),
        (["--sheet", "--paper", "papyrus"], "paper 'papyrus' is unknown"),
    ],
)
def test_refuses_what_does_not_go_together(tmp_path: Path, arguments: list[str], message: str) -> None:
    app = typer.Typer()
    app.command()(synth)
    run = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    assert isinstance(run.exception, ArgumentError)
    assert message in str(run.exception)
    assert not (tmp_path / "out").exists()
