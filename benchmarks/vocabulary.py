"""Readers of many characters: open to all of them and closed to level 1, rare characters, signs, and `among`.

    python benchmarks/vocabulary.py DATA --bundle wide --bundle free [--pack NAME=PACK ...]

DATA is the folder with the real samples (.gnt.xz). Each PACK holds drawn handwriting; of a pack, one row is printed for
every set of characters of which it has some. A character that a reader does not know counts as read wrongly, so that
readers of different sets can be compared. Top-1 in percent. Tables of benchmarks/vocabulary.md were written by this
script.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hanmo import Recognizer
from hanmo.charset import named_charset
from hanmo.data.pack import Pack
from hanmo.data.read import read_samples
from hanmo.errors import BlankImageError

LEVEL1_FILES = ("hwdb100-test", "radicals32-test", "hcl-address")
MISLABELLED = "垍庀"
"""Characters of rare-outside whose samples mostly show another one, as one sees at once: 垫 and 庇."""
SETS = ("level1", "level2", "common", "traditional", "digits", "latin", "punctuation", "ascii-punctuation")
TEN = "一二三四五六七八九十"


def squares_of(reader: Recognizer, path: Path) -> tuple[NDArray[np.uint8], list[str]]:
    """The normalised squares of a file of real samples, and their labels; samples without ink are left out."""
    squares, labels = [], []
    for sample in read_samples([path]):
        try:
            squares.append(reader.bundle.normalization(sample.image))
        except BlankImageError:
            continue
        labels.append(sample.label)
    return np.stack(squares), labels


def right(
    reader: Recognizer, squares: NDArray[np.uint8], labels: Sequence[str], *among: str | None
) -> list[NDArray[np.bool_]]:
    """Which of the squares are read as their label, (N,) for each of ``among``: closed to that set, None: open."""
    found: list[list[bool]] = [[] for _ in among]
    for start in range(0, len(squares), 256):
        logits = reader.logits(squares[start : start + 256])
        for own, names in zip(found, among, strict=True):
            for label, read in zip(labels[start:], reader.decide(logits, 1, among=names), strict=False):
                own.append(label in read.candidates[0].character + read.candidates[0].alike)
    return [np.array(own) for own in found]


def real_rows(reader: Recognizer, name: str, data: Path) -> Iterator[str]:
    for file in LEVEL1_FILES:
        squares, labels = squares_of(reader, data / f"{file}.gnt.xz")
        closed, opened = (100 * read.mean() for read in right(reader, squares, labels, "level1", None))
        yield f"| {name} | {file} | {len(labels):,} | {closed:.2f} | {opened:.2f} |"
    squares, labels = squares_of(reader, data / "rare-outside.gnt.xz")
    (read,) = right(reader, squares, labels, None)
    sound = np.array([label not in MISLABELLED for label in labels])
    yield f"| {name} | rare-outside | {len(labels):,} | | {100 * read.mean():.2f} |"
    yield f"| {name} | the same without {MISLABELLED} | {sound.sum():,} | | {100 * read[sound].mean():.2f} |"


def pack_rows(reader: Recognizer, name: str, title: str, path: Path) -> Iterator[str]:
    pack = Pack.open(path)
    labels = np.array([pack.charset[c] for c in pack.labels])
    counted: set[str] = set()
    for names in SETS:
        # Each character counts once, in the first set that holds it.
        here = {c for c in named_charset(names) if c in pack.charset} - counted
        counted |= here
        rows = np.flatnonzero([label in here for label in labels])
        if len(rows) and any(c in reader.characters for c in named_charset(names)):
            both = right(reader, np.asarray(pack.images[rows]), labels[rows].tolist(), names, None)
            closed, opened = (100 * read.mean() for read in both)
            yield f"| {name} | {title}: {names} | {len(here):,} | {len(rows):,} | {closed:.2f} | {opened:.2f} |"


def among_row(reader: Recognizer, name: str, repeats: int = 300) -> str:
    """Milliseconds of one reading: open, and among ten characters. Both in turn, so that both see the same machine."""
    square = np.zeros((1, reader.bundle.normalization.side, reader.bundle.normalization.side), np.uint8)
    square[:, 10:-10, 20:26] = 255
    times: dict[str | None, list[float]] = {None: [], TEN: []}
    for _ in range(repeats):
        for among, own in times.items():
            start = time.perf_counter()
            reader.predict(square, 5, among=among)
            own.append(1000 * (time.perf_counter() - start))
    opened, ten = (statistics.median(own) for own in times.values())
    return f"| {name} | {opened:.2f} | {ten:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--bundle", action="append", required=True)
    parser.add_argument("--pack", action="append", default=[], metavar="NAME=PACK")
    args = parser.parse_args()
    readers = {name: Recognizer(name, threads=2) for name in args.bundle}
    print("| bundle | file | samples | closed to level 1 | open |\n|---|---|---|---|---|")
    for name, reader in readers.items():
        for row in real_rows(reader, Path(name).name, args.data):
            print(row, flush=True)
    print("\n| bundle | drawn | characters | samples | closed to the set | open |\n|---|---|---|---|---|---|")
    for title, _, path in (pack.partition("=") for pack in args.pack):
        for name, reader in readers.items():
            for row in pack_rows(reader, Path(name).name, title, Path(path)):
                print(row, flush=True)
    print("\n| bundle | open, ms | among ten, ms |\n|---|---|---|")
    for name in args.bundle:
        print(among_row(Recognizer(name), Path(name).name), flush=True)


if __name__ == "__main__":
    main()
