"""A bar on stderr for verbs that read or draw samples; gone when they are done, and never there in a log file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def reading(
    name: str, total: int | None, *, by_samples: bool = False
) -> Iterator[tuple[Callable[[int], None], Callable[[int], None]]]:
    """A progress bar and the two functions that move it.

    ``total`` is the number of bytes to read, with ``by_samples`` the number of samples, None if unknown. The first
    function takes the bytes read since its last call, the second the number of samples done in all.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[samples]:,} samples  {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task(name, total=total, samples=0, rate=0.0)
    start = time.perf_counter()

    def on_samples(done: int) -> None:
        rate = done / (time.perf_counter() - start)
        # None leaves the bar where the bytes have moved it.
        bar.update(task, samples=done, rate=rate, completed=done if by_samples else None)

    with bar:
        yield lambda consumed: bar.advance(task, consumed), on_samples
