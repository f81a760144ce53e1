"""Which character is written in which cell, which cells stay empty, and which characters are crossed out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files

import numpy as np

from hanmo.synth.recipe import characters_by_use
from hanmo.synth.sheets.geometry import Boxes, Paper

Random = np.random.Generator

EMPTY, CROSSED = " ", "□"
_FEWEST, _MOST = 0.05, 0.4  # share of the cells that stay empty
_COMMON = 500  # characters at the head of the list by use
_PARAGRAPH = 5  # texts after which a new line begins
_PRACTICE = ("tianzige", "mizige", "huigongge")  # papers on which characters are usually repeated

Cells = list[list[str]]
"""A grid's characters, row by row; :data:`EMPTY` for none."""


@cache
def texts() -> tuple[tuple[str, ...], ...]:
    """Texts, each a sequence of phrases: Tang poems, lines of the Thousand Character Classic, everyday sentences."""
    whole = files("hanmo.synth").joinpath("data", "lines.txt").read_text(encoding="utf-8")
    return tuple(tuple(line.split()) for line in whole.splitlines() if line)


def fill(paper: Paper, rng: Random) -> list[Cells]:
    """What somebody writes on the sheet: the cells of each of its grids, before anything is crossed out."""
    if paper.name == "form":
        return [_field(boxes, rng) for boxes in paper.boxes]
    return [_page(paper, boxes, rng) for boxes in paper.boxes]


def cross_out(grids: list[Cells], rng: Random) -> list[tuple[int, int, int]]:
    """A few written cells (grid, row, column) whose characters are crossed out; on every other sheet there are none."""
    written = [
        (g, r, c) for g, rows in enumerate(grids) for r, row in enumerate(rows) for c, x in enumerate(row) if x != EMPTY
    ]
    if rng.random() < 0.5 or not written:
        return []
    count = min(len(written), 1 + int(rng.poisson(0.012 * len(written))))
    return [written[i] for i in sorted(rng.choice(len(written), count, replace=False))]


def _page(paper: Paper, boxes: Boxes, rng: Random) -> Cells:
    order = reading_order(boxes, paper.direction)
    line = boxes.rows if paper.direction != "rows" else boxes.columns
    cells = [[EMPTY] * boxes.columns for _ in range(boxes.rows)]
    practice = rng.random() < (0.6 if paper.name in _PRACTICE else 0.12)
    source = _practice(rng, line) if practice else _prose(rng, line, indent=paper.name in ("composition", "exam"))
    # Without rules nobody sees that rows below the last one are empty, so only the end of the last row stays empty.
    tail = rng.uniform(0, 0.25) * len(order) if paper.ruled else rng.uniform(0, 0.8) * line
    for (row, column), character in zip(order[: len(order) - int(tail)], source, strict=False):
        cells[row][column] = character
    low, high = (_FEWEST, _MOST) if paper.ruled else (_FEWEST, 0.15)
    _adjust(cells, order, rng, low, high)
    return cells


def reading_order(boxes: Boxes, direction: str) -> list[tuple[int, int]]:
    """The cells (row, column) as the text runs."""
    if direction == "rows":
        return [(r, c) for r in range(boxes.rows) for c in range(boxes.columns)]
    return [(r, c) for c in reversed(range(boxes.columns)) for r in range(boxes.rows)]


def _adjust(cells: Cells, order: list[tuple[int, int]], rng: Random, low: float, high: float) -> None:
    """Empty or fill random cells until the share of empty ones lies between ``low`` and ``high``."""
    empty = [place for place in order if cells[place[0]][place[1]] == EMPTY]
    written = [place for place in order if cells[place[0]][place[1]] != EMPTY]
    surplus = len(empty) - int(high * len(order))
    for number in rng.permutation(len(empty))[: max(0, surplus)]:
        row, column = empty[number]
        cells[row][column] = _common(rng)
    lacking = int(np.ceil(low * len(order))) - len(empty)
    for number in rng.permutation(len(written))[: max(0, lacking)]:
        row, column = written[number]
        cells[row][column] = EMPTY


def _shuffled(rng: Random) -> Iterator[tuple[str, ...]]:
    """The texts in random order, again and again."""
    while True:
        for number in rng.permutation(len(texts())):
            yield texts()[number]


def entry(boxes: Boxes, rng: Random) -> str:
    """A name or the like beside a caption, at most as long as its boxes."""
    return "".join(_common(rng) for _ in range(min(boxes.columns, int(rng.integers(2, 5)))))


def _common(rng: Random) -> str:
    """A character without a text: most often a common one, else any of GB2312 level 1."""
    characters = characters_by_use()
    return characters[rng.integers(_COMMON if rng.random() < 0.6 else len(characters))]


def _practice(rng: Random, line: int) -> Iterator[str]:
    """The same character a few times or for a whole line, then the next one."""
    times = int(rng.choice([1, 3, 4, 5, line]))
    for text in _shuffled(rng):
        for character in "".join(text):
            yield from character * times


def _prose(rng: Random, line: int, indent: bool) -> Iterator[str]:
    """Texts one after another; a cell stays empty where a comma or full stop would be, and after a paragraph."""
    if not indent and rng.random() < 0.25:
        while True:
            yield _common(rng)
    some = _shuffled(rng)
    while True:
        paragraph = EMPTY * 2 if indent else ""
        for _ in range(_PARAGRAPH if indent or line > 12 else 1):
            paragraph += "".join(f"{phrase}{EMPTY}" for phrase in next(some))
        yield from paragraph + EMPTY * (-len(paragraph) % line)  # the next one begins on a new line


def _field(boxes: Boxes, rng: Random) -> Cells:
    """An entry of a form, from the left; the boxes after it stay empty."""
    text = "".join(texts()[rng.integers(len(texts()))])
    start = rng.integers(max(1, len(text) - boxes.columns))
    length = int(rng.integers(max(2, round(0.6 * boxes.columns)), boxes.columns + 1))
    return [list(text[start : start + length].ljust(boxes.columns, EMPTY)[: boxes.columns])]
