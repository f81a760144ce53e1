"""How the benchmark of sheets scores cells, and the boxes of a reader of lines."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from hanmo.synth.sheets.geometry import Boxes

_FILE = Path(__file__).parents[2] / "benchmarks" / "sheets_scoring.py"


class Read(NamedTuple):
    """A read cell."""

    quadrilateral: np.ndarray
    row: int
    column: int
    character: str | None
    empty: bool = False
    corrected: bool = False
    grid: int = 0


@pytest.fixture(scope="module")
def scoring():  # type: ignore[no-untyped-def]
    spec = spec_from_file_location("sheets_scoring", _FILE)
    assert spec
    assert spec.loader
    module = sys.modules["sheets_scoring"] = module_from_spec(spec)  # its dataclass looks itself up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def truth(scoring):  # type: ignore[no-untyped-def]
    return [scoring.TrueGrid(["天地 ", "人□山"], Boxes(10, 20, 2, 3, (50, 50)).quads())]


def _read(truth, shift: float = 0.0, start: int = 0) -> list[Read]:  # type: ignore[no-untyped-def]
    return [
        Read(truth[0].quads[r, c] + shift, r + start, c, None if x == "□" else x.strip(), x == " ", x == "□")
        for r, c, x in truth[0].places()
    ]


def test_overlap_is_that_of_areas(scoring, truth) -> None:  # type: ignore[no-untyped-def]
    quad = truth[0].quads[0, 0]
    assert scoring.overlap(quad, quad) == pytest.approx(1)
    assert scoring.overlap(quad, quad + np.array([25, 0])) == pytest.approx(1 / 3)
    assert scoring.overlap(quad, quad + 100) == 0


def test_a_sheet_that_is_read_right_has_full_marks(scoring, truth) -> None:  # type: ignore[no-untyped-def]
    score = scoring.score_sheet(truth, _read(truth, shift=5, start=1))  # counted from another row: all by the same one
    assert (score.cells, score.found, score.lattices, score.extra) == (6, 6, 1, 0)
    assert (score.judged, score.judged_right, score.written, score.right) == (5, 5, 4, 4)
    assert (score.crossed, score.flagged, score.falsely, score.refused) == (1, 1, 0, 0)


def test_cells_at_another_place_or_position_are_not_found(scoring, truth) -> None:  # type: ignore[no-untyped-def]
    assert scoring.score_sheet(truth, _read(truth, shift=20)).found == 0
    cells = _read(truth)
    cells[1] = cells[1]._replace(column=2)
    score = scoring.score_sheet(truth, cells)
    assert (score.found, score.lattices, score.right) == (5, 0, 3)
    assert (
        scoring.score_sheet(truth, [*cells, cells[0]._replace(quadrilateral=cells[0].quadrilateral + 500)]).extra == 1
    )
    assert scoring.score_sheet(truth, []).found == 0


def test_wrong_answers_are_counted(scoring, truth) -> None:  # type: ignore[no-untyped-def]
    cells = _read(truth)
    cells[0] = cells[0]._replace(character=None)
    cells[1] = cells[1]._replace(character="他")
    cells[3] = cells[3]._replace(character=None, corrected=True)
    cells[2] = cells[2]._replace(empty=False)
    score = scoring.score_sheet(truth, cells)
    assert (score.right, score.refused, score.falsely, score.judged_right) == (1, 2, 1, 4)


def test_a_reader_of_lines_is_helped(scoring, truth) -> None:  # type: ignore[no-untyped-def]
    def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)

    rows = [(box(12, 22, 108, 66), "题天，地"), (box(12, 72, 158, 118), "人x由")]
    assert scoring.peer_right(truth, rows) == 3
    columns = [(box(12, 22, 58, 118), "天人"), (box(112, 72, 158, 118), "山")]
    assert scoring.peer_right(truth, columns) == 3
    assert scoring.peer_right(truth, [(box(500, 0, 600, 50), "天地人山")]) == 0
    assert scoring.peer_right(truth, [*rows, *columns]) == 4
