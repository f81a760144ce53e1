"""``make demo-distill``: the whole workflow in small, with the commands that a user would type.

It draws packs of fifty characters, trains a teacher with attention, distils a student, and trains the same student
without a teacher to compare. It exports and evaluates all three and recognizes the pictures in examples/. All results
lie in demo/; what an earlier run of it left there is removed first.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Any

# OpenMP threads wait for each other in a busy loop. A short one is best: a long one takes the time of other processes.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line does; torch has its own threads

from examples import TRUE_CHARACTERS, list_errors, list_pictures
from rich.console import Console
from rich.table import Table

from hanmo import Recognizer
from hanmo.cli.main import app

ROOT = Path(__file__).resolve().parent.parent
RUNS = {"teacher": "teacher", "alone": "student alone", "student": "student, distilled"}
"""The runs in demo/runs/ and their names in the table."""
MADE = ("packs", "runs", "bundles", "train.png", "read-distilled.png")
"""What this program makes in demo/; ``make demo`` keeps its own picture there."""
console = Console(highlight=False)


def say(text: str) -> None:
    """Print with markup and without breaking lines."""
    console.print(text, soft_wrap=True)


class CommandError(Exception):
    """A ``hanmo`` command failed; it has printed the reason."""


def hanmo(command: str) -> list[dict[str, Any]]:
    """Run one ``hanmo`` command in this process, so that torch is imported once; returns what ``--json`` printed."""
    say(f"\n[bold cyan]$ hanmo {command}[/]")
    arguments = shlex.split(command)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed) if "--json" in arguments else contextlib.nullcontext():
        status = app(arguments, prog_name="hanmo", standalone_mode=False)
    if status == 130:  # Ctrl-C
        sys.exit(status)
    if status:
        raise CommandError(f"hanmo {arguments[0]} ended with status {status}")
    return [json.loads(line) for line in printed.getvalue().splitlines()]


def draw_and_train() -> None:
    """Draw a training and a test pack, by different writers, and train the three networks."""
    small = "--set normalization.side=48"
    hanmo(f"synth @synth-demo {small} --set per_character=100 --out demo/packs/train")
    hanmo(f"synth @synth-demo {small} --set per_character=60 --seed 2 --out demo/packs/test")
    hanmo("data show demo/packs/train --rows 5 --out demo/train.png")
    hanmo("train @demo-teacher --out demo/runs/teacher")
    hanmo("distill @demo-student --out demo/runs/student")
    hanmo("train @demo-alone --out demo/runs/alone")


def export(name: str) -> dict[str, Any]:
    """Export a run as an int8 bundle, or as fp32 if int8 loses accuracy, and evaluate it; returns facts and figures."""
    command = f"export demo/runs/{name} --out demo/bundles/{name} --licence 'Arphic Public License' --json"
    try:
        (facts,) = hanmo(command)
    except CommandError:
        (facts,) = hanmo(f"{command} --fp32")
    say(f"{facts['precision']}, {facts['bytes'] / 1e6:.2f} MB; ONNX agrees with torch on {facts['agreement']:.2f} %")
    (figures,) = hanmo(f"evaluate demo/packs/test --bundle demo/bundles/{name} --batch-size 1 --json")
    say(f"top-1 {figures['top1']:.2f} %, top-5 {figures['top5']:.2f} %, {figures['ms_per_char']:.2f} ms a character")
    return facts | figures


def show_table(rows: dict[str, dict[str, Any]]) -> None:
    """Print a table of the teacher and both students."""
    from hanmo.nets.registry import count_macs, count_parameters
    from hanmo.train.run import load_trained

    table = Table(title="3,000 drawn characters by writers never seen in training", title_justify="left")
    table.add_column("")
    for heading in ("parameters", "MACs", "top-1", "bundle", "ms/char"):
        table.add_column(heading, justify="right")
    for name, row in rows.items():
        trained = load_trained(f"demo/runs/{name}")
        table.add_row(
            RUNS[name],
            f"{count_parameters(trained.net) / 1e6:.2f} M",
            f"{count_macs(trained.net, trained.normalization.side) / 1e6:.0f} M",
            f"{row['top1']:.2f} %",
            f"{row['bytes'] / 1e6:.2f} MB {row['precision']}",
            f"{row['ms_per_char']:.2f}",
        )
    console.print()
    console.print(table)
    say("Top-1 and milliseconds are the bundles', one packed character at a time on one CPU thread.")


def read_examples() -> bool:
    """Recognize the eight pictures with the distilled student and print its errors; returns whether there are none."""
    pictures = list_pictures()
    hanmo(f"recognize {' '.join(pictures)} --bundle demo/bundles/student --top 3 --sheet demo/read-distilled.png")
    wrong = list_errors(Recognizer("demo/bundles/student").recognize_batch(pictures))
    if wrong:
        say(f"[bold red]{len(wrong)} of {len(TRUE_CHARACTERS)} pictures read wrongly:[/] {', '.join(wrong)}")
    else:
        say(f"[bold green]All {len(TRUE_CHARACTERS)} pictures read correctly.[/]")
    return not wrong


def remove_earlier_results() -> None:
    """Remove what an earlier run made in demo/, and nothing else."""
    for path in (Path("demo", name) for name in MADE):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def main() -> int:
    os.chdir(ROOT)
    start = time.perf_counter()
    remove_earlier_results()
    try:
        draw_and_train()
        rows = {name: export(name) for name in RUNS}
        correct = read_examples()
        show_table(rows)
    except CommandError as error:
        say(f"[bold red]demo-distill: {error}[/]")
        return 1
    say(f"""
Done in {time.perf_counter() - start:.0f} s. The results:
  demo/read-distilled.png  the pictures with their three best candidates and probabilities
  demo/train.png           samples of the training pack
  demo/runs/*/plots/       loss, accuracy and learning rate of each training
  demo/bundles/student/    the distilled student: model.onnx and bundle.json
Recognize your own picture of one of the fifty characters of @synth-demo:
  .venv/bin/hanmo recognize PICTURE --bundle demo/bundles/student
How to train on real handwriting: README.md""")
    return 0 if correct else 1


if __name__ == "__main__":
    sys.exit(main())
