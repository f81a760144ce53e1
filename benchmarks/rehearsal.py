"""A rehearsal of the CASIA protocol (docs/casia.md) on drawn samples, timed stage by stage.

    python benchmarks/rehearsal.py build/rehearsal --shares 0.001 0.01 --stages draw zip pack evaluate
    python benchmarks/rehearsal.py build/rehearsal --shares 0.1 --stages teacher distil export test --device cuda
    python benchmarks/rehearsal.py build/rehearsal --table

The samples are those of CASIA-HWDB1.0 and 1.1 in number and form: 720 writers, one .gnt file each, in four zip
archives (training and test of both sets), 3,755 characters a writer at a share of 1. A smaller share has as many
writers, each of whom writes fewer characters. A writer has one hand, drawn by the model of strokes; pictures are
cropped to the ink, as CASIA's are.

Stages:

draw       the .gnt files
zip        the archives; the .gnt files are removed
pack       `hanmo data pack` of the training and of the test archives
evaluate   `hanmo evaluate --per-writer` of the test archives with a bundle that comes with hanmo
teacher    `hanmo train @teacher`
distil     `hanmo distill @paper-scale`
export     `hanmo export`
test       `hanmo evaluate --per-writer` of the test archives with the exported student

Each command of a stage is a process of its own. Its wall time, processor time and peak memory are those that the
operating system counts (wait4); where it has workers, the peak is that of the largest process. A line for each
finished stage goes to FOLDER/results.jsonl, so a finished stage is not repeated: FOLDER may be carried to a machine
with a GPU for the stages that need one. A stage that finished with other options is refused. --repeat R draws a share's
distinct pictures once and writes each R times, where drawing all would take too long; the table says so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rehearsal_archives import CHARACTERS, TEST, TRAIN, WRITERS, draw, zip_archives

from hanmo.bulk.pool import usable_cores

FULL = WRITERS * CHARACTERS


class Cost(NamedTuple):
    """What a process took: seconds, seconds of all processors, and peak memory in MB."""

    wall: float
    processor: float
    peak: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shares", nargs="+", type=float, default=[0.001, 0.01])
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=["draw", "zip", "pack", "evaluate"])
    parser.add_argument("--repeat", type=int, default=1, help="write each drawn picture so many times")
    parser.add_argument("--workers", type=int, default=2, help="of hanmo data pack, and archives zipped at a time")
    parser.add_argument("--device", default="cpu", help="of drawing and training")
    parser.add_argument("--bundle", default="free", help="of the stage evaluate")
    parser.add_argument("--limit", type=int, default=0, help="of the stages evaluate and test: samples of an archive")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="of both trainings")
    parser.add_argument("--again", action="store_true", help="run stages that have a result, too")
    parser.add_argument("--table", action="store_true", help="only print the table of FOLDER/results.jsonl")
    parser.add_argument("--do", choices=("draw", "zip"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.do:
        prepare(args)
        return
    for share in () if args.table else args.shares:
        for stage in args.stages:
            run(stage, share, args)
    print("\n".join(table(results(args.folder))))


def run(stage: str, share: float, args: argparse.Namespace) -> None:
    """One stage of one share, unless it has a result; its result is added to results.jsonl."""
    if not args.again and is_done(stage, share, args):
        return
    place = args.folder / f"{share:g}"
    place.mkdir(parents=True, exist_ok=True)
    costs = [measured(command, place) for command in STAGES[stage](share, args)]
    record = {
        "stage": stage,
        "share": share,
        "samples": WRITERS * characters_of(share),
        "repeat": args.repeat,
        "options": {name: getattr(args, name) for name in OPTIONS[stage]},
        "seconds": round(sum(c.wall for c in costs), 2),
        "processor": round(sum(c.processor for c in costs), 2),
        "peak_mb": round(max(c.peak for c in costs)),
        "bytes": sum(f.stat().st_size for f in outputs(stage, place)),
        "limit": args.limit if stage in ("evaluate", "test") else 0,
        "machine": f"{platform.machine()}, {usable_cores()} cores, {args.device}",
        "load": round(os.getloadavg()[0], 1),
    }
    with (args.folder / "results.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    print(record, flush=True)


def is_done(stage: str, share: float, args: argparse.Namespace) -> bool:
    """Whether the stage has a result. One of other options ends the rehearsal: its figure is not what is asked for."""
    done = next((r for r in results(args.folder) if (r["stage"], r["share"]) == (stage, share)), None)
    if done is None:
        return False
    # Results of before "options" was written have some of them beside the figures.
    options = done.get("options", done)
    for name in OPTIONS[stage]:
        if name in options and options[name] != getattr(args, name):
            sys.exit(
                f"{stage} of share {share:g}: has a result with {name} {options[name]}, not {getattr(args, name)}; "
                "leave the stage out, add --again to replace the result, or name another folder"
            )
    return True


def measured(command: list[str], place: Path) -> Cost:
    """Run ``command`` in ``place``; a failed one ends the rehearsal. Output goes to place/log.txt."""
    start = time.perf_counter()
    with (place / "log.txt").open("a", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=place, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit status {process.returncode}; see {place / 'log.txt'}")
    unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss counts bytes on macOS, KiB elsewhere
    return Cost(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)


def characters_of(share: float) -> int:
    """The number of characters of each writer."""
    return max(1, round(CHARACTERS * share))


# -- stages ----------------------------------------------------------------------------------------------------------


def hanmo(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "hanmo", *arguments]


def own(stage: str, share: float, args: argparse.Namespace) -> list[str]:
    here = [sys.executable, str(Path(__file__).resolve()), ".", "--do", stage, "--shares", str(share)]
    return [*here, "--repeat", str(args.repeat), "--workers", str(args.workers), "--device", args.device]


def pack(_: float, args: argparse.Namespace) -> list[list[str]]:
    how = ["--charset", "level1", "--skip-unknown", "--workers", str(args.workers), "--overwrite"]
    return [
        hanmo("data", "pack", *(f"{archive.name}.zip" for archive in archives), "--out", f"packs/{name}", *how)
        for name, archives in (("casia-train", TRAIN), ("casia-test", TEST))
    ]


def evaluate(bundle: str, args: argparse.Namespace) -> list[list[str]]:
    limit = ["--limit", str(args.limit)] if args.limit else []
    archives = (f"{archive.name}.zip" for archive in TEST)
    return [hanmo("evaluate", *archives, "--bundle", bundle, "--per-writer", "--json", *limit)]


def training(verb: str, recipe: str, out: str, args: argparse.Namespace, *more: str) -> list[list[str]]:
    changes = ["data.train=packs/casia-train", "data.test=packs/casia-test", *args.settings]
    return [
        hanmo(verb, recipe, "--out", out, "--device", args.device, *more, *(f"--set={change}" for change in changes))
    ]


STAGES: dict[str, Callable[[float, argparse.Namespace], list[list[str]]]] = {
    "draw": lambda share, args: [own("draw", share, args)],
    "zip": lambda share, args: [own("zip", share, args)],
    "pack": pack,
    "evaluate": lambda _, args: evaluate(args.bundle, args),
    "teacher": lambda _, args: training("train", "@teacher", "runs/casia-teacher", args),
    "distil": lambda _, args: training(
        "distill", "@paper-scale", "runs/casia-student", args, "--teacher", "runs/casia-teacher"
    ),
    "export": lambda _, args: [hanmo("export", "runs/casia-student", "--out", "bundles/casia", "--force")],
    "test": lambda _, args: evaluate("bundles/casia", args),
}


OPTIONS = {
    "draw": ("repeat", "device"),
    "zip": ("repeat", "workers"),
    "pack": ("repeat", "workers"),
    "evaluate": ("repeat", "bundle", "limit"),
    "teacher": ("repeat", "device", "settings"),
    "distil": ("repeat", "device", "settings"),
    "export": ("repeat", "settings"),
    "test": ("repeat", "settings", "limit"),
}
"""Options on which the result of a stage depends, also by the stages before it."""


def prepare(args: argparse.Namespace) -> None:
    """The stage draw or zip itself, in a process of its own."""
    if args.do == "draw":
        draw(args.folder, characters_of(args.shares[0]), args.repeat, args.device)
    else:
        zip_archives(args.folder, args.workers)


def outputs(stage: str, place: Path) -> Iterator[Path]:
    """The files that a stage leaves."""
    globs = {
        "draw": ("*_gnt/*.gnt",),
        "zip": ("*_gnt.zip",),
        "pack": ("packs/*/*",),
        "teacher": ("runs/casia-teacher/weights.safetensors",),
        "distil": ("runs/casia-student/weights.safetensors",),
        "export": ("bundles/casia/*",),
    }
    for pattern in globs.get(stage, ()):
        yield from place.glob(pattern)


# -- the table -------------------------------------------------------------------------------------------------------


def results(folder: Path) -> list[dict[str, Any]]:
    """The records of finished stages, the last one of each share and stage."""
    file = folder / "results.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return list({(r["stage"], r["share"]): r for r in map(json.loads, lines)}.values())


def table(records: list[dict[str, Any]]) -> list[str]:
    """A row for each measured share of a stage, and one for the extrapolation where 100 % was not measured."""
    lines = [
        "| stage | share | samples | wall time | processor time | peak memory, MB | bytes written |",
        "|---|---|---|---|---|---|---|",
    ]
    for stage in STAGES:
        measured = sorted((r for r in records if r["stage"] == stage), key=lambda r: r["share"])
        for r in measured:
            note = f", each {r['repeat']} times" if r["repeat"] > 1 else ""
            note += f", {r['limit']:,} of each archive" if r["limit"] else ""
            size = f"{r['bytes'] / 1e6:,.1f} MB" if r["bytes"] else "–"
            lines.append(
                f"| {stage} | {100 * r['share']:g} % | {r['samples']:,}{note} | {duration(r['seconds'])} "
                f"| {duration(r['processor'])} | {r['peak_mb']:,} | {size} |"
            )
        whole = [r for r in measured if not r["limit"]]
        # From a single small share the start of the program, not the samples, would be extrapolated.
        if whole and 0.01 <= whole[-1]["share"] < 1:
            wall, processor, written = (extrapolated(whole, key) for key in ("seconds", "processor", "bytes"))
            grown = f"{written / 1e6:,.0f} MB" if written else "–"
            cells = (stage, "*100 %, extrapolated*", f"{FULL:,}", *map(duration, (wall, processor)), "", grown)
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def extrapolated(records: list[dict[str, Any]], key: str) -> float:
    """The value for all samples: on the line through the two largest shares, or in proportion where there is one."""
    last = records[-1]
    if len(records) == 1:
        return float(last[key] * FULL / last["samples"])
    before = records[-2]
    slope = (last[key] - before[key]) / (last["samples"] - before["samples"])
    # A line that falls is noise of a busy machine; in proportion is then the careful answer.
    return float(last[key] + slope * (FULL - last["samples"]) if slope > 0 else last[key] * FULL / last["samples"])


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    main()
