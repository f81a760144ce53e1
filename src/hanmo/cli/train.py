"""hanmo train, hanmo distill: a recipe -> a run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from hanmo.train.config import Recipe
    from hanmo.train.loop import Trainer

RecipePath = Annotated[Path, typer.Argument(help="The experiment as a TOML file.", metavar="RECIPE")]
Out = Annotated[Path | None, typer.Option(help="The run folder to make; runs/NAME by default.", metavar="RUN")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in the run folder.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Change one value, as in --set train.epochs=3.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or cuda:1; the first GPU by default.")]
Teachers = Annotated[
    list[str] | None, typer.Option("--teacher", help="A run folder, or onnx:TEACHER.toml; instead of the recipe's.")
]
Seeds = Annotated[str | None, typer.Option(help="Train once a seed, as in --seeds 0,1,2, into RUN/seed-N.")]
Json = Annotated[bool, typer.Option("--json", help="Print the final record of each run as a JSON object.")]


def train(
    recipe: RecipePath,
    out: Out = None,
    resume: Resume = False,
    set_: Set = None,
    seeds: Seeds = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train a net on labels alone.

    Example: hanmo train @teacher --set train.epochs=20

    Under torchrun the same command trains on several GPUs: torchrun --nproc-per-node 2 -m hanmo train RECIPE
    """
    _run(_load(recipe, set_, distilling=False), out, resume, _numbers(seeds), device, as_json)


def distill(
    recipe: RecipePath = Path("@paper"),
    out: Out = None,
    resume: Resume = False,
    teacher: Teachers = None,
    set_: Set = None,
    seeds: Seeds = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train a student that also learns from trained teachers.

    The recipe of the best ResNet-18 by default. Its teachers: hanmo train @paper-teacher --seeds 0,1,2

    Example: hanmo distill @paper --teacher runs/teacher --teacher runs/another
    """
    if teacher:
        named = json.dumps(teacher, ensure_ascii=False)
        set_ = [f"distill.teachers={named}", "distill.teacher_weights=[]", *(set_ or [])]  # weights were the others'
    _run(_load(recipe, set_, distilling=True), out, resume, _numbers(seeds), device, as_json)


def _load(path: Path, overrides: list[str] | None, *, distilling: bool) -> Recipe:
    from hanmo.config import load_toml
    from hanmo.errors import ConfigError
    from hanmo.train.config import Recipe

    recipe = load_toml(path, Recipe, overrides or ())
    if distilling and recipe.distill is None:
        raise ConfigError(f"{path}: has no [distill] section; add one with teachers, or use: hanmo train {path}")
    if not distilling and recipe.distill is not None:
        raise ConfigError(f"{path}: has a [distill] section; use: hanmo distill {path}")
    return recipe


def _numbers(seeds: str | None) -> list[int]:
    from hanmo.errors import ConfigError

    try:
        return [int(part) for part in seeds.split(",")] if seeds else []
    except ValueError:
        raise ConfigError(f"--seeds {seeds}: write whole numbers with commas, as in --seeds 0,1,2") from None


def _run(recipe: Recipe, out: Path | None, resume: bool, seeds: list[int], device: str | None, as_json: bool) -> None:
    from dataclasses import replace

    from rich.console import Console

    from hanmo.train.loop import Trainer
    from hanmo.train.parallel import Processes
    from hanmo.train.plots import plot_run
    from hanmo.train.run import RunFolder

    folder = out or Path("runs") / recipe.name
    folders = {seed: folder / f"seed-{seed}" for seed in seeds} or {recipe.train.seed: folder}
    first = next(iter(folders))
    recipes = {seed: replace(recipe, train=replace(recipe.train, seed=seed)) for seed in folders}
    processes = Processes.join(device)
    if processes.is_first:
        for seed, place in folders.items():  # before the first seed has taken hours
            RunFolder(place).check(recipes[seed], resume=resume)
    console = Console(stderr=True, quiet=not processes.is_first)
    with _Display(recipe.name, console) as display:
        trainer = Trainer(recipes[first], folders[first], processes, display.show)
        display.describe(trainer)
        for seed, place in folders.items():
            if seed != first:
                trainer.again(seed, place)
            display.begin(trainer, f"{recipe.name}, seed {seed}" if seeds else recipe.name)
            record = trainer.run(resume=resume)
            if processes.is_first:
                plot_run(place / "metrics.jsonl", place / "plots")
                if as_json:
                    typer.echo(json.dumps({"run": str(place), "seed": seed, **record}, ensure_ascii=False))
    if processes.is_first:
        console.print(f"weights, metrics and plots in [bold]{folder}[/]")
    processes.leave()


class _Display:
    """The progress bar of a training and the lines above it."""

    def __init__(self, name: str, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.console = console
        self.progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
            console=console,
            disable=console.quiet,
        )
        self.task = self.progress.add_task(name, total=None, said="preparing")

    def __enter__(self) -> _Display:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def describe(self, trainer: Trainer) -> None:
        from hanmo.nets.registry import count_macs, count_parameters

        self.console.print(
            f"[bold]{trainer.recipe.net}[/]: {count_parameters(trainer.net) / 1e6:.2f} M parameters, "
            f"{count_macs(trainer.net, trainer.data.side) / 1e6:.0f} M MACs a character, "
            f"{len(trainer.pack.charset)} classes, {len(trainer.data):,} samples on {trainer.processes.device}",
            highlight=False,
        )

    def begin(self, trainer: Trainer, name: str) -> None:
        self.progress.reset(self.task, description=name, total=trainer.steps, completed=trainer.step, said="")

    def show(self, record: dict[str, Any]) -> None:
        if record["kind"] == "train":
            said = f"loss {record['loss']:.3f}  {record['images_per_s']:,.0f} images/s"
            self.progress.update(self.task, completed=record["step"], said=said)
        elif "top1" in record:
            self.console.print(f"  epoch {record['epoch']:.0f}: top-1 {record['top1']:.2f} %", highlight=False)
