"""POST /v1/sheets: the shape of its answer, and the one thread in which sheets are read."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from hanmo.errors import ImageError
from hanmo.image import describe
from hanmo.prediction import Reason
from hanmo.recognizer import Recognizer
from hanmo.serve.batching import Places
from hanmo.serve.problems import RefusedError, of_picture
from hanmo.serve.schemas import CandidateAnswer, candidates_of
from hanmo.serve.uploads import Upload
from hanmo.sheets.order import Direction
from hanmo.sheets.sheet import Cell, Sheet, read_sheet

CONTEXT_TOP = 10
"""Candidates of a cell among which its neighbours help to choose, however few of them the client wants to see."""


class GridAnswer(BaseModel):
    """A grid of cells."""

    rows: int
    columns: int
    ruled: bool = Field(description="Whether printed rules surround the cells; if not, blank paper separates them.")


class CellAnswer(BaseModel):
    """One cell. ``character`` is null where it is empty, corrected or refused."""

    grid: int = Field(description="The number of its grid, from 1.")
    row: int = Field(description="From 1.")
    column: int = Field(description="From 1.")
    quadrilateral: list[list[float]] = Field(
        description="Four corners [x, y] in pixels of the upright picture, from the top left clockwise."
    )
    empty: bool
    corrected: bool = Field(description="Crossed out or written over, and therefore not read.")
    character: str | None
    probability: float
    in_context: str | None = Field(
        description="The candidate that fits the neighbouring cells best; null without ?context=true."
    )
    refused: bool
    reason: Reason | None = Field(description="Why it is refused, as in Reading.")
    candidates: list[CandidateAnswer]


class SheetAnswer(BaseModel):
    """A sheet: its cells in reading order, and their text."""

    width: int = Field(description="Of the upright picture, in pixels.")
    height: int
    rotation: int = Field(
        description="By how many degrees anticlockwise the picture was turned to be upright: 0, 90, 180 or 270."
    )
    upside_down: bool
    direction: Direction
    grids: list[GridAnswer]
    cells: list[CellAnswer]
    text: str = Field(
        description="A line for each row or column. □ stands for ink that was not read, an ideographic space for an "
        "empty cell between others."
    )
    text_in_context: str | None = Field(description="The same with the choices in context; null if not asked for.")
    model: str


class Asked(NamedTuple):
    """How a sheet is to be read."""

    direction: Direction
    context: bool
    among: str | None
    top: int


class SheetReader:
    """Reads the sheets of all clients, one after the other.

    They have a thread of their own, and not the batches of single pictures: hundreds of cells in that queue would make
    every other picture wait for all of them.
    """

    def __init__(self, reader: Recognizer, places: int) -> None:
        self._reader, self._places = reader, Places(places)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="hanmo-sheet")

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def read(self, picture: bytes, asked: Asked) -> dict[str, Any]:
        """A :class:`SheetAnswer` as it goes out. Raises :class:`RefusedError`, with status 503 if no place is free."""
        with self._places.hold():
            reading = partial(self._read, picture, asked)
            return await asyncio.get_running_loop().run_in_executor(self._pool, reading)

    def _read(self, picture: bytes, asked: Asked) -> dict[str, Any]:
        top = max(asked.top, CONTEXT_TOP) if asked.context else asked.top
        try:
            sheet = read_sheet(
                picture, self._reader, direction=asked.direction, context=asked.context, among=asked.among, top=top
            )
        except ImageError as error:
            raise of_picture(error, describe(picture)) from error
        return as_answer(sheet, asked, self._reader.bundle.name)


def as_answer(sheet: Sheet, asked: Asked, model: str) -> dict[str, Any]:
    """The fields of a :class:`SheetAnswer`; building models for hundreds of cells would cost more than the JSON."""
    alone = sheet.by_itself
    return {
        "width": sheet.size[0],
        "height": sheet.size[1],
        "rotation": sheet.rotation,
        "upside_down": sheet.upside_down,
        "direction": sheet.direction,
        "grids": [{"rows": grid.rows, "columns": grid.columns, "ruled": grid.ruled} for grid in sheet.grids],
        "cells": [
            _cell(by_itself, chosen.in_context, asked.top)
            for by_itself, chosen in zip(alone.cells, sheet.cells, strict=True)
        ],
        "text": alone.text(),
        "text_in_context": sheet.text() if asked.context else None,
        "model": model,
    }


def _cell(cell: Cell, in_context: str | None, top: int) -> dict[str, Any]:
    prediction = cell.prediction
    return {
        "grid": cell.grid + 1,
        "row": cell.row + 1,
        "column": cell.column + 1,
        # A tenth of a pixel is finer than any rule is found.
        "quadrilateral": cell.quadrilateral.round(1).tolist(),
        "empty": cell.empty,
        "corrected": cell.corrected,
        "character": cell.character,
        "probability": round(cell.probability, 6),
        "in_context": in_context,
        "refused": prediction.refused if prediction else False,
        "reason": prediction.reason if prediction else None,
        "candidates": candidates_of(prediction)[:top] if prediction else [],
    }


def only_picture(uploads: list[Upload]) -> bytes:
    """The bytes of the only picture of a body. Raises :class:`RefusedError` for several, and for strokes."""
    if len(uploads) > 1:
        raise RefusedError(422, "too_many_pictures", "one sheet is read at a time; send each by itself")
    source = uploads[0].source
    if not isinstance(source, bytes):
        raise RefusedError(422, "malformed_sheet", "a sheet is a picture; send strokes to /v1/recognize")
    return source
