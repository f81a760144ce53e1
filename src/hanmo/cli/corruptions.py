"""``hanmo evaluate --corruptions``: how well a bundle reads corrupted pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import typer

from hanmo.errors import ArgumentError

if TYPE_CHECKING:
    from rich.table import Table

    from hanmo.data.sample import Sample
    from hanmo.evaluate.corrupt_result import CorruptionReport
    from hanmo.evaluate.evaluate import Unknown
    from hanmo.recognizer import Recognizer


class Choice(NamedTuple):
    """What the reader may answer with: the labels of the file, the characters of ``among``, or all of both are off.

    ``unknown`` says what happens to labels that cannot be answered.
    """

    closed: bool = False
    among: str | None = None
    unknown: Unknown = "skip"


class Source(Protocol):
    """Samples of one argument of the command line, read anew by every loop over it."""

    @property
    def name(self) -> str: ...

    def __iter__(self) -> Iterator[Sample]: ...


def check_corrupted(files: Sequence[str], *, corruptions: bool, heat_map: Path | None, report: Path | None) -> None:
    """:class:`ArgumentError` for options that do not go together and for packs, :class:`DataError` for no file."""
    from hanmo.atomic import require_suffix
    from hanmo.data.pack import is_pack
    from hanmo.data.read import find_inputs

    if not corruptions:
        raise ArgumentError("--heat-map draws what --corruptions measures; add --corruptions, or leave it out")
    if report:
        raise ArgumentError("--report shows clean pictures; with --corruptions use --heat-map OUT.png or --json")
    if heat_map:
        require_suffix(heat_map, ".png")
    for name in files:
        if is_pack(name):
            raise ArgumentError(
                f"{name}: a pack holds finished squares, which cannot be corrupted; name its sample files"
            )
        # A slip in the last file's name must not come to light after the others were measured.
        find_inputs([name])


def evaluate_corrupted(
    recognizer: Recognizer,
    sources: Sequence[Source],
    *,
    choice: Choice,
    limit: int | None,
    batch_size: int,
    as_json: bool,
    heat_map: Path | None,
) -> None:
    """Measure the recogniser on the corrupted pages of every source and print the results."""
    from hanmo.data.sheet import save_png
    from hanmo.evaluate.corrupt_measure import LIMIT
    from hanmo.evaluate.corrupt_plot import heat_map as draw

    reports = []
    for source in sources:
        reports.append(_evaluate_one(recognizer, source, choice, LIMIT if limit is None else limit, batch_size))
        if as_json:
            typer.echo(json.dumps(reports[-1].as_dict(), ensure_ascii=False))
    if not as_json:
        _print(reports)
    if heat_map:
        save_png(draw(reports), heat_map, make_folder=True)
        typer.echo(f"heat map: {heat_map}", err=True)


def _evaluate_one(
    recognizer: Recognizer, source: Source, choice: Choice, limit: int, batch_size: int
) -> CorruptionReport:
    from hanmo.cli.progress import reading
    from hanmo.evaluate.corrupt_measure import PAGES, evaluate_corruptions

    # A file may hold fewer samples than the limit: the bar, which counts pages, then ends early.
    with reading(source.name, limit * PAGES or None, by_samples=True) as (_, on_pages):
        return evaluate_corruptions(
            recognizer,
            source,
            closed=choice.closed,
            among=choice.among,
            unknown=choice.unknown,
            limit=limit,
            batch_size=batch_size,
            file=source.name,
            on_progress=on_pages,
        )


def _print(reports: Sequence[CorruptionReport]) -> None:
    """One table a report and a few lines below it."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for report in reports:
        console.print(_table(report))
        lines = [
            f"{report.n:,} of {report.total:,} samples, seed {report.seed}",
            "drop: points lost at severity 3; refused: % at severity 3; wrong: % wrong with a probability above 0.9",
            f"clean pages {report.clean.accuracy:.2f} %, mean corruption accuracy {report.mca:.2f} %, "
            f"mean drop at severity 3 {report.drop:.2f} points",
            f"wrong with a probability above 0.9: {report.sure_wrong:.2f} % of the corrupted pages, "
            f"{report.clean.sure_wrong:.2f} % of the clean ones",
        ]
        if report.among:
            lines.append(f"closed to {report.among}")
        if report.outside:
            labels = "label lies" if report.outside == 1 else "labels lie"
            lines.append(f"{report.outside:,} {labels} outside the charset, not read")
        for line in lines:
            console.print(Text(line))


def _table(report: CorruptionReport) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from hanmo.evaluate.corrupt_result import JUDGED
    from hanmo.evaluate.corruptions import SEVERITIES

    title = Text(f"{report.file}, {report.reader}: accuracy in % by severity")
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("corruption", no_wrap=True)
    for head in (*map(str, SEVERITIES), "mean", "drop", "refused", "wrong"):
        table.add_column(head, justify="right")
    for name, scores in report.corruptions.items():
        figures = [*(s.accuracy for s in scores), report.mean(name), report.drop_of(name), scores[JUDGED - 1].refused]
        # In the order of the table's head: five severities, mean, drop, refused, wrong.
        figures.append(sum(s.sure_wrong for s in scores) / len(scores))
        table.add_row(name, *(f"{value:.1f}" for value in figures))
    table.add_section()
    each = report.severities
    means = [*(s.accuracy for s in each), report.mca, report.drop, each[JUDGED - 1].refused, report.sure_wrong]
    table.add_row("mean", *(f"{value:.1f}" for value in means))
    for name, values in (
        ("refused %", [s.refused for s in each]),
        ("wrong > 0.9, %", [s.sure_wrong for s in each]),
        ("ECE %", [100 * s.ece for s in each]),
    ):
        table.add_row(name, *(f"{value:.1f}" for value in values))
    return table
