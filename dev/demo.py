"""``make demo``: the packaged bundle recognizes the eight pictures in examples/, from the command line and from Python.

It needs the core install only, no torch. It draws the results onto demo/read.png and measures the time for a picture.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

from examples import TRUE_CHARACTERS, list_errors, list_pictures
from rich.console import Console

from hanmo import Recognizer
from hanmo.cli.main import app

ROOT = Path(__file__).resolve().parent.parent
REPEATS = 20
"""Times that each picture is recognized, so that a moment of other load does not matter."""
console = Console(highlight=False, soft_wrap=True)


def milliseconds(reader: Recognizer, pictures: list[str]) -> float:
    """Median time for a picture in milliseconds, from the file to the prediction, on one thread."""
    times = []
    for _ in range(REPEATS):
        for picture in pictures:
            start = time.perf_counter()
            reader.recognize(picture)
            times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> int:
    os.chdir(ROOT)
    Path("demo").mkdir(exist_ok=True)
    pictures = list_pictures()
    command = ["recognize", *pictures, "--top", "3", "--sheet", "demo/read.png"]
    console.print("[bold cyan]$ hanmo recognize examples/* --top 3 --sheet demo/read.png[/]")
    if status := app(command, prog_name="hanmo", standalone_mode=False):
        return int(status)
    reader = Recognizer()
    wrong = list_errors(reader.recognize_batch(pictures))
    if wrong:
        console.print(f"[bold red]{len(wrong)} of {len(TRUE_CHARACTERS)} read wrongly:[/] {', '.join(wrong)}")
    else:
        known, time_each = len(reader.bundle.charset), milliseconds(reader, pictures)
        console.print(f"[bold green]All {len(TRUE_CHARACTERS)} pictures read correctly[/] among {known:,} characters,")
        console.print(f"in {time_each:.1f} ms each, including opening the file, on one thread.")
    console.print("""
demo/read.png shows the pictures with their three best candidates and probabilities.
Recognize your own picture:        .venv/bin/hanmo recognize PICTURE
Train and distil a small network:  make demo-distill""")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
