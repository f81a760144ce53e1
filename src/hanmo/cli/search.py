"""``hanmo search``: many short trainings that differ in a few values, and the best recipe of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from hanmo.search.problem import SearchProblem
    from hanmo.search.report import TrialRow
    from hanmo.search.study import Search

SearchPath = Annotated[Path, typer.Argument(help="The search: a TOML file, or @NAME (see below).", metavar="SEARCH")]
Out = Annotated[Path | None, typer.Option(help="Folder for results; runs/NAME by default.", metavar="FOLDER")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Change one value, as in --set trials=50.")]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda or cuda:1; by default a GPU if there is one, else the CPU.")
]
Minutes = Annotated[float | None, typer.Option(help="Stop after so many minutes; the same command resumes.", min=0)]
Json = Annotated[bool, typer.Option("--json", help="Print the result as a JSON object in the last line.")]


def search(
    search: SearchPath,
    out: Out = None,
    set_: Set = None,
    device: Device = None,
    minutes: Minutes = None,
    as_json: Json = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what it would cost, and train nothing.")] = False,
) -> None:
    """Search for a better recipe: widths, depths, learning rates ... within a budget of training images.

    After Ctrl-C or --minutes the same command resumes, also with more trials or a larger budget.

    Examples: hanmo search @search --dry-run
              hanmo search @search --set budget=2000000
    """
    import math
    import time

    # First of all: without it there is one line to say, and the modules below import PyTorch before they need it.
    import optuna  # noqa: F401
    from rich.console import Console
    from rich.markup import escape

    from hanmo.atomic import sole_writer
    from hanmo.config import load_toml
    from hanmo.search.config import SearchConfig
    from hanmo.search.problem import SearchProblem
    from hanmo.search.study import Search
    from hanmo.train.parallel import Processes

    config = load_toml(search, SearchConfig, set_ or (), kind="search")
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    problem = SearchProblem(config, out or Path("runs") / config.name)
    console = Console(stderr=True)
    compared = escape(f"{config.sampler}, trials compared on {problem.judging.description}")
    about = f"[bold]{escape(config.name)}[/]: {compared}"
    if dry_run:
        _print_costs(problem)
        console.print(about, highlight=False, soft_wrap=True)
        return
    search_ = Search(problem, Processes.join(device))
    with sole_writer(problem.out):  # a second search would take the running trials for killed ones
        search_.open()
        console.print(about, highlight=False, soft_wrap=True)
        finished = False
        try:
            with _Display(config.trials, console) as display:
                finished = search_.run(deadline, on_record=display.training, on_trial=display.trial)
        finally:
            # After Ctrl-C or an error, too: what the search has found so far is of use.
            _write(search_, console, finished=finished, as_json=as_json)


def _print_costs(problem: SearchProblem) -> None:
    """The table of a dry run: the cheapest and the dearest trial, all trials at most, and the best recipe's training.

    A trial's cost is known for each changed value by itself. Several changed at once may be cheaper or dearer still.
    """
    from hanmo.bench.dry_run import Cost, cost_cells, cost_table, print_table, trained_nets, training_cost
    from hanmo.train.config import Recipe

    config, judging = problem.config, problem.judging
    distill = problem.base.distill
    teachers = trained_nets(distill.teachers) if distill else []

    def cost(recipe: Recipe, samples: int) -> Cost:
        return training_cost(recipe, samples, judging.classes, judging.side, teachers)

    costs = [cost(recipe, judging.samples) for recipe in problem.trial_recipes()]
    cheapest, dearest = (choose(costs, key=lambda c: c.macs) for choose in (min, max))
    total = dearest * config.trials
    # The budget of images ends the search before all trials are trained: the MACs shrink in proportion.
    if config.budget is not None and config.budget < total.images:
        total = Cost(images=config.budget, macs=total.macs * config.budget // total.images)
    table = cost_table(config.name, "training")
    table.add_row("a trial, cheapest value", "1", *cost_cells(cheapest), "")
    table.add_row("a trial, dearest value", "1", *cost_cells(dearest), "")
    table.add_row("all trials, at most", str(config.trials), *cost_cells(total), f"{_trained(problem.out)}")
    table.add_section()
    table.add_row("the best recipe, about", "1", *cost_cells(cost(problem.base, judging.training_samples)), "")
    print_table(table)


def _trained(out: Path) -> int:
    """Trials that a search in the folder ``out`` has trained already."""
    from hanmo.search.report import TRAINED

    path = out / "trials.jsonl"
    # From trials.jsonl and not from the journal, which a running search locks.
    rows = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return sum(json.loads(row)["state"] in TRAINED for row in rows)


def _write(search: Search, console: Console, *, finished: bool, as_json: bool) -> None:
    """Write the plot and the best recipe of all trials so far, and print the table or JSON."""
    from hanmo.search.plot import draw
    from hanmo.search.report import best_of, summary

    rows = search.rows()
    best = best_of(rows)
    draw(rows, search.out / "search.png")
    path = search.write_winner()
    result = summary(rows, finished=finished)
    if as_json:
        typer.echo(json.dumps({"search": str(search.out), **result}, ensure_ascii=False))
    elif best:
        _table(best)
    verb = "train" if search.problem.base.distill is None else "distill"
    more = "" if finished else "; the same command resumes"
    console.print(f"{result['trials']} trials, {result['images']:,} images{more}", highlight=False)
    if path:
        console.print(
            f"train the best on all the data: hanmo {verb} {path}", highlight=False, markup=False, soft_wrap=True
        )


def _table(best: list[TrialRow]) -> None:
    from rich.console import Console
    from rich.table import Table

    from hanmo.search.report import format_settings

    table = Table("trial", "top-1 %", "parameters", "M MACs", "settings")
    for row in best:
        size = (f"{(row.parameters or 0) / 1e6:.2f} M", f"{(row.macs or 0) / 1e6:.1f}")
        table.add_row(str(row.trial), f"{row.top1:.2f}", *size, format_settings(row.settings))
    for column in table.columns[:4]:
        column.justify, column.no_wrap = "right", True
    Console(highlight=False, markup=False).print(table)


class _Display:
    """A progress bar of the trials with the state of the running one, and a line above for each finished trial."""

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
        """Show a record of the running trial's training."""
        if record["kind"] == "train":
            state = f"trial {number}, epoch {record['epoch']:.1f}: loss {record['loss']:.3f}"
            self.progress.update(self.task, description=f"{state}  {record['images_per_s']:,.0f} images/s")

    def trial(self, row: TrialRow) -> None:
        """Show a finished trial."""
        from hanmo.search.report import TRAINED

        self.console.print(str(row), highlight=False, markup=False, soft_wrap=True)
        if row.state in TRAINED:
            # Refused and repeated trials cost nothing and do not count.
            self.progress.advance(self.task)
