"""``hanmo recognize ... --out FILE``: read in bulk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hanmo.errors import ArgumentError

if TYPE_CHECKING:
    from hanmo.bulk.work import Options

OutOption = Annotated[
    str | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Read in bulk into this new file: .parquet (needs hanmo's extra parquet), .csv or .jsonl (JSON lines). "
        "With --ray also an address such as s3://bucket/results.parquet: a folder of Parquet files.",
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="With --out: read on the machines of a Ray cluster (needs hanmo's extra ray): auto for the cluster that "
        "this machine belongs to, host:port of its head, or local to start Ray on this machine alone.",
    ),
]
ProcessesOption = Annotated[
    int | None,
    typer.Option(
        "--processes",
        min=1,
        help="With --out: how many processes read. Without it: one a core, with --ray of all machines.",
    ),
]
ColumnOption = Annotated[
    str | None,
    typer.Option(
        "--column", metavar="NAME", help="With --out: the column of .parquet files that holds the bytes of pictures."
    ),
]


def refuse_bulk_options(processes: int | None, column: str | None, ray: str | None) -> None:
    """Raise :class:`ArgumentError` for options that mean nothing without ``--out``."""
    for name, value in (("--processes", processes), ("--column", column), ("--ray", ray)):
        if value is not None:
            raise ArgumentError(f"{name} is for reading in bulk; add --out FILE, or leave it out")


def read_into_file(
    inputs: list[str], out: str, options: Options, processes: int | None, column: str | None, ray: str | None
) -> None:
    """Read ``inputs`` into ``out`` with a progress bar, and print the totals on stderr."""
    from rich.console import Console

    from hanmo.bulk.addresses import is_address, shown
    from hanmo.bulk.progress import showing, summary
    from hanmo.bulk.results import check_target, refuse_complete
    from hanmo.bulk.run import check_out, check_ray, read_in_bulk
    from hanmo.bulk.sources import Source
    from hanmo.cli.stopping import tidy_kill
    from hanmo.gpu import with_engine

    if "-" in inputs:
        raise ArgumentError("the standard input is one picture; leave out --out, or name files")
    # Before the source is listed, which may take a while.
    if ray is not None:
        check_ray(ray, options)
    text = "starting"
    if is_address(out):
        check_out(out, ray)
        text = f"the machines write to {shown(out)}"  # they report nothing
    else:
        refuse_complete(check_target(out, options.top)[0])
    options, engine = with_engine(options)
    with tidy_kill(), showing(Console(stderr=True), text) as report:
        source = Source(inputs, column=column)
        totals = read_in_bulk(source, out, options, processes=processes, report=report, ray=ray, engine=engine)
    typer.echo(f"hanmo: {summary(out, totals)}", err=True)
