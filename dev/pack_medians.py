"""Pack the stroke medians of hanzi-writer-data into one small file, src/hanmo/medians.bin.

    npm pack hanzi-writer-data@2.0.1 && tar xzf hanzi-writer-data-2.0.1.tgz
    python dev/pack_medians.py package src/hanmo/medians.bin

A median is the middle line of a stroke, in writing order and direction. The package has one JSON a character,
medians on a 1024 grid with y up and the baseline at 900; here y is 900 - y, so it grows downwards. Coordinates
are otherwise untouched (ten of 212,886 points are fractions and get rounded), and only the 3,755 characters of
GB2312 level 1 are kept.

The file, format 1:

    text     lines of UTF-8, the first ``hanmo medians 1``, then where the data comes from, how and when it was
             changed and its licence (which asks for that notice in the file itself); an empty line ends it
    payload  xz; decompressed it holds, little-endian and without padding
             u32               number of characters, C
             u32               bytes of the next field
             UTF-8             the characters, in the order of the charset
             u8 [C]            strokes of every character
             u8 [strokes]      points of every stroke, at least 2
             i16 [points][2]   x and y; the first point of a stroke as it is, the others as the step from the one before
"""

from __future__ import annotations

import argparse
import json
import lzma
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hanmo.charset import Charset

HEADER = """\
hanmo medians 1
Stroke medians of the {count} characters of GB2312 level 1.
Source: hanzi-writer-data 2.0.1 by David Chanin, derived from Make Me a Hanzi, Copyright (C) 2016 Shaunak Kishore,
derived from the fonts Arphic PL KaitiM GB and Arphic PL UKai, Copyright (C) 1999 Arphic Technology Co., Ltd.
Changed for hanmo on 2026-11-23 by dev/pack_medians.py: kept the medians of these characters only,
turned y to 900 - y, rounded ten fractional points, stored as steps in one compressed file.
Licence: Arphic Public License, this file included; see licenses/ARPHICPL.txt. No warranty.

"""
BASELINE = 900


def pack(package: Path) -> bytes:
    """The packed file of the unpacked npm package at ``package``."""
    medians = {}
    for character in Charset.level1():
        strokes = json.loads((package / f"{character}.json").read_text(encoding="utf-8"))["medians"]
        medians[character] = [np.rint(stroke) * (1, -1) + (0, BASELINE) for stroke in strokes]
    return pack_strokes(HEADER, medians)


def pack_strokes(header: str, strokes: Mapping[str, Sequence[NDArray[np.float64]]]) -> bytes:
    """A file of format 1: characters and their strokes, whole numbers (n, 2), after a header that may name a count."""
    names = "".join(strokes).encode()
    every = [stroke for character in strokes.values() for stroke in character]
    payload = b"".join(
        [
            struct.pack("<II", len(strokes), len(names)),
            names,
            bytes(map(len, strokes.values())),
            bytes(map(len, every)),
            np.concatenate([np.diff(s, axis=0, prepend=[[0, 0]]) for s in every]).astype("<i2").tobytes(),
        ]
    )
    return header.format(count=len(strokes)).encode() + lzma.compress(payload, preset=9 | lzma.PRESET_EXTREME)


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack stroke medians for hanmo.synth.")
    parser.add_argument("package", type=Path, help="the unpacked npm package hanzi-writer-data@2.0.1")
    parser.add_argument("out", type=Path, help="where to write the packed file")
    arguments = parser.parse_args()
    packed = pack(arguments.package)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_bytes(packed)
    print(f"{arguments.out}: {len(packed):,} bytes")


if __name__ == "__main__":
    main()
