"""Ablation of drawn handwriting: nets trained on drawn characters only, without one ingredient, tested on real ones.

    python benchmarks/synthetic.py DATA --bank fonts.glyphs --work runs/synthetic              # every row, one seed
    python benchmarks/synthetic.py DATA --bank fonts.glyphs --part 0/2 & ... --part 1/2        # on two GPUs
    python benchmarks/synthetic.py DATA --measure runs/drawn                                   # a finished training

DATA holds hwdb100-test, radicals32-test and hcl-address (.gnt.xz), which are only ever measured on. Every row is the
same small net and number of steps, 3,755-way; what is drawn differs in one ingredient. Prints a record a line and adds
it to benchmarks/synthetic.jsonl; ``--table`` prints these as Markdown, with ``--start`` those that began with it.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from hanmo.charset import Charset
from hanmo.config import dump_toml, load_toml
from hanmo.data.pack import write_pack
from hanmo.data.read import read_samples
from hanmo.normalize import Normalization
from hanmo.synth.recipe import SynthRecipe
from hanmo.train.batches import DeviceData
from hanmo.train.config import SYNTH_PREFIX, Recipe
from hanmo.train.loop import Trainer
from hanmo.train.measure import measure
from hanmo.train.parallel import Processes
from hanmo.train.run import load_trained

HERE = Path(__file__).parent
RECORDS = HERE / "synthetic.jsonl"
RECIPE = "@drawn"
TESTS = ("hwdb100-test", "radicals32-test", "hcl-address")
DRAWN = "@synth-level1"
STILL = {"part_shift": 0.0, "part_scale": 0.0, "part_tilt": 0.0}
PLAIN_PEN = {"pen_spread": 0.0, "taper": 0.0, "speed": 0.0, "tails": 0.0, "pressure": 0.0}
PAPER = {"grain": 0.0, "ragged": 0.0, "soft": 0.0, "binary": 0.0}
WILD = {"shift": 0.028, "scale": 0.16, "tilt": 0.12, "bend": 0.06}

ROWS: dict[str, tuple[str, dict[str, float], dict[str, float]]] = {
    # title, changes of the recipe's style, of its mix
    "all": ("everything", {}, {}),
    "contacts": ("strokes lose what they touch", {"contacts": 0.0}, {}),
    "layouts": ("strokes stand as printed, not as in fonts", {"layouts": 0.0}, {}),
    "links": ("no links", {"links": 0.0}, {}),
    "abbreviations": ("no abbreviations", {"abbreviations": 0.0}, {}),
    "merge": ("short strokes never merge", {"merge": 0.0}, {}),
    "dynamics": ("no pen dynamics (width, taper, speed, tails, pressure)", PLAIN_PEN, {}),
    "haste": ("no smoothing by haste", {"smooth": 0.0}, {}),
    "parts": ("parts do not move", STILL, {}),
    "hooks": ("hooks as printed", {"hooks": 0.0, "hook_spread": 0.0}, {}),
    "fonts": ("no glyphs of fonts", {}, {"fonts": 0.0, "strokes": 1.0}),
    "fonts-less": ("glyphs 0.3 of the characters", {}, {"fonts": 0.3, "strokes": 0.7}),
    "fonts-more": ("glyphs 0.7 of the characters", {}, {"fonts": 0.7, "strokes": 0.3}),
    "fonts-alone": ("glyphs of fonts alone", {}, {"fonts": 1.0, "strokes": 0.0}),
    "elastic": ("glyphs are not pulled", {"elastic": 0.0}, {}),
    "texture": ("no texture", PAPER, {}),
    "hasty": ("more haste (0.9)", {"haste": 0.9}, {}),
    "calm": ("less haste (0.4)", {"haste": 0.4}, {}),
    "wild": ("slips 1.4 times as large", WILD, {}),
}


def tests_of(data: Path, work: Path) -> dict[str, Path]:
    """The real test files as packs of level 1."""
    packs = {name: work / "packs" / name for name in TESTS}
    for name, path in packs.items():
        if not path.exists():
            samples = read_samples([data / f"{name}.gnt.xz"])
            write_pack(
                path,
                samples,
                normalization=Normalization(),
                charset=Charset.level1(),
                on_unknown="skip",
                workers=2,
            )
    return packs


def measured(run: Path, packs: dict[str, Path], device: torch.device) -> dict[str, float]:
    """Top-1 and top-5 of a finished run on each test."""
    trained = load_trained(run)
    net = trained.net.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    found: dict[str, float] = {}
    for name, path in packs.items():
        figures = measure(net, DeviceData.open(str(path), trained.charset, device)[0])
        found |= {name: figures["top1"], f"{name}-top5": figures["top5"]}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/synthetic"))
    parser.add_argument("--bank", help="the glyph bank of @fonts")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=1_500, help="of 1,024 samples each")
    parser.add_argument("--width", type=int, default=32, help="of the ResNet-18")
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate")
    parser.add_argument("--start", help="a finished training whose weights every row begins with")
    parser.add_argument("--part", default="0/1", help="which of how many processes this is")
    parser.add_argument("--measure", type=Path, metavar="RUN")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    if args.table:
        records = [json.loads(line) for line in RECORDS.read_text(encoding="utf-8").splitlines()]
        print("\n".join(table([record for record in records if record.get("start") == args.start])))
        return
    processes = Processes.join()
    packs = tests_of(args.data, args.work)
    if args.measure:
        record = {"row": args.measure.name, **measured(args.measure, packs, processes.device)}
        _keep(record)
        return
    number, parts = map(int, args.part.split("/"))
    goals = [(row, seed) for seed in args.seeds for row in args.rows][number::parts]
    trainer: Trainer | None = None
    for row, seed in goals:
        folder = args.work / f"{row}-{seed}"
        recipe = recipe_of(row, seed, args)
        if trainer is None:
            trainer = Trainer(recipe, folder, processes)
        else:  # what is compiled stays compiled
            trainer.restart(recipe, folder)
        end = trainer.run()
        record = {
            "row": row,
            "seed": seed,
            "steps": args.steps,
            "width": args.width,
            "start": args.start,
            **measured(folder, packs, processes.device),
            "images_per_s": end["images_per_s"],
        }
        _keep(record)


def _keep(record: dict[str, Any]) -> None:
    line = json.dumps(record)
    print(line, flush=True)
    with RECORDS.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def recipe_of(row: str, seed: int, args: argparse.Namespace) -> Recipe:
    """The training of a row; what it draws is written beside it."""
    _, style, mix = ROWS[row]
    epochs = max(1, args.steps // 400)
    drawn = load_toml(DRAWN, SynthRecipe)
    drawn = replace(
        drawn,
        per_character=round(args.steps * 1024 / epochs / len(Charset.level1())),
        seed=seed + 100,  # other characters than those of the training that --start names
        style=replace(drawn.style, **style),
        mix=replace(drawn.mix, **mix, bank=args.bank),  # type: ignore[arg-type]
    )
    path = args.work / "recipes" / f"{row}-{seed}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump_toml(drawn), encoding="utf-8")
    base = load_toml(RECIPE, Recipe)
    return replace(
        base,
        name=row,
        data=replace(base.data, train=f"{SYNTH_PREFIX}{path}", test=None),
        net=replace(base.net, width=args.width),
        optim=replace(base.optim, learning_rate=args.rate),
        train=replace(
            base.train, epochs=epochs, batch=1024, seed=seed, start=args.start, evaluate_every=0, checkpoint_every=0
        ),
    )


def table(records: list[dict[str, Any]]) -> list[str]:
    """Markdown: a line a row, the mean over seeds, and the difference from everything together."""
    lines = ["| drawn | seeds | " + " | ".join(TESTS) + " | mean | change |", "|---|---|" + "---|" * (len(TESTS) + 2)]
    base = None
    for row, (title, *_) in ROWS.items():
        mine = [r for r in records if r["row"] == row]
        if not mine:
            continue
        means = [statistics.mean(r[test] for r in mine) for test in TESTS]
        mean = statistics.mean(means)
        base = mean if row == "all" else base
        change = "" if base is None or row == "all" else f"{mean - base:+.2f}"
        cells = [title, str(len(mine)), *(f"{m:.2f}" for m in means), f"{mean:.2f}", change]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
