"""Accuracy on folders of photographed cells.

    python benchmarks/pictures.py FOLDER... [--bundle B]

A folder holds pictures and ``labels.json``, an object from file name to ``{"label": character or null, "kind": ...}``.
``kind`` is ``character`` or ``empty``; pictures of other kinds, and characters that the bundle does not know, are left
out. A refused character counts as wrong; an empty cell counts as right when it is refused.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from hanmo import Recognizer


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folders", nargs="+", type=Path)
    arguments.add_argument("--bundle", action="append", help="free and nano if none is named")
    options = arguments.parse_args()
    print("| folder | bundle | characters | first is right % | right, not refused % | empties | refused % | reasons |")
    print("|---|---|---|---|---|---|---|---|")
    for folder in options.folders:
        for name in options.bundle or ("free", "nano"):
            print(row(folder, name, Recognizer(name)), flush=True)


def row(folder: Path, name: str, reader: Recognizer) -> str:
    """A line of the table: how ``reader`` reads the labelled pictures of ``folder``."""
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    known = [f for f, v in labels.items() if v["kind"] == "character" and v["label"] in reader.bundle.charset]
    empty = [f for f, v in labels.items() if v["kind"] == "empty"]
    read = reader.recognize_batch([folder / file for file in known])
    expected = [labels[file]["label"] for file in known]
    best = sum(bool(p.candidates) and p.candidates[0].character == t for p, t in zip(read, expected, strict=True))
    right = sum(p.character == t for p, t in zip(read, expected, strict=True))
    blank = reader.recognize_batch([folder / file for file in empty])
    refused = sum(p.refused for p in blank)
    reasons = ", ".join(f"{reason} {n}" for reason, n in Counter(p.reason for p in blank).most_common())
    shares = [f"{100 * part / max(len(known), 1):.1f}" for part in (best, right)]
    of_empty = f"{100 * refused / len(empty):.1f}" if empty else "-"
    cells = (folder.name, name, len(known), *shares, len(empty), of_empty, reasons)
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
