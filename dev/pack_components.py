"""Pack the components of Chinese characters: src/hanmo/charset/components.txt.

    python dev/pack_components.py ids_lv1.txt src/hanmo/charset

``ids_lv1.txt`` is the table of "Yet another IDS lists with MIT license" by Yi Bai. Kept are the Chinese characters of
GB2312, of the general standard table and of CASIA-HWDB that have more than one component.

A character is taken apart again and again, as long as its parts lie beside, above or around each other and no part is a
single stroke or the like: 湖 is 氵 and 胡, 胡 is 古 and 月, 古 is 十 and 口. 十 is a component, because its parts are
strokes.

A packed file is UTF-8 text: lines that say where the table comes from, an empty line, then a character and its
components, each once, in every line.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ids import Node, read_sequences

from hanmo.charset import named_charset
from hanmo.charset.named import is_chinese

HEADER = """\
The components of {count:,} Chinese characters; {components} different components.
Source: Yet another IDS lists with MIT license, by Yi Bai, MIT; see licenses/MIT-ids.txt.
Changed: the characters of three sets were kept, and the components of all components found; dev/pack_components.py.
"""
SETS = "gb2312+common+casia"
STROKES = frozenset("一丨丶丿乀乁乙乚乛亅𠃊𠃌𠄌𠄎𡿨⺄")
"""Characters that are a single stroke; those of the block of strokes, from U+31C0, are added below."""
FRAGMENTS = frozenset("〢⺆")
"""Two strokes that are no component of their own: the sides of 口, and the frame of 月."""
OVERLAID = "⿻"
"""The operator of parts that cross each other, which have no regions of their own."""


def is_too_small(name: str) -> bool:
    """Whether a part of a sequence is too small for a component."""
    return name in STROKES or name in FRAGMENTS or 0x31C0 <= ord(name) <= 0x31EF


def components(character: str, table: dict[str, list[Node]], within: frozenset[str] = frozenset()) -> list[str]:
    """The components of a character, in the order of its sequence; itself if it cannot be taken apart."""
    sequences = table.get(character)
    if not sequences or character in within:  # some rare characters are described by each other
        return [character]
    leaves = list(leaves_of(sequences[0]))
    if any(operator == OVERLAID or is_too_small(name) for name, operator in leaves):
        return [character]
    found = [part for name, _ in leaves for part in components(name, table, within | {character})]
    return list(dict.fromkeys(found))


def leaves_of(node: Node, operator: str = "") -> list[tuple[str, str]]:
    """The characters of a sequence, each with the operator that places it."""
    if not node.parts:
        return [(node.name, operator)]
    return [leaf for part in node.parts for leaf in leaves_of(part, node.name)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack the components of characters for hanmo.charset.")
    parser.add_argument("ids", type=Path, help="the table of sequences, ids_lv1.txt")
    parser.add_argument("out", type=Path, help="folder to write components.txt to")
    arguments = parser.parse_args()
    table = read_sequences(arguments.ids)
    wanted = sorted(c for c in named_charset(SETS) if is_chinese(c))
    found = {c: components(c, table) for c in wanted}
    rows = [c + "".join(parts) for c, parts in found.items() if parts != [c]]
    header = HEADER.format(count=len(rows), components=len({part for parts in found.values() for part in parts}))
    text = header + "\n" + "\n".join(rows) + "\n"
    (arguments.out / "components.txt").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
