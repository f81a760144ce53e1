"""The cost of a training before it starts, and the table of a dry run: for benches, searches and benchmark scripts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hanmo.nets.registry import NetConfig, net_size
from hanmo.train.config import Recipe
from hanmo.train.onnx_teacher import ONNX_PREFIX
from hanmo.train.run import load_trained

if TYPE_CHECKING:
    from rich.table import Table

    from hanmo.bench.jobs import Job, RunId


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one training computes: ``images`` seen, and multiply-accumulate operations ``macs`` of the nets.

    MACs are three times the student's forward pass (forward, gradients of inputs, gradients of weights), and once the
    teachers' for each view. Connectors of methods and ``onnx:`` teachers are not counted.
    """

    images: int
    macs: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(images=self.images + other.images, macs=self.macs + other.macs)

    def __mul__(self, times: int) -> Cost:
        return Cost(images=self.images * times, macs=self.macs * times)


def training_cost(recipe: Recipe, samples: int, classes: int, side: int, teachers: Sequence[NetConfig] = ()) -> Cost:
    """The cost of training ``recipe`` once on ``samples`` squares (S, S) of ``side`` S with ``teachers``."""
    train = recipe.train
    images = samples // train.batch * train.batch * train.epochs  # the last, smaller batch of an epoch is left out
    # The backward pass costs about twice the forward pass. Teachers have no backward pass.
    macs = 3 * _forward_macs(recipe.net, classes, side)
    if recipe.distill:
        macs += recipe.distill.teacher_tta * sum(_forward_macs(net, classes, side) for net in teachers)
    return Cost(images=images, macs=images * macs)


def _forward_macs(net: NetConfig, classes: int, side: int) -> int:
    """Multiply-accumulates of one forward pass of one square."""
    _, macs = net_size(net, classes, side)
    return macs


def trained_nets(teachers: Collection[str]) -> list[NetConfig]:
    """The nets of finished runs among the ``teachers`` of a recipe; ``onnx:`` teachers are left out.

    Raises :class:`CheckpointError` for a run that cannot be read.
    """
    return [load_trained(name).config for name in teachers if not name.startswith(ONNX_PREFIX)]


def print_dry_run(title: str, jobs: Sequence[Job], finished: Mapping[RunId, str]) -> None:
    """Print the table of ``jobs`` to stderr. ``finished`` are the finished runs with the keys of their settings."""
    costs = [job.cost for job in jobs if job.kind == "gpu"]  # exports cost next to nothing
    known = [cost for cost in costs if cost is not None]
    # With one cost unknown the sum would be too small, so none is shown.
    total = sum(known, Cost(images=0, macs=0)) if len(known) == len(costs) else None
    table = cost_table(title, "job")
    for job in jobs:
        count = sum(finished.get(run) == job.key for run in job.runs)
        table.add_row(job.name, str(len(job.seeds)), *cost_cells(job.cost), f"{count} of {len(job.seeds)}")
    table.add_section()
    table.add_row("all", "", *cost_cells(total), "")
    print_table(table)


def cost_table(title: str, first: str) -> Table:
    """An empty table: the name of a training, how many, their cost, and how many of them are finished."""
    from rich.table import Table

    table = Table(first, "runs", "M images", "10^15 MACs", "finished", title=title, title_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def cost_cells(cost: Cost | None) -> tuple[str, str]:
    """Images in millions and MACs in 10^15; empty where the cost is not known."""
    return ("", "") if cost is None else (f"{cost.images / 1e6:.2f}", f"{cost.macs / 1e15:.2f}")


def print_table(table: Table) -> None:
    """Print a table to stderr: stdout is for results."""
    from rich.console import Console

    # Without markup, because a job may be called "[old] train".
    Console(stderr=True, markup=False).print(table)
