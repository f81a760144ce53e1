"""Shared by the tests of sheets: the reader, and a sheet that was read without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from drawn_boxes import boxes
from hanmo.prediction import Candidate, Prediction
from hanmo.recognizer import Recognizer
from hanmo.sheets.sheet import Cell, Sheet


@pytest.fixture(scope="session")
def reader() -> Recognizer:
    return Recognizer()


def predicted(character: str, probability: float = 0.98) -> Prediction:
    return Prediction((Candidate(character, probability), Candidate("丶", 1 - probability)))


@pytest.fixture
def sheet_of() -> Callable[[Sequence[str]], Sheet]:
    """A sheet whose rows were read as given: a space is an empty cell, □ one that was crossed out."""

    def make(rows: Sequence[str]) -> Sheet:
        grid = boxes(len(rows), len(rows[0]))
        cells = []
        for r, row in enumerate(rows):
            for c, character in enumerate(row):
                prediction = None if character == " " else predicted("田" if character == "□" else character)
                picture = np.full((96, 96), 255, np.uint8)
                cells.append(Cell(0, r, c, grid.quads[r, c], picture, character == " ", character == "□", prediction))
        return Sheet(tuple(cells), (grid,), "rows", (800, 600))

    return make
