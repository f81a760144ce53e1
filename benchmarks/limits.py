"""What limits the accuracy on hwdb100 below 98.6 %: the number of writers, or wrong labels in the training data?

    python benchmarks/limits.py DATA --work runs/limits --minutes 10
    python benchmarks/limits.py DATA --dry-run              # prints the trainings and what they cost

DATA holds hwdb100-train.gnt.xz and hwdb100-test.gnt.xz. Samples of a class stand in the order of their writers, so the
n-th samples of all classes come from about the same hand (a few writers lack a character or two).

Writers: ResNet-18 on the first 60, 120, 180 and all 240 writers, the same number of steps each.
Labels: ResNet-18 on three quarters of the writers names the samples of the fourth; what all four folds together call
another character with a probability above ``--sure`` is left out, and a net is trained on the rest.

Prints the records and a table; benchmarks/limits.md, which explains them, is written by hand.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from normalization import cost_of, pack

from hanmo.bench.dry_run import print_dry_run
from hanmo.bench.jobs import Job, Results, run_jobs
from hanmo.config import load_toml
from hanmo.data.pack import Pack, is_pack, write_pack
from hanmo.data.read import read_samples
from hanmo.data.sample import Sample
from hanmo.normalize import Normalization, standardise
from hanmo.train.augment import unchanged
from hanmo.train.batches import DeviceData
from hanmo.train.config import Recipe
from hanmo.train.run import load_trained

RECIPE = "@student"
WRITERS = (60, 120, 180, 240)
FOLDS = 4
SEEDS = (0, 1, 2)


def subset(source: Path, out: Path, keep: Callable[[int, int], bool], *, dry_run: bool = False) -> Path:
    """A pack of the samples for which ``keep(number in the file, number in its class)``. A dry run packs nothing."""
    if not dry_run and not out.exists():
        write_pack(out, _some(source, keep), normalization=Normalization(), workers=8)
    return out


def _some(source: Path, keep: Callable[[int, int], bool]) -> Iterator[Sample]:
    samples_of: Counter[str] = Counter()
    for number, sample in enumerate(read_samples([source])):
        if keep(number, samples_of[sample.label]):
            yield sample
        samples_of[sample.label] += 1


def training(
    name: str, train: Path, test: Path, work: Path, steps: int, seeds: tuple[int, ...], changes: Sequence[str]
) -> Job:
    """``steps`` of the student's recipe on a pack, whatever its size."""
    # In a first dry run there are no packs yet, and the number of epochs is not known.
    epochs = max(1, round(steps / (len(Pack.open(train)) // 512))) if is_pack(train) else 1
    values = (f"data.train={train}", f"data.test={test}", f"train.epochs={epochs}", *changes)
    sets = tuple(part for value in values for part in ("--set", value))
    numbers = ",".join(map(str, seeds))
    # Other settings have another key, so that their results are not taken for these.
    key = hashlib.sha256(repr((epochs, train.name, *changes)).encode()).hexdigest()[:8]
    arguments = ("train", RECIPE, "--out", str(work / name), "--resume", "--seeds", numbers, *sets)
    cost = cost_of(load_toml(RECIPE, Recipe, values), train)
    return Job(name=name, arguments=arguments, seeds=seeds, key=key, cost=cost and cost * len(seeds))


@torch.no_grad()
def doubted_labels(run: Path, held_out: Path, sure: float) -> list[bool]:
    """For each sample of a pack: whether the net predicts another character with a probability above ``sure``."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trained = load_trained(run)
    data, opened = DeviceData.open(str(held_out), trained.charset, device)
    opened.require(charset=trained.charset)
    net = trained.net.to(device)
    wrong = []
    for images, labels in data.in_order(1024):
        # Smoothed labels make nets hedge; a temperature of 1/2 undoes it (docs/decisions.md).
        best, answer = (2 * net(standardise(unchanged(images))).float()).softmax(-1).max(-1)
        wrong.append((answer != labels) & (best > sure))
    return [bool(one) for one in torch.cat(wrong).cpu()]


def clean(source: Path, work: Path, sure: float) -> Path:
    """A pack of the training data without the samples that the folds call something else."""
    doubted = [
        iter(doubted_labels(work / f"fold-{fold}" / "seed-0", work / "packs" / f"fold-{fold}-out", sure))
        for fold in range(FOLDS)
    ]
    return subset(source, work / "packs" / clean_name(sure), lambda _, n: not next(doubted[_fold(n)]))


def clean_name(sure: float) -> str:
    """The name of the pack of :func:`clean`."""
    return f"clean-{sure:g}"


def _fold(number_in_class: int) -> int:
    return min(number_in_class // (max(WRITERS) // FOLDS), FOLDS - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/limits"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--steps", type=int, default=2_760, help="of 512 samples: 60 epochs of all writers")
    parser.add_argument("--sure", type=float, default=0.9)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="changes of @student")
    parser.add_argument("--slots", type=int, default=2, help="trainings at the same time on a GPU")
    parser.add_argument("--devices", type=int, default=1, help="GPUs to use")
    parser.add_argument("--part", choices=["writers", "labels"], help="only this half; the other is left out")
    parser.add_argument("--dry-run", action="store_true", help="print the trainings and their cost, and run nothing")
    args = parser.parse_args()
    work, source = args.work.resolve(), args.data / "hwdb100-train.gnt.xz"
    test = pack(args.data, work / "packs", "fit", 64, dry_run=args.dry_run) / "test"

    def train(name: str, data: Path, seeds: tuple[int, ...] = SEEDS) -> Job:
        return training(name, data, test, work, args.steps, seeds, args.set)

    make = partial(subset, source, dry_run=args.dry_run)
    jobs = []
    for fold in range(FOLDS if args.part != "writers" else 0):
        parts = [make(work / "packs" / f"fold-{fold}-{part}", keep) for part, keep in _halves(fold).items()]
        jobs.append(train(f"fold-{fold}", parts[0], (0,)))
    # All writers are trained for both halves: they are what the cleaned data is compared with.
    for count in WRITERS if args.part != "labels" else WRITERS[-1:]:
        data = make(work / "packs" / f"writers-{count}", lambda _, n, count=count: n < count)  # type: ignore[misc]
        jobs.append(train(f"writers-{count}", data))
    slots = {"gpu": args.slots, "cpu": 0}
    stored = Results(work / "results.jsonl")
    if args.dry_run:
        clean_job = [train("clean", work / "packs" / clean_name(args.sure))] if args.part != "writers" else []
        print_dry_run(work.name, [*jobs, *clean_job], stored.keys())  # the clean data depends on the trained folds
        return
    if run_jobs(jobs, work, slots=slots, minutes=args.minutes, devices=args.devices) and args.part != "writers":
        data = clean(source, work, args.sure)
        jobs.append(train("clean", data))
        print(f"clean: {len(Pack.open(data)):,} of {len(Pack.open(work / 'packs' / 'writers-240')):,} samples left")
        run_jobs(jobs, work, slots=slots, minutes=args.minutes, devices=args.devices)
    results = stored.load()
    print("| data | samples | top-1 % by seed |\n|---|---|---|")
    for job in jobs:
        found = [results[run]["top1"] for run in sorted(job.runs) if run in results]
        samples = len(Pack.open(next(a for a in job.arguments if a.startswith("data.train=")).partition("=")[2]))
        print(f"| {job.name} | {samples:,} | {', '.join(f'{t:.2f}' for t in found)} |")


def _halves(fold: int) -> dict[str, Callable[[int, int], bool]]:
    return {"in": lambda _, n: _fold(n) != fold, "out": lambda _, n: _fold(n) == fold}


if __name__ == "__main__":
    main()
