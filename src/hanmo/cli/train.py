"""hanmo train, hanmo distill: a recipe -> a run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hanmo.train.config import Recipe

RecipePath = Annotated[Path, typer.Argument(help="The experiment as a TOML file.", metavar="RECIPE")]
Out = Annotated[Path | None, typer.Option(help="The run folder to make; runs/NAME by default.", metavar="RUN")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in the run folder.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Change one value, as in --set train.epochs=3.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or cuda:1; the first GPU by default.")]
Json = Annotated[bool, typer.Option("--json", help="Print the final record as one JSON object.")]


def train(
    recipe: RecipePath,
    out: Out = None,
    resume: Resume = False,
    set_: Set = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train a net on labels alone.

    Example: hanmo train recipes/teacher.toml --set train.epochs=20

    Under torchrun the same command trains on several GPUs: torchrun --nproc-per-node 2 -m hanmo train RECIPE
    """
    _run(_load(recipe, set_, distilling=False), out, resume, device, as_json)


def distill(
    recipe: RecipePath,
    out: Out = None,
    resume: Resume = False,
    set_: Set = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train a student that also learns from trained teachers.

    Example: hanmo distill recipes/paper.toml --set distill.teachers='["runs/teacher"]'
    """
    _run(_load(recipe, set_, distilling=True), out, resume, device, as_json)


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


def _run(recipe: Recipe, out: Path | None, resume: bool, device: str | None, as_json: bool) -> None:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from hanmo.nets.registry import count_macs, count_parameters
    from hanmo.train.loop import Trainer
    from hanmo.train.parallel import Processes
    from hanmo.train.plots import plot_run

    folder = out or Path("runs") / recipe.name
    processes = Processes.join(device)
    console = Console(stderr=True, quiet=not processes.is_first)
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not processes.is_first) as progress:
        task = progress.add_task(recipe.name, total=None, said="preparing")

        def show(record: dict[str, Any]) -> None:
            if record["kind"] == "train":
                said = f"loss {record['loss']:.3f}  {record['images_per_s']:,.0f} images/s"
                progress.update(task, completed=record["step"], said=said)
            elif "top1" in record:
                progress.console.print(f"  epoch {record['epoch']:.0f}: top-1 {record['top1']:.2f} %", highlight=False)

        trainer = Trainer(recipe, folder, processes, show)
        size = f"{count_parameters(trainer.net) / 1e6:.2f} M parameters"
        work = f"{count_macs(trainer.net, trainer.data.side) / 1e6:.0f} M MACs"
        console.print(
            f"[bold]{recipe.net}[/]: {size}, {work} a character, {len(trainer.pack.charset)} classes, "
            f"{len(trainer.data):,} samples on {processes.device}",
            highlight=False,
        )
        progress.update(task, total=trainer.steps, said="")
        record = trainer.run(resume=resume)
    if processes.is_first:
        plot_run(folder / "metrics.jsonl", folder / "plots")
        console.print(f"weights, metrics and plots in [bold]{folder}[/]")
        if as_json:
            typer.echo(json.dumps({"run": str(folder), **record}, ensure_ascii=False))
    processes.leave()
