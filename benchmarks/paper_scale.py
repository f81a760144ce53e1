"""The paper's comparison at its own scale: 100 classes, teachers, attention, distillation; three seeds a row.

    python benchmarks/paper_scale.py DATA --work runs/paper-scale --minutes 25      # repeat until nothing is left
    python benchmarks/paper_scale.py DATA --work runs/paper-scale --dry-run       # prints the jobs and what they cost
    python benchmarks/paper_scale.py DATA --work runs/paper-scale --table-only

DATA holds hwdb100-train.gnt.xz and hwdb100-test.gnt.xz (official writer split of CASIA-HWDB1.1). Every row is one
``hanmo train`` or ``hanmo distill`` command with the seeds sharing a compiled net, then one ``hanmo export`` a seed on
the CPU. Prints the table and keeps its records in benchmarks/paper_scale.jsonl; the columns training images/s and ms a
character come from training_speed.py and reading_speed.py, since runs that share a device say nothing about speed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from normalization import cost_of, pack

from hanmo.bench.dry_run import print_dry_run
from hanmo.bench.jobs import Job, Record, Results, RunId, run_jobs
from hanmo.builtin import recipe_path
from hanmo.config import load_toml
from hanmo.nets.registry import NetConfig, net_size
from hanmo.train.config import Recipe

HERE = Path(__file__).parent
RECORDS = HERE / "paper_scale.jsonl"
KD = {"name": "kd", "weight": 0.9, "options": {"temperature": 3.0}}
AT = {"name": "at", "options": {"teacher_layers": [f"members.0.layer{i}" for i in (2, 3, 4)]}}
TEACHERS = ("teacher-deep", "teacher-wide")
TWO: tuple[RunId, ...] = tuple((name, 0) for name in TEACHERS)
SEEDS = (0, 1, 2)
THREE: tuple[RunId, ...] = tuple(("resnet18", seed) for seed in SEEDS)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table: a recipe, what is changed in it, the net (for parameters and MACs), and the trainings, by
    row and seed, whose nets together are its teacher."""

    title: str
    recipe: str
    changes: tuple[str, ...] = ()
    net: NetConfig = field(default_factory=NetConfig)
    teachers: tuple[RunId, ...] = ()


def _attention(name: str) -> Row:
    return Row(
        title=f"ResNet-18 + {name.upper() if name != 'simam' else 'SimAM'}",
        recipe="@student",
        changes=(f"net.attention={name}",),
        net=NetConfig(attention=name),
    )


def _distilled(
    title: str, methods: Iterable[dict[str, Any]], teachers: tuple[RunId, ...] = TWO, changes: tuple[str, ...] = ()
) -> Row:
    tables = ", ".join(_toml(m) for m in methods)
    return Row(title=title, recipe="@paper-scale", changes=(f"distill.methods=[{tables}]", *changes), teachers=teachers)


def _toml(value: Any) -> str:
    """A value inside an inline table; JSON writes all but tables alike."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)


ROWS: dict[str, Row] = {
    "teacher-deep": Row(
        title="teacher: ResNet-34 + SE",
        recipe="@teacher",
        net=NetConfig(name="resnet34", attention="se"),
    ),
    "teacher-wide": Row(
        title="teacher: ResNet-18, 1.5 x wider, + ECA",
        recipe="@teacher",
        changes=("net.name=resnet18", "net.width=96", "net.attention=eca"),
        net=NetConfig(width=96, attention="eca"),
    ),
    "resnet18": Row(title="ResNet-18", recipe="@student"),
    "kd": _distilled("ResNet-18, KD", [KD]),
    "kd-standardised": _distilled("ResNet-18, logit-standardised KD", [{"name": "kd-standardised"}]),
    "at": _distilled("ResNet-18, AT", [AT], changes=("distill.label_weight=1.0",)),
    "kd-at": _distilled("ResNet-18, KD + AT", [KD, AT]),
    "kd-long": _distilled("ResNet-18, KD from the three ResNet-18, 120 epochs", [KD], THREE, ("train.epochs=120",)),
    "se": _attention("se"),
    "eca": _attention("eca"),
    "cbam": _attention("cbam"),
    "simam": _attention("simam"),
}


def key_of(row: Row, epochs: int | None) -> str:
    """Changes with the recipe and the settings, so that records of another state of them are not taken for these."""
    text = recipe_path(row.recipe).read_text(encoding="utf-8") + repr((row.changes, row.teachers, epochs))
    text += "".join(key_of(ROWS[teacher], epochs) for teacher, _ in row.teachers)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def jobs_of(name: str, row: Row, work: Path, packs: Path, epochs: int | None) -> list[Job]:
    """Training of all seeds in one job, then an export for each."""
    changes = [f"data.train={packs / 'train'}", f"data.test={packs / 'test'}", *row.changes]
    if epochs:
        changes.append(f"train.epochs={epochs}")
    if row.teachers:
        teachers = json.dumps([str(work / teacher / f"seed-{seed}") for teacher, seed in row.teachers])
        changes.append(f"distill.teachers={teachers}")
    verb = "distill" if row.teachers else "train"
    sets = tuple(part for change in changes for part in ("--set", change))
    numbers = ",".join(map(str, SEEDS))
    cost = cost_of(
        load_toml(row.recipe, Recipe, changes), packs / "train", [ROWS[name].net for name, _ in row.teachers]
    )
    train = Job(
        name=name,
        arguments=(verb, row.recipe, "--out", str(work / name), "--resume", "--seeds", numbers, *sets),
        seeds=SEEDS,
        key=key_of(row, epochs),
        after=row.teachers,
        cost=cost and cost * len(SEEDS),
    )
    return [train, *(_export(train, work, seed) for seed in SEEDS)]


def _export(train: Job, work: Path, seed: int) -> Job:
    run, bundle = work / train.name / f"seed-{seed}", work / "bundles" / f"{train.name}-{seed}"
    return Job(
        name=f"{train.name}-int8",
        arguments=("export", str(run), "--out", str(bundle), "--force"),
        seeds=(seed,),
        key=train.key,
        kind="cpu",
        after=((train.name, seed),),
    )


def carry_on(work: Path) -> list[Record]:
    """Published records. The work begins with them, but for runs whose weights are still needed: those of the teachers
    and those not yet exported, which may lie on another machine."""
    records = Results(RECORDS).load()
    ours = Results(work / "results.jsonl")
    if not ours.path.exists():
        needed = {teacher for row in ROWS.values() for teacher in row.teachers}
        needed |= {(name, seed) for name, seed in records if name in ROWS and (f"{name}-int8", seed) not in records}
        ours.add([record for run, record in records.items() if run not in needed])
    return list(records.values())


def publish(before: Sequence[Record], work: Path) -> None:
    """Write :data:`RECORDS`: what was known before and what ``work`` adds, in the order of the table."""
    merged = {(r["job"], r["seed"]): r for r in before} | Results(work / "results.jsonl").load()
    names = [name + part for name in ROWS for part in ("", "-int8")]
    lines = [json.dumps(merged[run]) + "\n" for run in sorted(merged, key=lambda r: (names.index(r[0]), r[1]))]
    RECORDS.write_text("".join(lines), encoding="utf-8")


def table(records: dict[RunId, Record], epochs: int | None) -> list[str]:
    """The lines of the Markdown table for the rows that are done, by today's recipes."""
    lines = [
        "| net | parameters | MACs | seeds | top-1 % | top-5 % | int8 MB | int8 top-1 % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in ROWS.items():
        mine = [r for r in records.values() if r["key"] == key_of(row, epochs)]
        runs = [r for r in mine if r["job"] == name]
        small = [r for r in mine if r["job"] == f"{name}-int8"]
        if not runs:
            continue
        parameters, macs = net_size(row.net, 100, 64)
        cells = [
            row.title,
            f"{parameters / 1e6:.2f} M",
            f"{macs / 1e6:.0f} M",
            str(len(runs)),
            _spread(r["top1"] for r in runs),
            _spread(r["top5"] for r in runs),
            f"{small[0]['bytes'] / 1e6:.1f}" if small else "",
            _spread(r["top1_int8"] for r in small) if small else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _spread(values: Iterable[float]) -> str:
    found = list(values)
    return f"{statistics.mean(found):.2f} ± {statistics.stdev(found):.2f}" if len(found) > 1 else f"{found[0]:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/paper-scale"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--epochs", type=int, help="instead of the recipes' own")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--slots", type=int, default=2, help="trainings at the same time on a GPU")
    parser.add_argument("--devices", type=int, default=1, help="GPUs to use")
    parser.add_argument("--exports", type=int, default=4, help="exports at the same time on the CPU")
    parser.add_argument("--table-only", action="store_true")
    parser.add_argument("--dry-run", action="store_true", help="print the jobs and their cost, and run nothing")
    args = parser.parse_args()
    work = args.work.resolve()
    if not args.table_only:
        packs = pack(args.data, work / "packs", "fit", 64, dry_run=args.dry_run)
        jobs = [j for name in args.rows for j in jobs_of(name, ROWS[name], work, packs, args.epochs)]
        slots = {"gpu": args.slots, "cpu": args.exports}
        if args.dry_run:
            print_dry_run(work.name, jobs, Results(work / "results.jsonl").keys())
            return
        before = carry_on(work)
        try:
            run_jobs(jobs, work, slots=slots, minutes=args.minutes, devices=args.devices)
        finally:
            publish(before, work)
    print("\n".join(table(Results(RECORDS).load(), args.epochs)))


if __name__ == "__main__":
    main()
