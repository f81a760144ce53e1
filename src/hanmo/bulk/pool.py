"""Worker processes that answer batches in their order, with a bounded number of them under way."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, TypeVar

from hanmo.data import squares
from hanmo.data.squares import follow_parent
from hanmo.errors import WorkerError

Task = TypeVar("Task")
Answer = TypeVar("Answer")

AHEAD = 3
"""Batches under way for a worker: one in work, and enough waiting that no worker waits for the slowest one."""


def usable_cores() -> int:
    """The cores that this process may use; a container or ``taskset`` may allow fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def mapped(
    work: Callable[[Task], Answer], tasks: Iterable[Task], processes: int, *, here: bool = False
) -> Generator[Answer, None, None]:
    """``work`` of every task, in the order of the tasks, by ``processes`` processes, each with its own ``work``.

    ``here`` does it in this process instead. Errors of ``work`` are raised here. Raises :class:`WorkerError` where a
    process ends by itself or memory runs out.
    """
    with naming_failures():
        yield from map(work, tasks) if here else _spread(work, tasks, processes)


@contextmanager
def naming_failures() -> Iterator[None]:
    """Raise :class:`WorkerError` where a process ends by itself or memory runs out."""
    try:
        with squares.naming_failures("the same command goes on from here, perhaps with fewer --processes"):
            yield
    except MemoryError as error:
        raise WorkerError(
            "the memory was full; end other programs, or use fewer --processes, and give the same command again: it "
            "goes on from here"
        ) from error


@contextmanager
def pool_of(work: Callable[[Any], Any], processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that have ``work``: they do :func:`run`. Tasks that have not begun at the end are dropped."""
    # "spawn" starts clean processes: a fork of a process with threads may inherit a lock that nobody will release.
    pool = ProcessPoolExecutor(processes, get_context("spawn"), initializer=_start, initargs=(work,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _spread(work: Callable[[Task], Answer], tasks: Iterable[Task], processes: int) -> Iterator[Answer]:
    waiting: deque[Future[Any]] = deque()
    with pool_of(work, processes) as pool:
        for task in tasks:
            waiting.append(pool.submit(run, task))
            if len(waiting) >= processes * AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


_work: Callable[[Any], Any]


def _start(work: Callable[[Any], Any]) -> None:
    global _work
    follow_parent()
    # Pillow warns about damaged metadata, which changes no pixel.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    _work = work


def run(task: Any) -> Any:
    """What a process of :func:`pool_of` does with a task."""
    return _work(task)
