"""hanmo bench: methods, nets and seeds compared by one command."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hanmo.bench.comparison import Comparison

app = typer.Typer(
    help="Compare nets and ways to teach them, or the classic baseline.\n\nExample: hanmo bench distill @bench",
    no_args_is_help=True,
)

BenchPath = Annotated[Path, typer.Argument(help="The comparison as a TOML file.", metavar="BENCH")]
Out = Annotated[Path | None, typer.Option(help="Its folder; runs/NAME by default.", metavar="FOLDER")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Change one value, as in --set seeds=[0].")]
Only = Annotated[list[str] | None, typer.Option("--only", help="These rows only, and whom their training needs.")]
Report = Annotated[Path | None, typer.Option(help="Write the tables into this Markdown file, too.")]


@app.command()
def distill(
    bench: BenchPath,
    out: Out = None,
    set_: Set = None,
    only: Only = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost, and train nothing.")] = False,
    gpus: Annotated[int | None, typer.Option(min=0, help="How many; all there are by default, 0 for the CPU.")] = None,
    at_once: Annotated[int, typer.Option(min=1, help="Trainings at a time on each GPU.")] = 1,
    minutes: Annotated[float, typer.Option(help="Stop in time; the same command goes on.")] = 1e6,
    report: Report = None,
) -> None:
    """Train every net and every method of a comparison, seed by seed, and write the tables and the plot.

    Stopped by Ctrl-C or --minutes, the same command goes on. What is done is not done again, but for teachers whose
    weights are gone when a row still waits for them.

    Example: hanmo bench distill @bench --dry-run
    """
    import torch

    from hanmo.bench.jobs import Results, run_jobs
    from hanmo.errors import ConfigError

    comparison = _comparison(bench, out, set_)
    names = _chosen(comparison, only or [])
    results = Results(comparison.out / "results.jsonl")
    _announce(comparison, names, results.load())
    if dry_run:
        return
    there = torch.cuda.device_count()
    if gpus is not None and gpus > there:
        raise ConfigError(f"--gpus {gpus}: there are {there}; leave it out for all of them, or give 0 for the CPU")
    devices = there if gpus is None else gpus
    done = [goal for goal, record in results.load().items() if record["key"] == _key(comparison, goal[0])]
    with _Bar(comparison, names) as show:
        finished = run_jobs(
            [job for job in comparison.jobs() if job.name in names],
            comparison.out,
            slots={"gpu": at_once, "cpu": at_once},
            minutes=minutes,
            devices=devices,
            again=comparison.lost(done),
            on_change=show,
        )
    _write(comparison, report)
    if not finished:
        raise typer.Exit(1)


@app.command()
def steps(
    bench: BenchPath,
    out: Out = None,
    set_: Set = None,
    only: Only = None,
    report: Report = None,
) -> None:
    """Measure what a training step of each row costs in time and memory, on a device with nothing else to do.

    Example: hanmo bench steps @bench
    """
    from hanmo.bench.costs import step_cost
    from hanmo.bench.jobs import Results
    from hanmo.train.parallel import Processes
    from hanmo.train.run import WEIGHTS

    comparison = _comparison(bench, out, set_)
    results, processes = Results(comparison.out / "steps.jsonl"), Processes.join(None)
    _chosen(comparison, only or [])  # names what is no row
    for name in only or comparison.rows:
        row = comparison.rows[name]
        if all((comparison.folder(*teacher) / WEIGHTS).exists() for teacher in row.waits_for):
            record = {"job": name, "key": comparison.key(row), "seed": 0, **step_cost(row.recipe, processes)}
            results.add([record])
            typer.echo(json.dumps(record))
        else:
            typer.echo(f"{name}: its teachers are not trained yet", err=True)
    _write(comparison, report)


@app.command()
def classic(
    train: Annotated[Path, typer.Argument(help="A pack to fit on.", metavar="TRAIN")],
    test: Annotated[Path, typer.Argument(help="A pack of the same characters to judge on.", metavar="TEST")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as a JSON object.")] = False,
) -> None:
    """What the field measured itself against before nets: gradient features and MQDF, in a minute on one core.

    Example: hanmo bench classic packs/hwdb100-train packs/hwdb100-test
    """
    from hanmo.classic.baseline import run_classic
    from hanmo.data.pack import Pack

    result = run_classic(Pack.open(train), Pack.open(test)).as_dict()
    if as_json:
        typer.echo(json.dumps(result))
    else:
        typer.echo(
            f"top-1 {result['top1']:.2f} %, top-5 {result['top5']:.2f} % of {result['n']:,} samples; "
            f"{result['parameters'] / 1e6:.2f} M numbers stored, {result['ms_per_char']:.2f} ms a character"
        )


def _comparison(bench: Path, out: Path | None, set_: list[str] | None) -> Comparison:
    from hanmo.bench.comparison import Comparison
    from hanmo.bench.config import BenchConfig
    from hanmo.config import load_toml

    config = load_toml(bench, BenchConfig, set_ or ())
    return Comparison(config, out or Path("runs") / config.name)


def _key(comparison: Comparison, name: str) -> str:
    return comparison.key(comparison.rows[name]) if name in comparison.rows else ""


def _chosen(comparison: Comparison, only: Collection[str]) -> list[str]:
    """Rows to train: those named and the rows that teach them, in the order of the comparison."""
    from hanmo.config import nearest
    from hanmo.errors import ConfigError

    if unknown := [name for name in only if name not in comparison.rows]:
        raise ConfigError(f"--only {unknown[0]}: no such row; {nearest(unknown[0], comparison.rows)}")
    chosen, waiting = set(), list(only or comparison.rows)
    while waiting:
        name = waiting.pop()
        chosen.add(name)
        waiting += [teacher for teacher, _ in comparison.rows[name].waits_for if teacher not in chosen]
    return [name for name in comparison.rows if name in chosen]


def _announce(comparison: Comparison, names: Sequence[str], records: dict[Any, Any]) -> None:
    """What each row costs, before anything starts."""
    from rich.console import Console
    from rich.table import Table

    table = Table("row", "seeds", "M images", "10^15 MACs", "done", title=comparison.config.name, title_style="bold")
    images = macs = 0
    for name in names:
        row = comparison.rows[name]
        cost = comparison.cost(row)
        key = comparison.key(row)
        done = sum(r["key"] == key for (job, _), r in records.items() if job == name)
        seeds = len(comparison.config.seeds)
        table.add_row(name, str(seeds), f"{cost.images / 1e6:.2f}", f"{cost.macs / 1e15:.2f}", f"{done} of {seeds}")
        images, macs = images + cost.images, macs + cost.macs
    table.add_section()
    table.add_row("all", "", f"{images / 1e6:.2f}", f"{macs / 1e15:.2f}", "")
    for column in table.columns[1:]:
        column.justify = "right"
    Console(stderr=True).print(table)


class _Bar:
    """Progress over the whole in MACs, so that time left is fair to nets of all sizes."""

    def __init__(self, comparison: Comparison, names: Sequence[str]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        seeds = len(comparison.config.seeds)
        self.share = {name: comparison.cost(comparison.rows[name]).macs / seeds for name in names}
        console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.percentage:3.0f} %"),
            BarColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.description}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task("", total=sum(self.share.values()) * seeds)

    def __enter__(self) -> Callable[[Collection[tuple[str, int]], Sequence[str]], None]:
        self.progress.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def _show(self, done: Collection[tuple[str, int]], running: Sequence[str]) -> None:
        completed = sum(self.share.get(name, 0.0) for name, _ in done)
        self.progress.update(self.task, completed=completed, description=", ".join(running))


def _write(comparison: Comparison, report: Path | None) -> None:
    """Tables and plot from everything known so far."""
    from hanmo.bench.costs import reading_cost
    from hanmo.bench.jobs import Results
    from hanmo.bench.plot import Point, draw
    from hanmo.bench.report import found_by, tables, write_report
    from hanmo.nets.registry import build_net, count_parameters

    found = found_by(comparison, Results(comparison.out / "results.jsonl").load())
    if not found:
        return
    steps = {
        name: r
        for (name, _), r in Results(comparison.out / "steps.jsonl").load().items()
        if r["key"] == _key(comparison, name)
    }
    known = Results(comparison.out / "reading.jsonl")
    reading = {name: record for (name, _), record in known.load().items()}
    classes = len(comparison.pack.charset)
    points = []
    for name, row in comparison.rows.items():
        if not row.is_alone or name not in found:
            continue
        key = f"{row.recipe.net} {classes} {comparison.side}"
        if reading.get(name, {}).get("key") != key:
            reading[name] = {
                "job": name,
                "key": key,
                "seed": 0,
                **reading_cost(row.recipe.net, classes, comparison.side),
            }
            known.add([reading[name]])
        size = count_parameters(build_net(row.recipe.net, classes, comparison.side)) / 1e6
        taught = [r for r in comparison.rows.values() if r.student == name and not r.is_alone and r.name in found]
        best = max(taught, key=lambda r: found[r.name].mean, default=None)
        for one, title in ((row, row.title), *(((best, f"{row.title}, {best.title}"),) if best else ())):
            points.append(
                Point(
                    title=title,
                    top1=found[one.name].mean,
                    spread=found[one.name].spread,
                    parameters=size,
                    ms=reading[name]["ms"],
                    taught=not one.is_alone,
                )
            )
    text = tables(comparison, found, steps, reading)
    write_report(comparison.out / "report.md", text)
    draw(points, comparison.out / "accuracy.png")
    if report:
        write_report(report, text)
    typer.echo(text)
