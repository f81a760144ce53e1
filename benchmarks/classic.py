"""The baseline of the field: gradient direction features, Fisher LDA and MQDF, without any net.

    OMP_NUM_THREADS=1 python benchmarks/classic.py DATA --work runs/classic

DATA holds hwdb100-train.gnt.xz and hwdb100-test.gnt.xz. For every row the settings are chosen by cross-validation over
the training writers alone; then the test file is read once. Prints both tables and writes results.jsonl in the work
folder; benchmarks/classic.md, which explains them, is written by hand.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

from hanmo.classic.baseline import ClassicResult, cross_validate, run_classic
from hanmo.classic.features import GradientFeatures
from hanmo.classic.reader import ClassicConfig
from hanmo.data.pack import Pack, is_pack, write_pack
from hanmo.data.read import read_samples
from hanmo.normalize import Normalization
from hanmo.resampling import Method

# The features of the literature: square root, the usual blur, no ridge; MQDF without shrinking.
BOOK = ClassicConfig(features=GradientFeatures(blur=1.0, power=0.5), ridge=0.0, shrink=0.0, minor=1.0)
OURS, PLANES = ClassicConfig(), GradientFeatures()
ROWS: list[tuple[str, Method, ClassicConfig]] = [
    ("as in the literature", "fit", BOOK),
    ("as in the literature", "moment", BOOK),
    ("as in the literature", "line-density", BOOK),
    ("as chosen below", "fit", OURS),
    ("as chosen below", "moment", OURS),
    ("as chosen below", "line-density", OURS),
    ("99 dimensions", "line-density", replace(OURS, dimensions=99)),
    ("12 directions", "line-density", replace(OURS, features=replace(PLANES, directions=12))),
]
MINOR, SHRINK = (1.0, 1.5, 2.0), (0.0, 0.3, 0.5)

VARIANTS: dict[str, ClassicConfig] = {
    "as chosen": OURS,
    **{f"power {p}": replace(OURS, features=replace(PLANES, power=p)) for p in (0.2, 0.5, 1.0)},
    **{f"blur {b}": replace(OURS, features=replace(PLANES, blur=b)) for b in (0.7, 1.0, 2.0, 2.5)},
    **{f"{d} directions": replace(OURS, features=replace(PLANES, directions=d)) for d in (12, 16)},
    **{f"grid {g} x {g}": replace(OURS, features=replace(PLANES, grid=g)) for g in (6, 7, 9, 10)},
    **{f"ridge {r}": replace(OURS, ridge=r) for r in (0.0, 0.1, 1.0)},
    **{f"{d} dimensions": replace(OURS, dimensions=d) for d in (60, 99, 130, 200)},
    **{f"{k} axes": replace(OURS, axes=k) for k in (5, 10, 20, 80)},
    **{f"minor variance x {m}": replace(OURS, minor=m) for m in (0.75, 1.0, 2.0)},
    **{f"shrink {s}": replace(OURS, shrink=s) for s in (0.0, 0.3, 0.7)},
}
"""One setting changed at a time, line-density."""


def pack(data: Path, work: Path, method: Method, half: str) -> Pack:
    """The half packed at 64 pixels, once."""
    out = work / "packs" / f"{method}-{half}"
    if is_pack(out):
        return Pack.open(out)
    samples = read_samples([data / f"hwdb100-{half}.gnt.xz"])
    return write_pack(out, samples, normalization=Normalization(method=method))


def choose(train: Pack, config: ClassicConfig, folds: int, shrink: Sequence[float]) -> tuple[ClassicConfig, float]:
    """The config with the minor variance and shrinking that read left-out training writers best, and how well."""
    configs = [replace(config, minor=m, shrink=s) for m, s in product(MINOR, shrink)]
    found = cross_validate(train, configs, folds)
    best = max(range(len(configs)), key=found.__getitem__)
    return configs[best], found[best]


def line(name: str, method: Method, config: ClassicConfig, validated: float, result: ClassicResult) -> str:
    f = config.features
    chosen = f"{config.axes}, {config.minor:g}, {config.shrink:g}"
    return (
        f"| {method} | {name} | {f.size} > {config.dimensions} | {chosen} | {validated:.2f} | {result.top1:.2f} "
        f"| {result.top5:.2f} | {result.parameters / 1e6:.2f} | {result.ms_per_char:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/classic"))
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--part", choices=["variants", "rows", "all"], default="all")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    with (args.work / "results.jsonl").open("a", buffering=1) as records:
        if args.part != "variants":
            print("| normalisation | settings | dimensions | axes, minor, shrink | validated top-1 % ", end="")
            print("| top-1 % | top-5 % | million numbers | ms |\n|---|---|---|---|---|---|---|---|---|")
            for name, method, config in ROWS:
                train = pack(args.data, args.work, method, "train")
                config, validated = choose(train, config, args.folds, (0.0,) if config.shrink == 0 else SHRINK)
                result = run_classic(train, pack(args.data, args.work, method, "test"), config)
                print(line(name, method, config, validated, result), flush=True)
                record = {"row": name, "normalization": method, "validated": validated, **result.as_dict()}
                records.write(json.dumps({**record, "config": asdict(config)}) + "\n")
        if args.part != "rows":
            print("\n| changed | validated top-1 % |\n|---|---|")
            train = pack(args.data, args.work, "line-density", "train")
            for name, config in VARIANTS.items():
                (validated,) = cross_validate(train, [config], args.folds)
                print(f"| {name} | {validated:.2f} |", flush=True)
                records.write(json.dumps({"variant": name, "validated": validated, "config": asdict(config)}) + "\n")


if __name__ == "__main__":
    main()
