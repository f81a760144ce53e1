"""``make demo``: the bundle that comes with hanmo reads the eight pictures in examples/, as a program would.

Needs the base install alone, no torch. Draws what was read onto demo/read.png and says how long a picture takes.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

from rich.console import Console

from hanmo import Recognizer
from hanmo.cli.main import app

ROOT = Path(__file__).resolve().parent.parent
WROTE = "永山水马书月翰墨"
"""What the pictures in examples/ show, in the order of their names."""
TIMED = 20
console = Console(highlight=False, soft_wrap=True)


def milliseconds(reader: Recognizer, pictures: list[str]) -> float:
    """Median time of a picture, from the file to the answer, on one thread."""
    times = []
    for _ in range(TIMED):
        for picture in pictures:
            start = time.perf_counter()
            reader.recognize(picture)
            times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> int:
    os.chdir(ROOT)
    Path("demo").mkdir(exist_ok=True)
    pictures = sorted(str(path) for path in Path("examples").glob("[0-9]*"))
    command = ["recognize", *pictures, "--top", "3", "--sheet", "demo/read.png"]
    console.print("[bold cyan]$ hanmo recognize examples/* --top 3 --sheet demo/read.png[/]")
    if status := app(command, prog_name="hanmo", standalone_mode=False):
        return int(status)
    reader = Recognizer()
    answers = reader.recognize_batch(pictures)
    wrong = [f"{true} as {r.character}" for true, r in zip(WROTE, answers, strict=True) if true != r.character]
    if wrong:
        console.print(f"[bold red]{len(wrong)} of {len(WROTE)} read wrongly:[/] {', '.join(wrong)}")
    else:
        known, time_each = len(reader.bundle.charset), milliseconds(reader, pictures)
        console.print(f"[bold green]All {len(WROTE)} pictures read correctly[/] among {known:,} characters,")
        console.print(f"in {time_each:.1f} ms each, files and all, on one thread.")
    console.print("""
Look at demo/read.png: the pictures, their three best candidates and probabilities.
Read a picture of your own:   .venv/bin/hanmo recognize PICTURE
Train and distil one, small:  make demo-distill""")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
