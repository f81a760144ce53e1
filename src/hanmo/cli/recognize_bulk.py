"""``hanmo recognize ... --out FILE``: read in bulk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hanmo.errors import ArgumentError

if TYPE_CHECKING:
    from hanmo.onnxfile import Device

OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Read in bulk into this new file: .parquet (needs hanmo's extra parquet), .csv or .jsonl (JSON lines).",
    ),
]
ProcessesOption = Annotated[
    int | None,
    typer.Option("--processes", min=1, help="With --out: how many processes read. Without it: one a core."),
]
ColumnOption = Annotated[
    str | None,
    typer.Option(
        "--column", metavar="NAME", help="With --out: the column of .parquet files that holds the bytes of pictures."
    ),
]


def refuse_bulk_options(processes: int | None, column: str | None) -> None:
    """Raise :class:`ArgumentError` for options that mean nothing without ``--out``."""
    for name, value in (("--processes", processes), ("--column", column)):
        if value is not None:
            raise ArgumentError(f"{name} is for reading in bulk; add --out FILE, or leave it out")


def read_into_file(
    inputs: list[Path],
    out: Path,
    bundle: Path | None,
    top: int,
    among: str | None,
    device: Device,
    processes: int | None,
    column: str | None,
) -> None:
    """Read ``inputs`` into ``out`` with a progress bar, and print the totals on stderr."""
    from rich.console import Console

    from hanmo.bulk.progress import showing, summary
    from hanmo.bulk.results import check_target, refuse_complete
    from hanmo.bulk.run import read_in_bulk
    from hanmo.bulk.sources import Source
    from hanmo.bulk.work import Options
    from hanmo.cli.stopping import tidy_kill

    if Path("-") in inputs:
        raise ArgumentError("the standard input is one picture; leave out --out, or name files")
    # Before the source is listed, which may take a while.
    target, _ = check_target(out, top)
    refuse_complete(target)
    with tidy_kill(), showing(Console(stderr=True)) as report:
        source = Source(inputs, column=column)
        options = Options(bundle=bundle, top=top, among=among, device=device)
        totals = read_in_bulk(source, target, options, processes=processes, report=report)
    typer.echo(f"hanmo: {summary(target, totals)}", err=True)
