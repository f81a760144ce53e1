"""hanmo train, hanmo distill: a recipe -> a run folder."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hanmo.errors import ArgumentError, ConfigError

if TYPE_CHECKING:
    from hanmo.cli.training_progress import ProgressDisplay
    from hanmo.train.config import Recipe
    from hanmo.train.parallel import Processes

RecipePath = Annotated[
    Path, typer.Argument(help="A TOML file, or @NAME (see below); with --resume also a run folder.", metavar="RECIPE")
]
Out = Annotated[Path | None, typer.Option(help="The run folder to make; runs/NAME by default.", metavar="RUN")]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on from the last checkpoint; with a run folder as RECIPE no other option is needed.",
    ),
]
Set = Annotated[list[str] | None, typer.Option("--set", help="Change one value, as in --set train.epochs=3.")]
Start = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Train this net on, instead of the recipe's [net] and train.start: the bundles free or nano, @NAME, or a "
        "run folder. A larger charset adds classes.",
    ),
]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda or cuda:1; by default a GPU if there is one, else the CPU.")
]
Teachers = Annotated[
    list[str] | None, typer.Option("--teacher", help="A run folder, or onnx:TEACHER.toml; instead of the recipe's.")
]
Seeds = Annotated[str | None, typer.Option(help="Train once for each seed, as in --seeds 0,1,2, into RUN/seed-N.")]
Json = Annotated[bool, typer.Option("--json", help="Print the final record of each run as a JSON object.")]


def train(
    recipe: RecipePath,
    out: Out = None,
    resume: Resume = False,
    start: Start = None,
    set_: Set = None,
    seeds: Seeds = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train a net on labels alone.

    Example: hanmo train @teacher --set data.train=packs/train --set data.test=packs/test

    After Ctrl-C or a crash: hanmo train --resume runs/teacher

    Under torchrun the same command trains on several GPUs: torchrun --nproc-per-node 2 -m hanmo train RECIPE
    """
    _train_all(_plan("train", recipe, [*_starting(start), *(set_ or [])], out, seeds, resume=resume), device, as_json)


def distill(
    recipe: RecipePath = Path("@paper"),
    out: Out = None,
    resume: Resume = False,
    teacher: Teachers = None,
    start: Start = None,
    set_: Set = None,
    seeds: Seeds = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train a student that also learns from trained teachers.

    Without RECIPE it is @paper, the best ResNet-18. Train its teachers first: hanmo train @paper-teacher --seeds 0,1,2

    Example: hanmo distill @paper --teacher runs/teacher --teacher runs/another

    After Ctrl-C or a crash: hanmo distill --resume runs/paper
    """
    if teacher:
        named = json.dumps(teacher, ensure_ascii=False)
        # The recipe's weights belong to its own teachers, so they go too.
        set_ = [f"distill.teachers={named}", "distill.teacher_weights=[]", *(set_ or [])]
    overrides = [*_starting(start), *(set_ or [])]
    _train_all(_plan("distill", recipe, overrides, out, seeds, resume=resume), device, as_json)


def _starting(start: str | None) -> list[str]:
    """The changes of a recipe that ``--start`` means: the weights to start from, and their net."""
    if start is None:
        return []
    from hanmo.builtin import start_path
    from hanmo.config import to_table
    from hanmo.train.run import load_trained

    path = start_path(start)
    # The whole section at once, so that no option of the recipe's net is left. JSON's values are TOML's.
    net = ", ".join(f"{key} = {json.dumps(value)}" for key, value in to_table(load_trained(path).config).items())
    return [f"net={{{net}}}", f"train.start={json.dumps(path, ensure_ascii=False)}"]


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What one command trains: recipes by their run folders, all below ``folder``; they differ in the seed alone."""

    verb: str
    folder: Path
    runs: dict[Path, Recipe]
    resume: bool

    @property
    def name(self) -> str:
        return next(iter(self.runs.values())).name

    def title(self, place: Path) -> str:
        """The title of a run in the progress display: the recipe's name, with the seed where there are several runs."""
        return self.name if place == self.folder else f"{self.name}, seed {self.runs[place].train.seed}"

    def resuming_command(self, device: str | None, processes: Processes) -> str:
        """The command line that goes on with these runs."""
        words = ["hanmo", self.verb, "--resume", str(self.folder)]
        if processes.world > 1:
            here = os.environ.get("LOCAL_WORLD_SIZE", str(processes.world))
            # LOCAL_WORLD_SIZE is torchrun's number of processes on this machine, the world's size that on all machines.
            words = ["torchrun", "--nproc-per-node", here, "-m", *words]
        return shlex.join([*words, *(["--device", device] if device else [])])


def _plan(
    verb: str, path: Path, overrides: list[str] | None, out: Path | None, seeds: str | None, *, resume: bool
) -> _Plan:
    """Which recipes to train into which folders; raises :class:`ArgumentError` for impossible flags."""
    # A folder is a run to go on with; a recipe is a file.
    if os.path.isdir(path):  # noqa: PTH112 - unlike Path.is_dir, it takes names of any length
        if out or seeds:
            raise ArgumentError(f"{path}: a run folder knows its place and its seeds; leave out --out and --seeds")
        return _plan_of_folder(verb, path, overrides, resume=resume)
    recipe = _load(verb, path, path, overrides)
    folder = out or Path("runs") / recipe.name
    runs = _runs_of_seeds(recipe, folder, _numbers(seeds)) or {folder: recipe}
    return _Plan(verb=verb, folder=folder, runs=runs, resume=resume)


def _plan_of_folder(verb: str, folder: Path, overrides: list[str] | None, *, resume: bool) -> _Plan:
    """The run in a folder, or the runs of several seeds below it, by the recipe that was kept there."""
    from hanmo.train.run import RECIPE, begun_seeds, planned_seeds

    begun = begun_seeds(folder)
    if not (folder / RECIPE).exists() and not begun:
        raise ArgumentError(f"{folder}: holds no run (no {RECIPE}); name a run folder, or a recipe to begin with")
    if not resume:
        raise ArgumentError(
            f"{folder}: is a run folder, not a recipe; go on with it by: hanmo {verb} --resume {folder}"
        )
    if (folder / RECIPE).exists():
        recipe = _load(verb, folder / RECIPE, folder, overrides)
        return _Plan(verb=verb, folder=folder, runs={folder: recipe}, resume=True)
    # One recipe for all: a seed that was not begun has none of its own yet, and the others differ in nothing else.
    recipe = _load(verb, folder / f"seed-{begun[0]}" / RECIPE, folder, overrides)
    return _Plan(
        verb=verb, folder=folder, runs=_runs_of_seeds(recipe, folder, planned_seeds(folder) or begun), resume=True
    )


def _runs_of_seeds(recipe: Recipe, folder: Path, seeds: Iterable[int]) -> dict[Path, Recipe]:
    return {folder / f"seed-{seed}": replace(recipe, train=replace(recipe.train, seed=seed)) for seed in seeds}


def _load(verb: str, file: Path, named: Path, overrides: list[str] | None) -> Recipe:
    """The recipe in ``file``, checked for ``verb``; ``named`` is the recipe or folder that the user named."""
    from hanmo.config import load_toml
    from hanmo.train.config import Recipe

    recipe = load_toml(file, Recipe, overrides or (), kind=verb)
    flag = "--resume " if named != file else ""
    if verb == "distill" and recipe.distill is None:
        raise ConfigError(
            f"{named}: has no [distill] section; add one with teachers, or use: hanmo train {flag}{named}"
        )
    if verb == "train" and recipe.distill is not None:
        raise ConfigError(f"{named}: has a [distill] section; use: hanmo distill {flag}{named}")
    return recipe


def _numbers(seeds: str | None) -> list[int]:
    try:
        return [int(part) for part in seeds.split(",")] if seeds else []
    except ValueError:
        raise ArgumentError(f"--seeds {seeds}: write whole numbers with commas, as in --seeds 0,1,2") from None


def _train_all(plan: _Plan, device: str | None, as_json: bool) -> None:
    """Train one run after another; Ctrl-C names the command that goes on."""
    from rich.console import Console
    from rich.markup import escape

    from hanmo.cli.training_progress import progress_display
    from hanmo.train.parallel import Processes
    from hanmo.train.run import RunFolder

    processes = Processes.join(device)
    if processes.is_first:
        for place, recipe in plan.runs.items():  # all of them now: an hour into the first seed would be late
            RunFolder(place).check(recipe, resume=plan.resume)
    console = Console(stderr=True, quiet=not processes.is_first)
    try:
        with progress_display(plan.name, console) as display:
            _train_each(plan, processes, display, as_json)
    except KeyboardInterrupt:
        if processes.is_first and any(RunFolder(place).recipe.exists() for place in plan.runs):
            typer.echo(f"go on with: {plan.resuming_command(device, processes)}", err=True)
        raise
    if processes.is_first:
        console.print(f"weights, metrics and plots in [bold]{escape(str(plan.folder))}[/]", soft_wrap=True)
    processes.leave()


def _train_each(plan: _Plan, processes: Processes, display: ProgressDisplay, as_json: bool) -> None:
    from hanmo.train.loop import Trainer
    from hanmo.train.plots import plot_run
    from hanmo.train.run import note_seeds

    trainer: Trainer | None = None
    for place, recipe in plan.runs.items():
        if trainer is None:
            trainer = Trainer(recipe, place, processes, display.show)
            display.describe(trainer)
            if processes.is_first and place != plan.folder:
                note_seeds(plan.folder, [one.train.seed for one in plan.runs.values()])
        else:
            # The same trainer for the next seed: its net need not be compiled again.
            trainer.restart(recipe, place)
        display.start_run(trainer, plan.title(place))
        record = trainer.run(resume=plan.resume)
        if processes.is_first:
            plot_run(place / "metrics.jsonl", place / "plots")
            if as_json:
                facts = {"run": str(place), "seed": recipe.train.seed, **record}
                typer.echo(json.dumps(facts, ensure_ascii=False))
