"""HWDB-C: the embedded readers and PP-OCRv6 small on exactly the same corrupted pages.

    pip download --no-deps rapidocr==3.10.0 && unzip rapidocr-*.whl
    python benchmarks/corruptions.py FILE... --peer rapidocr/models/PP-OCRv6_rec_small.onnx [--bundle B ...]
    python benchmarks/corruptions.py --sheet docs/corruptions.png

FILE is a .gnt or .gnt.xz file or a folder. docs/corruptions.md describes the pages. PP-OCRv6 reads lines, so it is
helped as in benchmarks/peers.py: a page is the line, and its answer is closed to the characters that all our readers
know. It gives no probability of a character among those and refuses nothing, so its confident mistakes and its ECE
are left out. Writes one JSON object a file and reader, and prints the same as Markdown tables. --sheet shows every
corruption at severities 1, 3 and 5 on drawn characters.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from peers import MARGIN, Grey, Paddle

from hanmo import Recognizer
from hanmo.data.read import read_samples
from hanmo.data.sheet import contact_sheet, save_png
from hanmo.evaluate.corrupt_measure import LIMIT, Reader, Reading, choose_samples, measure, reader_of
from hanmo.evaluate.corrupt_page import EDGE, SIDE
from hanmo.evaluate.corrupt_plot import heat_map
from hanmo.evaluate.corrupt_result import CorruptionReport
from hanmo.evaluate.corruptions import CORRUPTIONS, corrupt

READERS = ("free", "nano")
OUT = Path(__file__).with_suffix(".jsonl")


def peer_of(model: Path, known: str, *, cut: bool) -> Reader:
    """PP-OCRv6 as a reader of pages: the whole page, or the square in its middle that holds the character."""
    paddle = Paddle(model, known)
    # The same share of white around the character as benchmarks/peers.py found best for it, of a page that has more.
    edge = EDGE - round(MARGIN * (SIDE - 2 * EDGE) / (1 - 2 * MARGIN)) if cut else 0

    def read(pages: Sequence[Grey]) -> list[Reading]:
        return [Reading(paddle(page[edge : SIDE - edge, edge : SIDE - edge])[0][0]) for page in pages]

    return read


def compare(name: str, readers: dict[str, Reader], known: str, limit: int) -> list[CorruptionReport]:
    """One report a reader, all of the same pages."""
    subset = choose_samples(list(read_samples([name])), known=known, limit=limit, file=Path(name).name)
    return [measure(read, subset, name=reader) for reader, read in readers.items()]


def table(reports: Sequence[CorruptionReport]) -> str:
    """Markdown: a row a corruption, a column a reader, the mean accuracy and in brackets the one at severity 5."""
    first = reports[0]
    rows = [
        f"{first.file}, n = {first.n:,} of {first.total:,}: mean accuracy in % (at severity 3; at severity 5)",
        "",
        "| corruption | " + " | ".join(r.reader for r in reports) + " |",
        "|---" + "|---:" * len(reports) + "|",
        "| clean | " + " | ".join(f"{r.clean.accuracy:.1f}" for r in reports) + " |",
    ]
    for name in CORRUPTIONS:
        cells = (
            f"{r.mean(name):.1f} ({r.corruptions[name][2].accuracy:.1f}; {r.corruptions[name][4].accuracy:.1f})"
            for r in reports
        )
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    rows.append("| **mCA** | " + " | ".join(f"**{r.mca:.1f}**" for r in reports) + " |")
    rows.append("| drop at severity 3 | " + " | ".join(f"{r.drop:.1f}" for r in reports) + " |")
    rows.append("| wrong above 0.9, % | " + " | ".join(_sure_wrong(r) for r in reports) + " |")
    return "\n".join(rows)


def _sure_wrong(report: CorruptionReport) -> str:
    return f"{report.sure_wrong:.1f}" if report.clean.ece == report.clean.ece else "–"  # NaN: no probabilities


def draw_sheet(out: Path) -> None:
    """A picture of all corruptions, of drawn characters; 64 grey levels, which keeps the file small."""
    from hanmo.synth.recipe import SynthRecipe  # needs torch, which nothing else here does
    from hanmo.synth.samples import draw_samples

    drawn = [s.image for s in draw_samples(SynthRecipe(characters="永书客国语", per_character=1))]
    pages: list[Grey] = []
    captions: list[str] = []
    for number, name in enumerate(CORRUPTIONS):
        picture, others = drawn[number % len(drawn)], [drawn[(number + i) % len(drawn)] for i in range(1, 5)]
        for severity in (1, 3, 5):
            pages.append(corrupt(name, severity, picture, number, others) & np.uint8(0xFC))
            captions.append(f"{name}\n{severity}" if severity == 3 else f" \n{severity}")
    save_png(contact_sheet(pages, captions, columns=12, ink="dark", cell=SIDE, scale=1).convert("L"), out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--peer", type=Path, help="PP-OCRv6_rec_small.onnx")
    parser.add_argument("--bundle", action="append", default=[], help="more bundles to compare; may be repeated")
    parser.add_argument("--limit", type=int, default=LIMIT, help="random samples a file (seed 0); 0: all")
    parser.add_argument("--out", type=Path, default=OUT, help="the results, one JSON object a line")
    parser.add_argument("--heat-map", type=Path, help="a PNG with a heat map for each file and reader")
    parser.add_argument("--sheet", type=Path, help="draw the corruptions into this PNG and stop")
    args = parser.parse_args()
    if args.sheet:
        draw_sheet(args.sheet)
        return
    if not args.files:
        parser.error("name at least one FILE, or --sheet")
    bundles = [Recognizer(name) for name in (*READERS, *args.bundle)]
    known = "".join(c for c in bundles[0].bundle.charset if all(c in other.bundle.charset for other in bundles))
    readers = {f"hanmo {r.bundle.name}": reader_of(r) for r in bundles}
    if args.peer:
        readers["PP-OCRv6 small, page"] = peer_of(args.peer, known, cut=False)
        readers["PP-OCRv6 small, cut"] = peer_of(args.peer, known, cut=True)
    reports = []
    for name in args.files:
        some = compare(name, readers, known, args.limit)
        print(table(some), end="\n\n", flush=True)
        reports += some
        lines = (json.dumps(report.as_dict(), ensure_ascii=False) + "\n" for report in reports)
        args.out.write_text("".join(lines), encoding="utf-8")
    if args.heat_map:
        save_png(heat_map(reports), args.heat_map)


if __name__ == "__main__":
    main()
