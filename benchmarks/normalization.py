"""Compare normalisations and input sizes: train ResNet-18 with each, then with settings around the best.

    python benchmarks/normalization.py DATA --work runs/normalization --minutes 8
    python benchmarks/normalization.py DATA --dry-run       # prints the trainings and what they cost

DATA holds hwdb100-train.gnt.xz and hwdb100-test.gnt.xz. Prints the table; benchmarks/normalization.md, which explains
it, is written by hand.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hanmo.bench.dry_run import Cost, print_dry_run, training_cost
from hanmo.bench.jobs import Job, Results, run_jobs
from hanmo.config import load_toml
from hanmo.data.pack import Pack, is_pack
from hanmo.nets.registry import NetConfig
from hanmo.train.config import Recipe

HERE = Path(__file__).parent
BASE = ("train", "@student")
NORMALIZATIONS = [(method, side) for side in (64, 96) for method in ("fit", "moment", "line-density")]
SETTINGS: dict[str, tuple[str, ...]] = {
    "weighted pooling": ("net.pool=weighted",),
    "SGD 0.1": ("optim.name=sgd", "optim.learning_rate=0.1", "optim.weight_decay=5e-4"),
    "augmentation x 1.5": (
        "augment.rotate=12.0",
        "augment.shear=0.22",
        "augment.scale=0.22",
        "augment.elastic=0.03",
        "augment.perspective=0.15",
        "augment.stroke=1.0",
    ),
    "augmentation x 0.6": (
        "augment.rotate=5.0",
        "augment.shear=0.09",
        "augment.scale=0.09",
        "augment.elastic=0.012",
        "augment.perspective=0.06",
        "augment.stroke=0.5",
    ),
    "mixup 0.2": ("optim.mixup=0.2",),
    "learning rate x 2": ("optim.learning_rate=4e-3",),
    "weight decay 0.2": ("optim.weight_decay=0.2",),
    "cut-out 0.4": ("augment.cutout=0.4",),
    "no label smoothing": ("optim.label_smoothing=0.0",),
    "dropout 0.3": ("net.dropout=0.3",),
    "200 epochs": ("train.epochs=200",),
}


def pack(data: Path, work: Path, method: str, side: int, *, dry_run: bool = False) -> Path:
    """Pack both halves once; returns the folder of ``train`` and ``test``. A dry run packs nothing."""
    folder = work / f"{method}-{side}"
    for half in ("train", "test"):
        if not dry_run and not (folder / half).exists():
            command = [sys.executable, "-m", "hanmo", "data", "pack", str(data / f"hwdb100-{half}.gnt.xz")]
            options = ["--out", str(folder / half), "--normalize", method, "--side", str(side), "--workers", "8"]
            subprocess.run([*command, *options], check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return folder


def cost_of(recipe: Recipe, pack: Path, teachers: Sequence[NetConfig] = ()) -> Cost | None:
    """The cost of one training with ``teachers``; None before the data is packed, as in a first dry run."""
    if not is_pack(pack):
        return None
    opened = Pack.open(pack)
    return training_cost(recipe, len(opened), len(opened.charset), opened.normalization.side, teachers)


def job(name: str, work: Path, packs: Path, epochs: int, seed: int, settings: tuple[str, ...]) -> Job:
    name = "".join(c if c.isalnum() else "-" for c in f"{name}-{seed}")
    values = (
        f"data.train={packs / 'train'}",
        f"data.test={packs / 'test'}",
        f"train.epochs={epochs}",
        f"train.seed={seed}",
        *settings,  # last, so that a setting may change the epochs
    )
    sets = tuple(part for value in values for part in ("--set", value))
    cost = cost_of(load_toml(BASE[1], Recipe, values), packs / "train")
    arguments = (*BASE, "--out", str(work / name), "--resume", *sets)
    return Job(name=name, arguments=arguments, seeds=(seed,), key="", cost=cost)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/normalization"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--part", choices=["normalizations", "settings", "all"], default="all")
    parser.add_argument("--slots", type=int, default=3, help="trainings at the same time on a GPU")
    parser.add_argument("--dry-run", action="store_true", help="print the trainings and their cost, and run nothing")
    args = parser.parse_args()
    rows: dict[str, list[Job]] = {}
    for seed in args.seeds:
        for method, side in NORMALIZATIONS if args.part != "settings" else []:
            stem = ("net.stem=stride4",) if side == 96 else ()
            packs = pack(args.data, args.work / "packs", method, side, dry_run=args.dry_run)
            rows.setdefault(f"{method}, {side} px", []).append(
                job(f"{method}-{side}", args.work, packs, args.epochs, seed, stem)
            )
        packs = pack(args.data, args.work / "packs", "fit", 64, dry_run=args.dry_run)
        for name, settings in SETTINGS.items() if args.part != "normalizations" else []:
            rows.setdefault(name, []).append(job(name, args.work, packs, args.epochs, seed, settings))
    jobs = [j for group in zip(*rows.values(), strict=True) for j in group]
    slots = {"gpu": args.slots, "cpu": 0}
    stored = Results(args.work / "results.jsonl")
    if args.dry_run:
        print_dry_run(args.work.name, jobs, stored.keys())
        return
    run_jobs(jobs, args.work, slots=slots, minutes=args.minutes)
    results = stored.load()
    lines = [
        f"`python benchmarks/normalization.py DATA --epochs {args.epochs} --seeds {' '.join(map(str, args.seeds))}`: "
        "ResNet-18 on hwdb100-train, 100-way on hwdb100-test; 96 px with the stride-4 stem.",
        "",
        "| setting | top-1 % by seed | top-5 % |",
        "|---|---|---|",
    ]
    for name, group in rows.items():
        found = [results[run] for j in group for run in j.runs if run in results]
        if found:
            top1 = ", ".join(f"{r['top1']:.2f}" for r in found)
            lines.append(f"| {name} | {top1} | {sum(r['top5'] for r in found) / len(found):.2f} |")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
