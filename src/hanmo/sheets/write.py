"""What was read of a sheet, as a table and as plain data for JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hanmo.sheets.against import Difference
from hanmo.sheets.sheet import Cell, Sheet

COLUMNS = (
    "grid", "row", "column", "character", "probability", "empty", "corrected", "reason", "candidates",
    "x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4",
)  # fmt: skip
"""The columns of :func:`as_rows`; grids, rows and columns are counted from 1, the corners are those of the cell."""


def as_rows(sheet: Sheet) -> list[list[Any]]:
    """A row for each cell in reading order, with the values of :data:`COLUMNS`."""
    return [_row(cell) for cell in sheet.cells]


def as_csv(rows: Sequence[Sequence[Any]], columns: Sequence[str] = COLUMNS) -> str:
    """Rows as comma-separated values (RFC 4180), below a line with the names of the columns where these are given."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if columns:
        writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()


def as_dict(sheet: Sheet, differences: Sequence[Difference] | None = None) -> dict[str, Any]:
    """A sheet as dictionaries, lists, strings and numbers. Grids, rows and columns are counted from 1.

    ``text`` and ``character`` are what the reader read by itself, ``text_in_context`` and ``in_context`` what fits the
    neighbouring cells (null where that was not asked for).
    """
    width, height = sheet.size
    table: dict[str, Any] = {
        "width": width,
        "height": height,
        "rotation": sheet.rotation,
        "upside_down": sheet.upside_down,
        "direction": sheet.direction,
        "text": sheet.by_itself.text(),
        "text_in_context": sheet.text() if sheet.context else None,
        "grids": [
            {"rows": grid.quads.shape[0], "columns": grid.quads.shape[1], "ruled": grid.ruled} for grid in sheet.grids
        ],
        "cells": [_cell(cell) for cell in sheet.cells],
    }
    if differences is not None:
        table["differences"] = [
            {"kind": d.kind, "expected": d.expected, **(_place(d.cell) if d.cell else {})} for d in differences
        ]
    return table


def _place(cell: Cell) -> dict[str, int]:
    return {"grid": cell.grid + 1, "row": cell.row + 1, "column": cell.column + 1}


def _cell(cell: Cell) -> dict[str, Any]:
    prediction, by_itself = cell.prediction, replace(cell, in_context=None)
    return {
        **_place(cell),
        "quadrilateral": cell.quadrilateral.round(1).tolist(),
        "empty": cell.empty,
        "corrected": cell.corrected,
        "character": by_itself.character,
        "probability": round(by_itself.probability, 6),
        "in_context": cell.in_context,
        "refused": prediction.refused if prediction else False,
        "reason": prediction.reason if prediction else None,
        "candidates": [
            {"character": c.character, "probability": round(c.probability, 6), "alike": c.alike}
            for c in (prediction.candidates if prediction else ())
        ],
    }


def _row(cell: Cell) -> list[Any]:
    prediction = cell.prediction
    candidates = "".join(c.character for c in prediction.candidates) if prediction else ""
    probability = round(cell.probability, 4) if cell.character else ""
    reason = prediction.reason or "" if prediction else ""
    corners = cell.quadrilateral.round(1).ravel().tolist()
    flags = int(cell.empty), int(cell.corrected)
    return [*_place(cell).values(), cell.character or "", probability, *flags, reason, candidates, *corners]
