"""``hanmo evaluate``: how well a bundle reads labelled samples."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from hanmo.builtin import EMBEDDED_TEXT
from hanmo.charset import list_sets
from hanmo.cli.corruptions import Choice, check_corrupted, evaluate_corrupted

if TYPE_CHECKING:
    from hanmo.bundle import Bundle
    from hanmo.data.pack import Pack
    from hanmo.data.sample import Sample
    from hanmo.evaluate.evaluate import Unknown
    from hanmo.evaluate.result import Evaluation
    from hanmo.recognizer import Recognizer


@dataclass(frozen=True, kw_only=True)
class Source:
    """Samples of one argument, read anew by every loop over it; ``limit`` 0 reads them all."""

    name: str
    limit: int
    mapping: Path | None
    on_bytes: Callable[[int], None]

    def __iter__(self) -> Iterator[Sample]:
        from itertools import islice

        from hanmo.data.read import read_samples

        return islice(read_samples([self.name], self.mapping, self.on_bytes), self.limit or None)


def evaluate(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help=".gnt or .gnt.xz files, folders and .zip archives of them, folders of pictures, packs.",
        ),
    ],
    bundle: Annotated[Path | None, typer.Option("--bundle", help=f"Folder of a bundle, or {EMBEDDED_TEXT}.")] = None,
    closed: Annotated[
        bool, typer.Option("--closed", help="Answer only with characters that occur in the file.")
    ] = False,
    among: Annotated[
        str,
        typer.Option(
            "--among",
            metavar="文字…|NAMES",
            help="Answer only with these characters, or with named sets joined by +, as in --among level1. "
            f"Sets: {list_sets()}.",
        ),
    ] = "",
    unknown: Annotated[
        str,
        typer.Option(
            metavar="skip|error",
            help="Labels that the bundle cannot answer with: count and name them and score the others, or stop.",
        ),
    ] = "skip",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a file instead of a table.")] = False,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="OUT.html", help="Write an HTML page with the details.")
    ] = None,
    per_writer: Annotated[
        bool, typer.Option("--per-writer", help="Also the accuracy of each writer, and how much they differ.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of the net.")] = 1,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Only the first N samples of each file; 0: all. With --corruptions: N random samples, 300 by default.",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures the net reads at a time.")] = 64,
    mapping: Annotated[
        Path | None, typer.Option(help="Table folder,character (.csv, .tsv) or JSON object, for folders of pictures.")
    ] = None,
    corruptions: Annotated[
        bool,
        typer.Option(
            "--corruptions",
            help="Measure robustness instead: HWDB-C, 20 corruptions at 5 severities (docs/corruptions.md).",
        ),
    ] = False,
    heat_map: Annotated[
        Path | None,
        typer.Option("--heat-map", metavar="OUT.png", help="With --corruptions: draw the accuracies as a heat map."),
    ] = None,
) -> None:
    """Measure accuracy, calibration and speed. --report writes a page that also shows the mistakes.

    Examples: hanmo evaluate test.gnt.xz --bundle my-bundle --closed --report report.html
              hanmo evaluate HWDB1.1tst_gnt.zip --per-writer
              hanmo evaluate test.gnt.xz --corruptions --heat-map corruptions.png
    """
    from hanmo.atomic import require_suffix
    from hanmo.errors import ArgumentError
    from hanmo.evaluate.evaluate import check_closed
    from hanmo.evaluate.report import SUFFIXES
    from hanmo.recognizer import Recognizer

    # Errors of options and files are raised now, not after an hour of reading.
    if report:
        require_suffix(report, *SUFFIXES)
    if corruptions or heat_map:
        check_corrupted(files, corruptions=corruptions, heat_map=heat_map, report=report)
    choice = Choice(closed=closed, among=among or None, unknown=cast("Unknown", unknown))
    check_closed(closed=closed, among=choice.among)
    if per_writer and corruptions:
        raise ArgumentError("--per-writer and --corruptions do not go together; leave one of them out")
    recognizer = Recognizer(bundle, threads=threads)
    if choice.among:
        recognizer.check_among(choice.among)
    if corruptions:
        evaluate_corrupted(
            recognizer,
            [Source(name=name, limit=0, mapping=mapping, on_bytes=lambda _: None) for name in files],
            choice=choice,
            limit=limit,
            batch_size=batch_size,
            as_json=as_json,
            heat_map=heat_map,
        )
    else:
        _evaluate_clean(recognizer, files, choice, as_json, report, limit or 0, batch_size, mapping, per_writer)


def _evaluate_clean(
    recognizer: Recognizer,
    files: Sequence[str],
    choice: Choice,
    as_json: bool,
    report: Path | None,
    limit: int,
    batch_size: int,
    mapping: Path | None,
    per_writer: bool,
) -> None:
    from hanmo.evaluate.report import write_report

    # All are opened before the first is evaluated: a pack that does not fit is refused at once.
    packs = [_open(name, recognizer.bundle) for name in files]
    evaluations = []
    for name, pack in zip(files, packs, strict=True):
        evaluations.append(_evaluate_one(recognizer, name, pack, choice, limit, batch_size, mapping))
        if as_json:
            typer.echo(json.dumps(evaluations[-1].as_dict(per_writer=per_writer), ensure_ascii=False))
    if not as_json:
        _print(evaluations)
        if per_writer:
            _print_writers(evaluations)
    if report:
        conditions = describe(recognizer.bundle) | {"Threads": str(recognizer.threads)}
        if limit:
            conditions["Limit"] = f"the first {limit:,} samples of each file"
        title = f"Evaluation of {recognizer.bundle.name}"
        write_report(evaluations, report, title=title, conditions=conditions, per_writer=per_writer)
        typer.echo(f"report: {report}", err=True)


def describe(bundle: Bundle) -> dict[str, str]:
    """The facts about a bundle that a report states."""
    from hanmo import __version__

    trained_on = [f"{source['name']} ({source['licence']})" for source in bundle.trained_on]
    return {
        "Bundle": f"{bundle.name}, {bundle.path}",
        "Net": f"{bundle.net}, {bundle.parameters:,} parameters, {bundle.precision}, {len(bundle.model) / 1e6:.1f} MB",
        "Input": str(bundle.normalization),
        "Charset": f"{len(bundle.charset):,} characters, SHA-256 {bundle.charset.digest[:16]}…",
        "Calibration": f"temperature {bundle.temperature:g}",
        "Refused": _refused(bundle),
        "Trained on": "; ".join(trained_on) or "not stated",
        "Licence": bundle.licence,
        "Program": f"hanmo {__version__}",
    }


def _refused(bundle: Bundle) -> str:
    limits = [f"a probability below {bundle.refusal_threshold:.1%}"] if bundle.refusal_threshold else []
    limits += [f"evidence below {bundle.least_evidence:.2f}"] if bundle.least_evidence else []
    return ", ".join(limits) or "nothing"


def _open(name: str, bundle: Bundle) -> Pack | None:
    """The pack ``name``, of the bundle's normalisation; None for sample files and folders that are there."""
    from hanmo.data.pack import Pack, is_pack
    from hanmo.data.read import find_inputs

    if not is_pack(name):
        find_inputs([name])
        return None
    pack = Pack.open(name, verify=True)
    pack.require(normalization=bundle.normalization)
    return pack


def _evaluate_one(
    recognizer: Recognizer,
    name: str,
    pack: Pack | None,
    choice: Choice,
    limit: int,
    batch_size: int,
    mapping: Path | None,
) -> Evaluation:
    from hanmo.cli.progress import reading
    from hanmo.data.read import count_bytes
    from hanmo.evaluate.evaluate import evaluate_recognizer

    if pack is not None:
        pack = _first(pack, limit)
        total: int | None = len(pack)
    else:
        # The number of samples in a file is not known before it is read, so the bar counts bytes instead.
        # A closed test reads the samples twice: first their labels, then the pictures.
        total = None if limit else count_bytes([name]) * (2 if choice.closed else 1)
    with reading(name, total, by_samples=pack is not None) as (on_bytes, on_samples):
        source = Source(name=name, limit=limit, mapping=mapping, on_bytes=on_bytes)
        return evaluate_recognizer(
            recognizer,
            source if pack is None else pack,
            closed=choice.closed,
            among=choice.among,
            unknown=choice.unknown,
            batch_size=batch_size,
            file=name,
            on_progress=on_samples,
        )


def _first(pack: Pack, limit: int) -> Pack:
    """The pack, cut to its first ``limit`` samples; 0 leaves it whole."""
    # Slices of memory maps: no picture is copied.
    names = ("images", "labels", "source_ids", "writer_ids")
    return replace(pack, **{name: getattr(pack, name)[:limit] for name in names}) if limit else pack


def _print(evaluations: Sequence[Evaluation]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from hanmo.evaluate.report import tell_labels

    table = Table("file")
    for name in ("pictures", "top-1 %", "top-5 %", "top-10 %", "ECE %", "ms a character"):
        table.add_column(name, justify="right")
    for e in evaluations:
        figures = (e.top1, e.top5, e.top10, 100 * e.ece, e.ms_per_char)
        table.add_row(Text(e.file), f"{e.n:,}", *("–" if isnan(v) else f"{v:.2f}" for v in figures))
    console = Console()
    console.print(table)
    if evaluations[0].among:
        console.print(Text(f"closed to {evaluations[0].among}: {evaluations[0].answers:,} classes"))
    for e in evaluations:
        if e.outside:
            labels = "label lies" if e.outside == 1 else "labels lie"
            line = f"{e.file}: {e.outside:,} {labels} outside the charset, not scored; {e.outside_refused:,} refused"
            console.print(Text(f"{line}: {tell_labels(e.outside_labels)}"))


def _print_writers(evaluations: Sequence[Evaluation]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from hanmo.evaluate.report import tell_spread

    console = Console()
    for e in evaluations:
        table = Table("writer", title=Text(e.file))
        for name in ("samples", "top-1 %"):
            table.add_column(name, justify="right")
        for score in e.per_writer:
            table.add_row(Text(score.writer or "unknown"), f"{score.n:,}", f"{score.top1:.2f}")
        console.print(table)
        console.print(Text(f"{e.file}: {tell_spread(e)}"))
