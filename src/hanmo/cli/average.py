"""hanmo average: several runs -> one net."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def average(
    runs: Annotated[list[Path], typer.Argument(help="Finished runs of one net, begun alike.", metavar="RUN RUN...")],
    out: Annotated[Path, typer.Option(help="The folder for the weights; export and distill take it as a run.")],
) -> None:
    """Average the weights of several runs that went on from the same weights.

    Example: hanmo average runs/leg-1 runs/leg-2 --out runs/flagship
    """
    from hanmo.train.average import average_runs

    typer.echo(f"{average_runs(runs, out)}: the mean of {len(runs)} runs")
