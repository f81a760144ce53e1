"""A sheet against the text that should be on it: which characters differ.

Both are aligned with as few differences as possible (Levenshtein distance; Wagner and Fischer, "The string-to-string
correction problem", 1974), so that one character left out does not make all after it differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hanmo.errors import ArgumentError
from hanmo.sheets.sheet import Cell, Sheet

Kind = Literal["other", "missing", "extra", "unread"]
"""Another character is written, the character is missing, nothing is expected there, or the cell could not be read."""

MAX_CHARACTERS = 5_000
"""Longest text that is compared: time grows with the product of both lengths."""


@dataclass(frozen=True, eq=False)
class Difference:
    """A place where a sheet differs from a text.

    ``cell`` is the cell in question, for a missing character the one before its place; it is None before the first.
    ``expected`` is the text's character, "" where nothing is expected.
    """

    kind: Kind
    cell: Cell | None
    expected: str


def compare(sheet: Sheet, text: str) -> list[Difference]:
    """Where the cells of ``sheet`` differ from ``text``, in reading order. White space and empty cells do not count.

    Raises :class:`ArgumentError` for a text without characters, or with more than :data:`MAX_CHARACTERS`.
    """
    expected = characters_of(text)
    written = [cell for cell in sheet.cells if not cell.empty]
    differences = []
    before: Cell | None = None
    for cell, character in _aligned(written, expected):
        if cell is None:
            differences.append(Difference("missing", before, character))
        elif not _shows(cell, character):
            kind: Kind = "unread" if cell.character is None else "other" if character else "extra"
            differences.append(Difference(kind, cell, character))
        before = cell or before
    return differences


def characters_of(text: str) -> str:
    """The characters of a text to compare with, without white space; raises as :func:`compare`."""
    characters = "".join(text.split())
    if not characters or len(characters) > MAX_CHARACTERS:
        raise ArgumentError(
            f"the text to compare with has {len(characters):,} characters; give it from 1 to {MAX_CHARACTERS:,}"
        )
    return characters


def _aligned(cells: list[Cell], text: str) -> list[tuple[Cell | None, str]]:
    """Cells and characters in pairs; None beside a character without a cell, "" beside a cell without a character."""
    costs = _costs(cells, text)
    i, j = len(cells), len(text)
    pairs: list[tuple[Cell | None, str]] = []
    while i or j:
        if i and j and costs[i][j] == costs[i - 1][j - 1] + _cost(cells[i - 1], text[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((cells[i], text[j]))
        elif i and costs[i][j] == costs[i - 1][j] + _GAP:
            i -= 1
            pairs.append((cells[i], ""))
        else:
            j -= 1
            pairs.append((None, text[j]))
    return pairs[::-1]


def _costs(cells: list[Cell], text: str) -> list[list[int]]:
    """The least cost of aligning the first i cells with the first j characters, for all i and j."""
    row = [_GAP * j for j in range(len(text) + 1)]
    costs = [row]
    for cell in cells:
        above, row = row, [row[0] + _GAP]
        for j, character in enumerate(text):
            row.append(min(above[j] + _cost(cell, character), above[j + 1] + _GAP, row[j] + _GAP))
        costs.append(row)
    return costs


_GAP = 3
"""Cost of a missing or extra character, of another character twice 2: two gaps cost more than one exchange."""


def _cost(cell: Cell, character: str) -> int:
    if _shows(cell, character):
        return 0
    return 2 if cell.character is None else 4  # a cell that was not read may well show the character


def _shows(cell: Cell, character: str) -> bool:
    """Whether a cell was read as ``character``, or as one that looks the same."""
    if cell.character is None:
        return False
    best = cell.prediction.candidates[0] if cell.prediction else None
    alike = best.alike if best and best.character == cell.character else ""
    return character == cell.character or bool(character and character in alike)
