"""Pack the pen curves of KanjiVG into one small file, src/hanmo/synth/data/kanjivg.bin.

    pip download --no-deps kanjivg==20260714 && unzip kanjivg-20260714-py3-none-any.whl && pip install svg.path
    python tools/pack_kanjivg.py kanji src/hanmo/synth/data/kanjivg.bin

KanjiVG holds Japanese characters as the pen writes them. Where a character of GB2312 level 1 has as many strokes there,
in the same order and each alike in shape and place, its curves are a second way to write it; where anything differs the
character is left out, as its Japanese form or stroke order is another one. Curves become lines of at most twelve points
on a grid of 1024. The file is in the format of ``tools/pack_medians.py``.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pack_medians import pack_strokes
from svg.path import parse_path

from hanmo.charset import Charset
from hanmo.synth.abbreviations import boxed, comparable
from hanmo.synth.medians import even_out, load_medians

HEADER = """\
hanmo medians 1
Pen curves of {count} characters of GB2312 level 1.
Source: KanjiVG (release 20260714), Copyright (C) 2009-2026 Ulrich Apel, https://kanjivg.tagaini.net
Changed for hanmo on 2026-11-25 by tools/pack_kanjivg.py: kept the characters whose strokes agree with the Chinese ones,
turned curves into lines of at most twelve points on a grid of 1024, stored as steps in one compressed file.
Licence: Creative Commons Attribution-ShareAlike 3.0, this file included; see licenses/CC-BY-SA-3.0.txt.

"""
SIDE, GRID, POINTS = 109, 1024, 12
ALIKE, UNLIKE = 0.125, 0.3
"""Mean and greatest distance of agreeing strokes, in units of the character's box."""
_PATH = re.compile(r'<path [^>]*\bd="([^"]+)"')


def strokes_of(svg: str) -> list[NDArray[np.float64]]:
    """The strokes of a file in order, whole numbers (n, 2) on the grid, y down."""
    lines = []
    for d in _PATH.findall(svg):
        curve = parse_path(d)
        points = [curve.point(t) for t in np.linspace(0, 1, 65)]
        line = np.array([[p.real, p.imag] for p in points], np.float32) * (GRID / SIDE)
        lines.append(np.rint(even_out([line], POINTS)[0]).astype(np.float64))
    return lines


def agrees(curves: list[NDArray[np.float64]], medians: list[NDArray[np.float32]]) -> bool:
    """Whether both are the same strokes in the same order."""
    if len(curves) != len(medians):
        return False
    drawn = [(curve / GRID).astype(np.float32) for curve in curves]
    ours, theirs = (boxed(comparable(strokes)[None])[0][0] for strokes in (medians, drawn))
    each = np.sqrt(np.square(ours - theirs).sum(2)).mean(1)
    return bool(each.mean() < ALIKE and each.max() < UNLIKE)


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack the curves of KanjiVG for hanmo.synth.")
    parser.add_argument("kanji", type=Path, help="the folder of SVG files of the PyPI package kanjivg")
    parser.add_argument("out", type=Path, help="where to write the packed file")
    arguments = parser.parse_args()
    kept, there = {}, 0
    for character in Charset.level1():
        file = arguments.kanji / f"{ord(character):05x}.svg"
        if file.exists():
            there += 1
            curves = strokes_of(file.read_text(encoding="utf-8"))
            if agrees(curves, load_medians().of(character)):
                kept[character] = curves
    packed = pack_strokes(HEADER, kept)
    arguments.out.write_bytes(packed)
    print(f"{arguments.out}: {len(kept):,} of the {there:,} characters that are there, {len(packed):,} bytes")


if __name__ == "__main__":
    main()
