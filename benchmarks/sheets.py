"""Whole sheets: how well ``hanmo.read_sheet`` finds and reads their cells, beside PP-OCRv6 small with its detector.

    python benchmarks/sheets.py [--count 200] [--seed 2024] [--photos FOLDER] [--peer PYTHON] [--out FILE.md]

Sheets are drawn by seed and number (``hanmo synth --sheet``), so everybody measures the same ones; ``--drawn FOLDER``
takes sheets that were drawn before. ``--photos`` names a folder of photographs with ``labels.json``: an object from
file name to ``{"rows", "columns", "cells"}``, a string for each row with a space for an empty cell. ``--peer`` names
the Python of an environment with rapidocr==3.10.0 (benchmarks/sheets_peer.py). Prints a line for each sheet, then the
tables; ``--out`` writes them to a file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, Literal, NamedTuple

import numpy as np
from sheets_scoring import Floats, Score, TrueGrid, peer_right, score_sheet

from hanmo import Recognizer, __version__
from hanmo.errors import HanmoError
from hanmo.sheets.sheet import Sheet, read_sheet
from hanmo.synth.sheets.draw import write_sheet

HERE = Path(__file__).resolve().parent


class Page(NamedTuple):
    """A picture and the truth of its grids."""

    picture: Path
    paper: str
    truth: list[TrueGrid]
    direction: Literal["rows", "columns-right-to-left"] = "rows"


class Peer:
    """PP-OCRv6 in a process of its own, which starts once."""

    def __init__(self, python: str, threads: int) -> None:
        command = [python, str(HERE / "sheets_peer.py"), str(threads)]
        clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=clean
        )

    def read(self, picture: Path) -> tuple[list[tuple[Floats, str]], float]:
        """The boxes (4, 2) with their texts, and the seconds."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{picture.resolve()}\n")
        if not (line := self._process.stdout.readline()):
            sys.exit("the peer has stopped; its error is above")
        answer = json.loads(line)
        boxes = [np.array(box, np.float64) for box in answer["boxes"]]
        return list(zip(boxes, answer["texts"], strict=True)), answer["seconds"]


def main() -> None:
    options = _options()
    reader = Recognizer(options.bundle, threads=options.threads)
    peer = Peer(options.peer, options.threads) if options.peer else None
    with tempfile.TemporaryDirectory() as folder:
        pages = drawn(options.drawn) if options.drawn else draw(options.seed, options.count, Path(folder))
        by_paper = measure(pages, reader, peer, warm=True)
    photographs = measure_photos(options.photos, reader, peer) if options.photos else {}
    text = document(options, by_paper, photographs)
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=2024)
    parser.add_argument("--drawn", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--peer")
    parser.add_argument("--bundle")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def draw(seed: int, count: int, folder: Path) -> Iterator[Page]:
    """Draw the sheets one by one; each file is removed when the next one is wanted."""
    for number in range(count):
        picture = write_sheet(folder, seed, number)
        yield _load(picture)
        picture.unlink()


def drawn(folder: Path) -> Iterator[Page]:
    """The sheets of a folder that ``hanmo synth --sheet`` made."""
    for path in sorted(folder.glob("*.json")):
        yield _load(path.parent / json.loads(path.read_text(encoding="utf-8"))["picture"])


def _load(picture: Path) -> Page:
    truth = json.loads(picture.with_suffix(".json").read_text(encoding="utf-8"))
    grids = [TrueGrid(grid["cells"], np.array(grid["quads"], np.float64)) for grid in truth["grids"]]
    return Page(picture, truth["paper"], grids, truth.get("direction", "rows"))


def measure(pages: Iterator[Page], reader: Recognizer, peer: Peer | None, warm: bool = False) -> dict[str, Score]:
    """The scores of the pages, by paper."""
    scores: dict[str, Score] = {}
    for page in pages:
        if warm:  # the first page of a process is slower
            _read(page, reader, True)
            if peer:
                peer.read(page.picture)
            warm = False
        score = measure_page(page, reader, peer)
        scores.setdefault(page.paper, Score()).add(score)
        print(_progress(page, score), file=sys.stderr, flush=True)
    return scores


def measure_page(page: Page, reader: Recognizer, peer: Peer | None) -> Score:
    sheet, seconds = _read(page, reader, False)
    score = score_sheet(page.truth, sheet.cells if sheet else ())
    score.failures += sheet is None
    in_context, context_seconds = _read(page, reader, True)
    score.context_right = score_sheet(page.truth, in_context.cells if in_context else ()).right
    score.seconds.append(seconds)
    score.context_seconds.append(context_seconds)
    if peer:
        lines, peer_seconds = peer.read(page.picture)
        score.peer_right = peer_right(page.truth, lines)
        score.peer_seconds.append(peer_seconds)
    return score


def _read(page: Page, reader: Recognizer, context: bool) -> tuple[Sheet | None, float]:
    """The sheet, None where no grid was found, and the seconds from the file to the answer."""
    start = time.perf_counter()
    try:
        sheet = read_sheet(page.picture, reader, direction=page.direction, context=context)
    except HanmoError as error:
        print(f"{page.picture.name}: {error}", file=sys.stderr)
        return None, time.perf_counter() - start
    return sheet, time.perf_counter() - start


def _progress(page: Page, score: Score) -> str:
    return (
        f"{page.picture.name}: {score.found}/{score.cells} cells, {score.extra} others, "
        f"{score.right}/{score.written} right, {score.context_right} in context, {score.peer_right} by the peer, "
        f"{score.seconds[0]:.1f} s"
    )


def measure_photos(folder: Path, reader: Recognizer, peer: Peer | None) -> dict[str, Score]:
    """The scores of labelled photographs, by name; rows and columns are not told to the reader.

    Where cells lie is not labelled, so the read ones count as the truth where there are as many rows and columns as
    labelled; else nothing counts as found. The peer is scored on these, and on an even grid over all of its boxes
    where there are none.
    """
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    scores: dict[str, Score] = {}
    for name, label in labels.items():
        page = Page(folder / name, name, [])
        sheet, _ = _read(page, reader, False)
        quads = _matching_quads(sheet, label["rows"], label["columns"])
        lines = peer.read(page.picture)[0] if peer else []
        truth = [TrueGrid(label["cells"], _even_quads(lines, label) if quads is None else quads)]
        if quads is None:
            print(f"{name}: not {label['rows']} x {label['columns']}", file=sys.stderr)
        scores |= measure(iter([page._replace(truth=truth)]), reader, peer)
        if quads is None:  # an even grid must not make a wrong lattice right
            scores[name].lattices = scores[name].found = scores[name].right = scores[name].context_right = 0
            scores[name].judged = scores[name].judged_right = scores[name].found_written = 0
    return scores


def _matching_quads(sheet: Sheet | None, rows: int, columns: int) -> Floats | None:
    """The cells of the one grid of a sheet, if it has this shape."""
    if sheet is None or len(sheet.grids) != 1 or sheet.rotation:
        return None
    quads: Floats = sheet.grids[0].quads
    return quads if quads.shape[:2] == (rows, columns) else None


def _even_quads(lines: Sequence[tuple[Floats, str]], label: dict[str, Any]) -> Floats:
    """A grid of equal cells over all boxes."""
    points = np.concatenate([box for box, _ in lines]) if lines else np.array([[0.0, 0.0], [1.0, 1.0]])
    low, high = points.min(0), points.max(0)
    size = (high - low) / (label["columns"], label["rows"])
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    places = np.stack(np.meshgrid(np.arange(label["columns"]), np.arange(label["rows"])), -1)
    quads: Floats = low + (places[:, :, None] + corners) * size
    return quads


Column = tuple[str, Callable[[Score], object]]
LATTICE: tuple[Column, ...] = (
    ("sheets", lambda s: s.sheets),
    ("lattice right", lambda s: s.lattices),
    ("cells found %", lambda s: _percent(s.found, s.cells)),
    ("others taken for cells %", lambda s: _percent(s.extra, s.cells)),
    ("empties right %", lambda s: _percent(s.judged_right, s.judged)),
    ("characters right %", lambda s: _percent(s.right, s.found_written)),
    ("refused %", lambda s: _percent(s.refused, s.found_written)),
    ("crossed out, flagged", lambda s: f"{s.flagged} of {s.crossed}"),
    ("flagged falsely %", lambda s: _percent(s.falsely, s.found_written)),
)
READERS: tuple[Column, ...] = (
    ("written cells", lambda s: f"{s.written:,}"),
    ("hanmo %", lambda s: _percent(s.right, s.written)),
    ("in context %", lambda s: _percent(s.context_right, s.written)),
    ("PP-OCRv6 small %", lambda s: _percent(s.peer_right, s.written) if s.peer_seconds else "-"),
    ("s a page", lambda s: _seconds(s.seconds)),
    ("in context", lambda s: _seconds(s.context_seconds)),
    ("PP-OCRv6 small", lambda s: _seconds(s.peer_seconds)),
)


def table(first: str, scores: dict[str, Score], columns: Sequence[Column]) -> str:
    """A line for each score and one for all together."""
    total = Score()
    for score in scores.values():
        total.add(score)
    lines = [[first, *(heading for heading, _ in columns)], ["---"] * (len(columns) + 1)]
    lines += [[name, *(str(f(score)) for _, f in columns)] for name, score in {**scores, "all": total}.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "-"


def _seconds(values: Sequence[float]) -> str:
    return f"{mean(values):.2f}" if values else "-"


NOTES = """\
A cell is *found* when the read cell nearest to it overlaps it by half or more (intersection over union) and has the
same row and column, counted from one start in the whole grid. A *lattice* is right when every cell is found and
nothing else is taken for a cell. *Empties* are right where found cells are called empty or not as they are;
crossed-out cells do not count there. *Characters* are those of found written cells, and a refused one is wrong; the
second table counts all written cells, so that a cell that was not found is wrong as well.

PP-OCRv6 small reads with its own detector and the settings of rapidocr 3.10.0, on as many threads as hanmo. It reads
lines and knows no cells, so it is helped: a cell belongs to a text box when its middle lies in it, or within half a
cell of its ends; the text of a box is aligned with the characters of its cells so that as many as possible agree
(longest common subsequence), along the longer side of the box. So nothing is lost when its characters are not at
their places, and nothing when it reads titles, captions, crossed-out characters or punctuation as well.

The drawn writing comes from the model of strokes that also drew what hanmo's readers were trained on
([handwriting.md](../docs/handwriting.md)); the writers and the sheets are others. This favours hanmo on drawn sheets.
Photographs have no such advantage. Seconds are those from the file to the answer, without the start of the process.
"""


def document(options: argparse.Namespace, papers: dict[str, Score], photographs: dict[str, Score]) -> str:
    """The whole page of figures."""
    count = sum(score.sheets for score in papers.values())
    source = "drawn before" if options.drawn else f"of seed {options.seed}"
    about = (
        f"`python benchmarks/sheets.py` with hanmo {__version__}, bundle {options.bundle or 'free'}, "
        f"threads {options.threads}, {platform.machine()}: {count} drawn sheets {source}, {len(papers)} papers."
    )
    parts = ["# Sheets", about, NOTES, "## Drawn sheets", table("paper", papers, LATTICE)]
    parts.append(table("paper", papers, READERS))
    if photographs:
        about = "Photographs that are not part of this repository; rows and columns were not told."
        parts += ["## Photographs", about, table("photograph", photographs, LATTICE)]
        parts.append(table("photograph", photographs, READERS))
    return "\n\n".join(part.strip() for part in parts) + "\n"


if __name__ == "__main__":
    main()
