"""hanmo average: several runs -> one net."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer


def average(
    runs: Annotated[
        list[Path], typer.Argument(help="Finished runs that all started from the same weights.", metavar="RUN RUN...")
    ],
    out: Annotated[Path, typer.Option(help="The folder for the weights; it can be used as a run folder.")],
    share: Annotated[
        list[float] | None, typer.Option(help="Weight of a run in the mean; give it once for each run, in order.")
    ] = None,
    weight_bits: Annotated[int, typer.Option(help="Round the weights of large layers to 2 to 7 bits.")] = 0,
    statistics: Annotated[Path | None, typer.Option(help="Pack to measure the norms' statistics on.")] = None,
    statistics_share: Annotated[
        float | None, typer.Option(help="How far the statistics move towards those of the pack, 0 to 1 (0.6).")
    ] = None,
) -> None:
    """Average the weights of several runs that all started from the same weights.

    Example: hanmo average runs/leg-1 runs/leg-2 --out runs/flagship
    """
    from hanmo.errors import ArgumentError
    from hanmo.train.average import AverageOptions, average_runs

    # A share without a pack would have no effect at all.
    if statistics_share is not None and statistics is None:
        raise ArgumentError("--statistics-share needs a pack to move the statistics to; name it by --statistics")
    options = AverageOptions(shares=tuple(share or ()), weight_bits=weight_bits, statistics=statistics)
    if statistics_share is not None:
        options = replace(options, statistics_share=statistics_share)
    summary = [f"the mean of {len(runs)} runs" if len(runs) > 1 else f"the weights of {runs[0]}"]
    summary += [f"rounded to {weight_bits} bits"] if weight_bits else []
    summary += ["with other statistics"] if statistics else []
    typer.echo(f"{average_runs(runs, out, options)}: {', '.join(summary)}")
