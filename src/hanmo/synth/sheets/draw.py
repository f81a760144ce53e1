"""Drawn sheets: the photograph of a sheet and the truth of its cells, from a seed and a number."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from hanmo.atomic import write_whole
from hanmo.errors import ArgumentError
from hanmo.synth.sheets.camera import Camera, make_camera
from hanmo.synth.sheets.forms import entries
from hanmo.synth.sheets.geometry import Boxes, Colour, Floats, Paper
from hanmo.synth.sheets.papers import PAPERS, make_paper
from hanmo.synth.sheets.pens import Pen, make_pen, make_red_pen
from hanmo.synth.sheets.photo import make_exposure, photograph
from hanmo.synth.sheets.printing import print_paper
from hanmo.synth.sheets.text import CROSSED, EMPTY, Cells, cross_out, entry, fill
from hanmo.synth.sheets.writing import Ink, Writer, make_writer, strike_out, teachers_marks, write

Random = np.random.Generator

_GROUNDS: tuple[Colour, ...] = ((252, 252, 250), (250, 248, 240), (244, 236, 214), (236, 234, 228), (247, 250, 252))
_MARKED = 0.25  # share of the sheets that a teacher has marked,
_SIGNED = 0.5  # whose lines after captions are filled in,
_THROUGH = 0.15  # and through which the writing on the back is seen


class DrawnGrid(NamedTuple):
    """The truth of one grid of a drawn sheet."""

    cells: Cells
    """Row by row: a character, a space in empty cells, □ where one is crossed out."""
    quads: Floats
    """(R, C, 4, 2): the inner corners of every cell as x and y in pixels of the photograph, from the top left."""


class DrawnSheet(NamedTuple):
    """The photograph of a drawn sheet, and the truth."""

    picture: Image.Image
    """RGB, as the camera sees it."""
    quality: int
    """Of the JPEG file that the camera writes."""
    paper: str
    direction: str
    grids: tuple[DrawnGrid, ...]

    def jpeg(self) -> bytes:
        """The file that the camera writes."""
        file = BytesIO()
        self.picture.save(file, "jpeg", quality=self.quality)
        return file.getvalue()

    def truth(self, name: str) -> dict[str, Any]:
        """What the JSON file beside the picture ``name`` says."""
        grids = [
            {
                "rows": len(grid.cells),
                "columns": len(grid.cells[0]),
                "cells": ["".join(row) for row in grid.cells],
                "quads": grid.quads.round(2).tolist(),
            }
            for grid in self.grids
        ]
        width, height = self.picture.size
        about = {"picture": name, "width": width, "height": height, "paper": self.paper, "direction": self.direction}
        return {**about, "grids": grids}


def draw_sheet(seed: int, number: int, paper: str | None = None) -> DrawnSheet:
    """Draw the sheet ``number`` of a seed; the same arguments give the same sheet.

    ``paper`` is one of :data:`PAPERS`; None takes them in turn, by the number. Raises :class:`ArgumentError` for
    another name.
    """
    if paper is not None and paper not in PAPERS:
        raise ArgumentError(f"paper {paper!r} is unknown; there are {', '.join(PAPERS)}")
    rng = np.random.default_rng([seed, number])
    sheet = make_paper(paper or PAPERS[number % len(PAPERS)], rng)
    cell = min(min(boxes.size) for boxes in sheet.boxes)
    camera = make_camera(rng, sheet.page, sheet.content(), cell)
    scale = camera.focal / camera.distance * 1.1  # pixels of the flat sheet for a millimetre: a little more than seen
    cells = fill(sheet, rng)
    crossed = cross_out(cells, rng)
    flat = _write_sheet(sheet, cells, crossed, scale, rng)
    exposure = make_exposure(rng, cell * scale / 1.1)
    picture = photograph(flat, camera, exposure, rng)
    for grid, row, column in crossed:
        cells[grid][row][column] = CROSSED
    return DrawnSheet(picture, exposure.quality, sheet.name, sheet.direction, _truth(sheet, cells, camera))


def _truth(paper: Paper, cells: list[Cells], camera: Camera) -> tuple[DrawnGrid, ...]:
    return tuple(
        DrawnGrid(rows, camera.project(boxes.quads(paper.inset)))
        for rows, boxes in zip(cells, paper.boxes, strict=True)
    )


def _write_sheet(
    paper: Paper, grids: list[Cells], crossed: list[tuple[int, int, int]], scale: float, rng: Random
) -> Image.Image:
    """The flat sheet with print, writing and marks, RGB."""
    ground = _GROUNDS[rng.integers(len(_GROUNDS))]
    page: Ink = np.asarray(print_paper(paper, scale, ground), np.float32)
    page = page * (1 + np.float32(rng.uniform(0, 0.02)) * rng.standard_normal((*page.shape[:2], 1), np.float32))
    pen = make_pen(rng)
    ink = _written(paper, grids, make_writer(rng, pen, free=not paper.ruled), page.shape, scale, rng)
    for grid, row, column in crossed:
        strike_out(ink, paper.boxes[grid].quads()[row, column] * scale, pen.width * scale, rng)
    if rng.random() < _THROUGH:
        page = page * (1 - np.float32(rng.uniform(0.04, 0.12)) * _back(ink, scale, rng))
    page = _inked(page, ink, pen, rng)
    if rng.random() < _MARKED:
        red, marks = make_red_pen(rng), np.zeros_like(ink)
        written = [_places(rows, boxes)[1] for rows, boxes in zip(grids, paper.boxes, strict=True)]
        teachers_marks(marks, np.concatenate(written) * scale, red.width * scale, rng)
        page = _inked(page, marks, red, rng)
    return Image.fromarray((page + 0.5).clip(0, 255).astype(np.uint8))


def _written(
    paper: Paper, grids: list[Cells], writer: Writer, shape: tuple[int, ...], scale: float, rng: Random
) -> Ink:
    """The ink of all cells, and of entries beside captions on some sheets."""
    ink = np.zeros(shape[:2], np.float32)
    work = list(zip(grids, paper.boxes, strict=True))
    if rng.random() < _SIGNED:
        work += [([list(entry(boxes, rng))], boxes) for boxes in entries(paper.marks)]
    for rows, boxes in work:
        characters, cells = _places(rows, boxes)
        write(ink, characters, cells, writer, rng, scale)
    return ink


def _places(rows: Cells, boxes: Boxes) -> tuple[list[str], Floats]:
    """The characters of a grid, and the corners (N, 4, 2) of their cells in millimetres."""
    quads = boxes.quads()
    places = [(r, c) for r, row in enumerate(rows) for c, character in enumerate(row) if character != EMPTY]
    return [rows[r][c] for r, c in places], np.array([quads[place] for place in places]).reshape(-1, 4, 2)


def _back(ink: Ink, scale: float, rng: Random) -> Ink:
    """Writing on the back of the sheet (H, W, 1), mirrored and soft: the ink of the front serves, moved."""
    moved = np.roll(ink[:, ::-1], int(rng.integers(ink.shape[0])), 0)
    soft = Image.fromarray((moved * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.15 * scale))
    back: Ink = np.asarray(soft, np.float32)[:, :, None] / np.float32(255)
    return back


def _inked(page: Ink, ink: Ink, pen: Pen, rng: Random) -> Ink:
    """The page (H, W, 3) with ink on it: the ink lets through its own colour, and less light where there is more."""
    rough = 1 - pen.grain * np.abs(rng.standard_normal(ink.shape, np.float32)).clip(0, 1.6) * 0.6
    cover = (ink * rough * pen.density)[:, :, None]
    colour = np.asarray(pen.colour, np.float32) / 255
    inked: Ink = (page * (1 - cover * (1 - colour))).astype(np.float32)
    return inked


def write_sheet(out: Path, seed: int, number: int, paper: str | None = None) -> Path:
    """Draw a sheet into a folder: a JPEG file, and its truth as JSON beside it; returns the path of the picture.

    Raises :class:`ArgumentError` as :func:`draw_sheet`, and :class:`StorageError`.
    """
    sheet = draw_sheet(seed, number, paper)
    path = out / f"{number:04d}-{sheet.paper}.jpg"
    truth = json.dumps(sheet.truth(path.name), ensure_ascii=False)
    write_whole(path.with_suffix(".json"), f"{truth}\n".encode())
    write_whole(path, sheet.jpeg())
    return path
