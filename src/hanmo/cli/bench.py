"""``hanmo bench``: compare nets and distillation methods over several seeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hanmo.cli.recipe_help import listing_recipes

if TYPE_CHECKING:
    from hanmo.bench.comparison import Comparison
    from hanmo.bench.jobs import Job, Record, RunId
    from hanmo.bench.plot import Point
    from hanmo.bench.report import Accuracy

app = typer.Typer(
    help="Compare nets and distillation methods, or measure the classic reader (no neural network).\n\n"
    "Example: hanmo bench distill @bench",
    no_args_is_help=True,
)

BenchPath = Annotated[Path, typer.Argument(help="The comparison: a TOML file, or @NAME (see below).", metavar="BENCH")]
Out = Annotated[Path | None, typer.Option(help="Folder for results; runs/NAME by default.", metavar="FOLDER")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Change one value, as in --set seeds=[0].")]
Only = Annotated[list[str] | None, typer.Option("--only", help="Only these rows, and the rows that teach them.")]
Report = Annotated[Path | None, typer.Option(help="Also write the tables into this Markdown file.")]


@app.command(cls=listing_recipes("bench"))
def distill(
    bench: BenchPath,
    out: Out = None,
    set_: Set = None,
    only: Only = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what it would cost, and train nothing.")] = False,
    gpus: Annotated[int | None, typer.Option(min=0, help="Number of GPUs; all by default, 0 for the CPU.")] = None,
    at_once: Annotated[int, typer.Option(min=1, help="Trainings at the same time on each GPU.")] = 1,
    minutes: Annotated[float, typer.Option(help="Stop after so many minutes; the same command resumes.")] = 1e6,
    report: Report = None,
) -> None:
    """Train every net and every method of a comparison with every seed, and write the tables and the plot.

    After Ctrl-C or --minutes the same command resumes. Finished trainings are not repeated, except those whose
    weights are missing here while another row still needs them.

    Example: hanmo bench distill @bench --dry-run
    """
    import torch

    from hanmo.bench.dry_run import print_dry_run
    from hanmo.bench.jobs import Results, run_jobs
    from hanmo.errors import ArgumentError

    comparison = _comparison(bench, out, set_)
    names = _chosen(comparison, only or [])
    jobs = [job for job in comparison.jobs() if job.name in names]
    keys = Results(comparison.out / "results.jsonl").keys()
    # Before a real run as well, so that nobody starts a week of training without knowing.
    print_dry_run(comparison.config.name, jobs, keys)
    if dry_run:
        return
    available = torch.cuda.device_count()
    if gpus is not None and gpus > available:
        raise ArgumentError(
            f"--gpus {gpus}: there are {available}; leave it out for all of them, or give 0 for the CPU"
        )
    comparison.write_recipes()
    # Records of older settings have another key and do not count as finished.
    finished = [run for run, key in keys.items() if key == _key(comparison, run[0])]
    with _Bar(jobs) as show:
        all_finished = run_jobs(
            jobs,
            comparison.out,
            slots={"gpu": at_once, "cpu": at_once},
            minutes=minutes,
            devices=available if gpus is None else gpus,
            rerun=comparison.missing_weights(finished),
            on_change=show,
        )
    _write(comparison, report)
    # For scripts: a comparison that is not complete has another exit status.
    if not all_finished:
        raise typer.Exit(1)


@app.command(cls=listing_recipes("bench"))
def steps(
    bench: BenchPath,
    out: Out = None,
    set_: Set = None,
    only: Only = None,
    report: Report = None,
) -> None:
    """Measure time and memory of a training step of each row. The device should have nothing else to do.

    Example: hanmo bench steps @bench
    """
    from hanmo.bench.costs import step_cost
    from hanmo.bench.jobs import Results
    from hanmo.train.parallel import Processes
    from hanmo.train.run import WEIGHTS

    comparison = _comparison(bench, out, set_)
    results, processes = Results(comparison.out / "steps.jsonl"), Processes.join(None)
    _chosen(comparison, only or [])  # raises for names that are no rows
    for name in only or comparison.rows:
        row = comparison.rows[name]
        if all((comparison.folder(*run) / WEIGHTS).exists() for run in row.earlier_runs):
            # The cost of a step does not depend on the seed; the file of results needs one.
            record = {"job": name, "key": comparison.key(row), "seed": 0, **step_cost(row.recipe, processes)}
            results.add([record])
            typer.echo(json.dumps(record))
        else:
            typer.echo(f"{name}: the runs that it needs are not trained yet", err=True)
    _write(comparison, report)


@app.command()
def classic(
    train: Annotated[Path, typer.Argument(help="The pack to fit on.", metavar="TRAIN")],
    test: Annotated[Path, typer.Argument(help="The pack to measure on, of the same characters.", metavar="TEST")],
    features: Annotated[Literal["gradient", "gabor"], typer.Option(help="Features of the squares.")] = "gradient",
    mce: Annotated[int, typer.Option(min=0, help="Epochs of minimum classification error training.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as a JSON object.")] = False,
) -> None:
    """Fit and measure the classic reader (no neural network): gradient features and MQDF, in a minute on one core.

    Example: hanmo bench classic packs/hwdb100-train packs/hwdb100-test
    """
    from hanmo.classic.baseline import run_classic
    from hanmo.classic.features import GradientFeatures
    from hanmo.classic.gabor import GaborFeatures
    from hanmo.classic.reader import ClassicConfig
    from hanmo.data.pack import Pack

    config = ClassicConfig(features=GaborFeatures() if features == "gabor" else GradientFeatures(), mce=mce)
    result = run_classic(Pack.open(train, verify=True), Pack.open(test, verify=True), config).as_dict()
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

    config = load_toml(bench, BenchConfig, set_ or (), kind="bench")
    return Comparison(config, out or Path("runs") / config.name)


def _key(comparison: Comparison, name: str) -> str:
    return comparison.key(comparison.rows[name]) if name in comparison.rows else ""


def _chosen(comparison: Comparison, only: Collection[str]) -> list[str]:
    """The rows to train: those in ``only`` (none: all) and the rows whose weights they need, in the bench's order.

    Raises :class:`ArgumentError` for names that are no rows.
    """
    from hanmo.config import nearest
    from hanmo.errors import ArgumentError

    if unknown := [name for name in only if name not in comparison.rows]:
        raise ArgumentError(f"--only {unknown[0]}: no such row; {nearest(unknown[0], comparison.rows)}")
    chosen, to_add = set(), list(only or comparison.rows)
    while to_add:
        # Teachers may be students of other teachers, so theirs are added, too; so are the rows that others begin as.
        name = to_add.pop()
        chosen.add(name)
        to_add += [earlier for earlier, _ in comparison.rows[name].earlier_runs if earlier not in chosen]
    return [name for name in comparison.rows if name in chosen]


class _Bar:
    """A progress bar over all jobs, measured in MACs: large nets take longer, so counting jobs would mislead."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.macs = {job.name: job.cost.macs / len(job.seeds) for job in jobs if job.cost}  # of one seed
        console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.percentage:3.0f} %"),
            BarColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.description}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task("", total=sum(job.cost.macs for job in jobs if job.cost))

    def __enter__(self) -> Callable[[Collection[RunId], Sequence[str]], None]:
        self.progress.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def _show(self, finished: Collection[RunId], running: Sequence[str]) -> None:
        completed = sum(self.macs.get(name, 0.0) for name, _ in finished)
        self.progress.update(self.task, completed=completed, description=", ".join(running))


def _write(comparison: Comparison, report: Path | None) -> None:
    """Write and print the tables and the plot of all results so far."""
    from hanmo.bench.jobs import Results
    from hanmo.bench.plot import draw
    from hanmo.bench.report import accuracies, tables, write_report

    measured = accuracies(comparison, Results(comparison.out / "results.jsonl").load())
    if not measured:
        return
    records = Results(comparison.out / "steps.jsonl").load()
    steps = {name: record for (name, _), record in records.items() if record["key"] == _key(comparison, name)}
    reading = _reading_costs(comparison, measured)
    text = tables(comparison, measured, steps, reading)
    write_report(comparison.out / "report.md", text)
    draw(_points(comparison, measured, reading), comparison.out / "accuracy.png")
    if report:
        write_report(report, text)
    typer.echo(text)


def _reading_costs(comparison: Comparison, measured: Mapping[str, Accuracy]) -> dict[str, Record]:
    """The time to read one character with each measured net; nets that were timed before are not timed again."""
    from hanmo.bench.costs import reading_cost
    from hanmo.bench.jobs import Results

    known = Results(comparison.out / "reading.jsonl")
    costs = {name: record for (name, _), record in known.load().items()}
    classes, side = len(comparison.pack.charset), comparison.side
    for name, row in comparison.rows.items():
        # All that the time to read depends on: how the net was trained does not matter.
        key = f"{row.recipe.net} {classes} {side}"
        if row.is_alone and name in measured and costs.get(name, {}).get("key") != key:
            costs[name] = {"job": name, "key": key, "seed": 0, **reading_cost(row.recipe.net, classes, side)}
            known.add([costs[name]])
    return costs


def _points(comparison: Comparison, measured: Mapping[str, Accuracy], reading: Mapping[str, Record]) -> list[Point]:
    """For the plot: every measured net trained on labels alone, and its best distilled student."""
    from hanmo.bench.plot import Point
    from hanmo.nets.registry import build_net, count_parameters

    points = []
    for name, row in comparison.rows.items():
        if not row.is_alone or name not in measured:
            continue
        parameters = count_parameters(build_net(row.recipe.net, len(comparison.pack.charset), comparison.side)) / 1e6
        # Rows that were distilled into this net and have results.
        students = [r for r in comparison.rows.values() if r.student == name and not r.is_alone and r.name in measured]
        # One point for the best method; all of them would hide each other.
        best = max(students, key=lambda r: measured[r.name].mean, default=None)
        for shown, title in ((row, row.title), *(((best, f"{row.title}, {best.title}"),) if best else ())):
            points.append(
                Point(
                    title=title,
                    top1=measured[shown.name].mean,
                    spread=measured[shown.name].spread,
                    parameters=parameters,
                    ms=reading[name]["ms"],
                    distilled=not shown.is_alone,
                )
            )
    return points
