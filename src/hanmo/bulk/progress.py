"""Progress of reading in bulk on a terminal: pictures, rate and time left; and one line at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hanmo.bulk.run import Report, Totals

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def showing(console: Console, first_text: str = "starting") -> Iterator[Report]:
    """A bar that is gone at the end, and the function that moves it; nothing is shown where there is no terminal.

    ``first_text`` stands beside the bar until it moves.
    """
    from rich.progress import BarColumn, Progress, TextColumn

    bar = Progress(
        BarColumn(),
        TextColumn("{task.fields[text]}", markup=False),  # an address may hold brackets
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("", total=None, text=first_text)
    first: tuple[int, float] | None = None

    def report(done: int, total: int | None) -> None:
        nonlocal first
        now = time.perf_counter()
        # From the first rows on: before, processes start, and rows of earlier runs took no time.
        first = first or (done, now)
        rate = (done - first[0]) / (now - first[1]) if now > first[1] else 0.0
        bar.update(task, completed=done, total=total, text=describe(done, total, rate))

    with bar:
        yield report


def describe(done: int, total: int | None, rate: float) -> str:
    """Such as "12,800 of 50,000 pictures  610/s  1:01 left"; what is not known yet is left out."""
    parts = [f"{done:,} of {total:,} pictures" if total is not None else f"{done:,} pictures"]
    if rate > 0:
        parts.append(f"{rate:,.0f}/s")
        if total is not None:
            parts.append(f"{_clock((total - done) / rate)} left")
    return "  ".join(parts)


def summary(out: str | Path, totals: Totals) -> str:
    """The line at the end of a run."""
    counts = totals.counts
    line = (
        f"{out}: {totals.before + counts.all:,} rows; read {counts.read:,}, refused {counts.refused:,}, "
        f"unreadable {counts.unreadable:,}; {totals.rate:,.0f} characters a second"
    )
    return f"{line}; {totals.before:,} rows were there before" if totals.before else line


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds, such as "1:02:03"; without hours where there are none."""
    minutes, second = divmod(max(0, round(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
