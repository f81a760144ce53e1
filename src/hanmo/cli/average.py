"""hanmo average: several runs -> one net."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer


def average(
    runs: Annotated[list[Path], typer.Argument(help="Finished runs of one net, begun alike.", metavar="RUN RUN...")],
    out: Annotated[Path, typer.Option(help="The folder for the weights; export and distill take it as a run.")],
    share: Annotated[
        list[float] | None, typer.Option(help="What a run counts, once for each in turn; all alike if left out.")
    ] = None,
    weight_bits: Annotated[int, typer.Option(help="Round large layers' weights to so many bits, 2 to 7.")] = 0,
    statistics: Annotated[
        Path | None, typer.Option(help="Pack whose samples the norms' statistics are measured on.")
    ] = None,
    statistics_share: Annotated[
        float | None, typer.Option(help="How far the statistics move there, 0 to 1; 0.6 if left out.")
    ] = None,
) -> None:
    """Average the weights of several runs that went on from the same weights.

    Example: hanmo average runs/leg-1 runs/leg-2 --out runs/flagship
    """
    from hanmo.errors import ConfigError
    from hanmo.train.average import AverageOptions, average_runs

    if statistics_share is not None and statistics is None:
        raise ConfigError("--statistics-share moves statistics to those of a pack; name it by --statistics")
    options = AverageOptions(shares=tuple(share or ()), weight_bits=weight_bits, statistics=statistics)
    if statistics_share is not None:
        options = replace(options, statistics_share=statistics_share)
    what = f"the mean of {len(runs)} runs" if len(runs) > 1 else f"the weights of {runs[0]}"
    told = [f"rounded to {weight_bits} bits"] if weight_bits else []
    told += ["with other statistics"] if statistics else []
    typer.echo(f"{average_runs(runs, out, options)}: {', '.join([what, *told])}")
