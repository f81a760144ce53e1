"""hanmo search: many short trainings that differ in a few values, and the best recipe of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from hanmo.search.report import TrialRow
    from hanmo.search.study import Search

SearchPath = Annotated[Path, typer.Argument(help="The search as a TOML file.", metavar="SEARCH")]
Out = Annotated[Path | None, typer.Option(help="Its folder; runs/NAME by default.", metavar="FOLDER")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Change one value, as in --set trials=50.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or cuda:1; the first GPU by default.")]
Minutes = Annotated[float | None, typer.Option(help="Stop in time; the same command goes on.", min=0)]
Json = Annotated[bool, typer.Option("--json", help="Print what was found as a JSON object in the last line.")]


def search(
    search: SearchPath,
    out: Out = None,
    set_: Set = None,
    device: Device = None,
    minutes: Minutes = None,
    as_json: Json = False,
) -> None:
    """Search for a better recipe: widths, depths, learning rates ... within a budget of images.

    Stopped by Ctrl-C or --minutes, the same command goes on; with more trials or a larger budget, too.

    Example: hanmo search @search --set budget=2000000
    """
    import math
    import time

    from rich.console import Console

    from hanmo.config import load_toml
    from hanmo.search.config import SearchConfig
    from hanmo.search.problem import SearchProblem
    from hanmo.search.study import Search
    from hanmo.train.parallel import Processes

    config = load_toml(search, SearchConfig, set_ or ())
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    problem = SearchProblem(config, out or Path("runs") / config.name)
    found = Search(problem, Processes.join(device))
    found.open()
    console = Console(stderr=True)
    console.print(f"[bold]{config.name}[/]: {config.sampler}, judged by {problem.judging.told}", highlight=False)
    finished = False
    try:
        with _Display(config.trials, console) as display:
            finished = found.run(deadline, on_record=display.training, on_trial=display.trial)
    finally:
        _write(found, console, finished=finished, as_json=as_json)


def _write(found: Search, console: Console, *, finished: bool, as_json: bool) -> None:
    """The table, the plot and the winner's recipe, of whatever is known."""
    from hanmo.search.plot import draw
    from hanmo.search.report import best_of, summary

    rows = found.rows()
    best = best_of(rows)
    draw(rows, found.out / "search.png")
    path = found.write_winner()
    told = summary(rows, finished=finished)
    if as_json:
        typer.echo(json.dumps({"search": str(found.out), **told}, ensure_ascii=False))
    elif best:
        _table(best)
    verb = "train" if found.problem.base.distill is None else "distill"
    more = "" if finished else "; the same command goes on"
    console.print(f"{told['trials']} trials, {told['images']:,} images{more}", highlight=False)
    if path:
        console.print(f"train the best on all the data: hanmo {verb} {path}", highlight=False, soft_wrap=True)


def _table(best: list[TrialRow]) -> None:
    from rich.console import Console
    from rich.table import Table

    from hanmo.search.report import told

    table = Table("trial", "top-1 %", "parameters", "M MACs", "settings")
    for row in best:
        size = (f"{(row.parameters or 0) / 1e6:.2f} M", f"{(row.macs or 0) / 1e6:.1f}")
        table.add_row(str(row.trial), f"{row.top1:.2f}", *size, told(row.settings))
    for column in table.columns[:4]:
        column.justify, column.no_wrap = "right", True
    Console(highlight=False, markup=False).print(table)


class _Display:
    """A bar of the trials, what the running one does, and a line above for each that is over."""

    def __init__(self, trials: int, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self.console = console
        self.progress = Progress(
            TextColumn("trials"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task("", total=trials)

    def __enter__(self) -> _Display:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def training(self, number: int, record: dict[str, Any]) -> None:
        if record["kind"] == "train":
            said = f"trial {number}, epoch {record['epoch']:.1f}: loss {record['loss']:.3f}"
            self.progress.update(self.task, description=f"{said}  {record['images_per_s']:,.0f} images/s")

    def trial(self, row: TrialRow) -> None:
        from hanmo.search.report import TRAINED

        self.console.print(str(row), highlight=False, markup=False, soft_wrap=True)
        if row.state in TRAINED:
            self.progress.advance(self.task)
