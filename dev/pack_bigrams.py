"""Count which characters follow each other in the words of jieba's dictionary: src/hanmo/sheets/bigrams.bin.

    pip download --no-deps --no-binary :all: jieba==0.42.1 && tar xzf jieba-0.42.1.tar.gz
    python dev/pack_bigrams.py jieba-0.42.1/jieba/dict.txt src/hanmo/sheets/bigrams.bin

A line of the dictionary is a word, its count in the texts that jieba's author counted, and its part of speech. Counted
are, for each character of the set ``wide``, its occurrences, the words that begin with it and those that end with it;
and for each pair of characters, how often they follow each other within words. Rare pairs are left out.

The file, format 1:

    text     lines of UTF-8, the first ``hanmo bigrams 1``, then where the data comes from; an empty line ends it
    payload  xz; decompressed it holds, little-endian and without padding
             u32               number of characters, C
             u32               number of pairs, P
             u32               bytes of the next field
             UTF-8             the characters, in Unicode order
             u8 [3][C]         occurrences, beginnings and ends of each character
             u16 [C]           pairs that begin with each character
             u16 [P]           second character of each pair as the step from the one before with the same first; the
                               low bytes of all pairs, then the high bytes
             u8 [P]            how often each pair occurs
    A count n is stored as round(8 log2(n + 1)) for a character, and as round(2 log2(n + 1)) for a pair.
"""

from __future__ import annotations

import argparse
import lzma
import struct
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hanmo.charset import named_charset
from hanmo.charset.named import is_chinese

HEADER = """\
hanmo bigrams 1
How often {pairs:,} pairs of {characters:,} characters follow each other within words, and how often each of these
characters begins and ends a word.
Source: dict.txt of jieba 0.42.1 by Sun Junyi, MIT; see licenses/MIT-jieba.txt. Made by dev/pack_bigrams.py.

"""
LEAST = 9
"""Pairs counted less often are left out: they would double the file and say little more than that words may end."""
PER_DOUBLING, PER_DOUBLING_OF_PAIRS = 8, 2
"""Stored levels for each doubling of a count; the pairs are many, and half a doubling changes no decision."""


def pack(lines: Iterable[str]) -> bytes:
    """The packed file of a dictionary's lines."""
    occurrences, begins, ends, pairs = count(lines)
    characters = sorted(occurrences)
    place = {character: n for n, character in enumerate(characters)}
    kept = sorted((place[a], place[b], n) for (a, b), n in pairs.items() if n >= LEAST)
    first, second, often = (np.array(column, np.int64) for column in zip(*kept, strict=True))
    steps = np.diff(second, prepend=0)
    begin = np.flatnonzero(np.diff(first, prepend=-1))
    steps[begin] = second[begin]
    names = "".join(characters).encode()
    payload = b"".join(
        [
            struct.pack("<III", len(characters), len(kept), len(names)),
            names,
            *(_levels([counter[c] for c in characters], PER_DOUBLING) for counter in (occurrences, begins, ends)),
            np.bincount(first, minlength=len(characters)).astype("<u2").tobytes(),
            (steps & 255).astype(np.uint8).tobytes(),
            (steps >> 8).astype(np.uint8).tobytes(),
            _levels(often, PER_DOUBLING_OF_PAIRS),
        ]
    )
    header = HEADER.format(pairs=len(kept), characters=len(characters)).encode()
    return header + lzma.compress(payload, preset=9 | lzma.PRESET_EXTREME)


def count(lines: Iterable[str]) -> tuple[Counter[str], Counter[str], Counter[str], Counter[tuple[str, str]]]:
    """Occurrences, beginnings, ends and pairs, weighted by the words' counts."""
    wide = {character for character in named_charset("wide") if is_chinese(character)}
    occurrences: Counter[str] = Counter()
    begins: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for line in lines:
        word, often, *_ = line.rsplit(" ", 2)
        if not wide.issuperset(word):
            continue
        n = int(often)
        begins[word[0]] += n
        ends[word[-1]] += n
        for character in word:
            occurrences[character] += n
        for pair in pairwise(word):
            pairs[pair] += n
    return occurrences, begins, ends, pairs


def _levels(counts: list[int] | NDArray[np.int64], per_doubling: int) -> bytes:
    return np.rint(per_doubling * np.log2(np.asarray(counts) + 1)).astype(np.uint8).tobytes()


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack bigrams of characters for hanmo.sheets.")
    parser.add_argument("dictionary", type=Path, help="jieba/dict.txt of jieba 0.42.1")
    parser.add_argument("out", type=Path, help="where to write the packed file")
    arguments = parser.parse_args()
    with arguments.dictionary.open(encoding="utf-8") as lines:
        packed = pack(lines)
    arguments.out.write_bytes(packed)
    print(f"{arguments.out}: {len(packed):,} bytes")


if __name__ == "__main__":
    main()
