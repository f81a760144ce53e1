"""Read ideographic description sequences (IDS): how a character is put together of components.

A sequence is an operator (⿰ left and right, ⿱ above and below, ⿸ around the upper left ...) and its operands, each a
character or a sequence of its own. The file's lines are ``character TAB sequence(marks);sequence(marks) TAB others``;
the marks name the regions that write the character so: ``.`` mainland, ``T`` Taiwan, ``J`` Japan.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ARITY = {**dict.fromkeys("⿰⿱⿴⿵⿶⿷⿸⿹⿺⿻", 2), **dict.fromkeys("⿲⿳", 3)}

_OPTION = re.compile(r"(?P<sequence>(?:#\([^)]*\)|[^;()])+)(?:\((?P<marks>[^)]*)\))?")


class Node(NamedTuple):
    """A character with no operands, or an operator with two or three."""

    name: str
    parts: tuple[Node, ...] = ()


def read_sequences(path: Path) -> dict[str, list[Node]]:
    """The sequences of every character, the mainland form first; those with signs other than operators are left out."""
    table: dict[str, list[Node]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        character, *columns = line.split("\t")
        options = [m for column in columns for m in _OPTION.finditer(column)]
        options.sort(key=lambda m: "." not in (m["marks"] or ".").split(","))
        nodes = [node for m in options if (node := parse(m["sequence"])) is not None and node.parts]
        if nodes:
            table[character] = nodes
    return table


def parse(sequence: str) -> Node | None:
    """The tree of a sequence, or None for one with signs that are no operators (listed strokes, mirrored parts)."""
    try:
        node, rest = _parse(sequence)
    except (IndexError, ValueError):
        return None
    return None if rest else node


def _parse(text: str) -> tuple[Node, str]:
    head, text = text[0], text[1:]
    if head not in ARITY:
        if head < "⺀" or "⿰" <= head <= "⿿":
            raise ValueError(f"{head!r} is neither an operator nor a character")
        return Node(head), text
    parts = []
    for _ in range(ARITY[head]):
        part, text = _parse(text)
        parts.append(part)
    return Node(head, tuple(parts)), text
