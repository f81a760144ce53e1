"""Reading by an :class:`hanmo.bulk.packing.Engine`: decode, read, make rows; the three at the same time, in order.

Worker processes decode and make rows, threads of this process call the engine. Of each kind a bounded number of tasks
is under way, so that memory does not grow with the number of pictures.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from hanmo.bulk.chunks import Chunk
from hanmo.bulk.packing import Answers, Engine, Finish, Header, Pack, Packed, Packer, slot_bytes
from hanmo.bulk.pool import AHEAD, naming_failures, pool_of, run
from hanmo.bulk.rows import Encoder
from hanmo.bulk.work import Done, Options
from hanmo.normalize import Normalization

CHUNK = 512
"""Pictures of a chunk: some 50 ms of decoding."""

T = TypeVar("T")


@dataclass
class Waits:
    """Seconds in which the first process waited: for decoded pictures, for the engine, for rows.

    The largest is the slowest stage. Waiting for a free part of the shared memory counts as the engine, which frees
    them. A single process decodes and makes rows itself; the seconds of that work count here. ``storing`` are those of
    the caller between two batches of rows.
    """

    pictures: float = 0.0
    engine: float = 0.0
    rows: float = 0.0
    storing: float = 0.0

    def seconds(self, stage: str, wait: Callable[[], T]) -> T:
        """``wait()``, with its seconds added to a stage."""
        start = time.perf_counter()
        try:
            return wait()
        finally:
            setattr(self, stage, getattr(self, stage) + time.perf_counter() - start)


class _Decoded(NamedTuple):
    chunk: Chunk
    slot: int
    header: Header


@dataclass
class Pipeline:
    """``processes`` decode and make rows; one is this process. ``options`` are those of a reader on the CPU.

    ``pictures`` is how many there are to read, None if unknown: few need little memory.
    """

    engine: Engine
    options: Options
    encoder: Encoder
    normalization: Normalization
    processes: int
    pictures: int | None = None
    waits: Waits = field(default_factory=Waits)

    def rows(self, chunks: Iterable[Chunk]) -> Generator[Done, None, None]:
        """The rows of every chunk, in order. Errors are those of :func:`hanmo.bulk.pool.mapped` and of the engine."""
        group = max(1, self.engine.batch // CHUNK)
        if self.pictures is not None:
            group = min(group, max(1, math.ceil(self.pictures / CHUNK)))
        ahead = 2 * self.processes
        slots = ahead + (self.engine.lanes + 2) * group
        size = slot_bytes(CHUNK, self.normalization, self.engine.normalizes)
        # From the context, so that "spawn" hands it to the processes: a file in memory, or on the disk where a
        # container has too little of that.
        memory = get_context("spawn").RawArray("B", slots * size)
        packer = Packer(self.options, self.encoder, memory, size, self.engine.normalizes)
        free: SimpleQueue[int] = SimpleQueue()
        for slot in range(slots):
            free.put(slot)
        with naming_failures(), ExitStack() as stack:
            workers = _Here(packer) if self.processes == 1 else stack.enter_context(pool_of(packer, self.processes))
            lanes = stack.enter_context(_Lanes(self.engine.lanes))
            decoded = self._decoded(chunks, workers, free, ahead)
            read = self._read(decoded, lanes, packer, free, group)
            yield from self._finished(read, workers, AHEAD * self.processes)

    def _decoded(
        self, chunks: Iterable[Chunk], workers: Executor, free: SimpleQueue[int], ahead: int
    ) -> Iterator[_Decoded]:
        def submitted() -> Iterator[tuple[Chunk, int, Future[Any]]]:
            for chunk in chunks:
                slot = self.waits.seconds("engine", free.get)
                # Timed, too: a single process does the task here and now.
                submit = partial(workers.submit, run, Pack(chunk, slot))
                yield chunk, slot, self.waits.seconds("pictures", submit)

        for chunk, slot, future in _ahead(submitted(), ahead):
            yield _Decoded(chunk, slot, self.waits.seconds("pictures", future.result))

    def _read(
        self, decoded: Iterator[_Decoded], lanes: Executor, packer: Packer, free: SimpleQueue[int], size: int
    ) -> Iterator[tuple[_Decoded, Answers]]:
        def submitted() -> Iterator[tuple[list[_Decoded], Future[Answers]]]:
            for group in _groups(decoded, size):
                yield group, lanes.submit(self._call, group, packer, free)

        for group, future in _ahead(submitted(), self.engine.lanes + 1):
            answers, start = self.waits.seconds("engine", future.result), 0
            for one in group:
                stop = start + len(one.header.fields[0])
                yield one, answers.part(start, stop)
                start = stop

    def _call(self, group: list[_Decoded], packer: Packer, free: SimpleQueue[int]) -> Answers:
        packs = [Packed(packer.pixels(one.slot, one.header.used), *one.header.fields) for one in group]

        def copied() -> None:
            for one in group:
                free.put(one.slot)

        return self.engine(packs, copied)

    def _finished(self, read: Iterator[tuple[_Decoded, Answers]], workers: Executor, ahead: int) -> Iterator[Done]:
        def submitted() -> Iterator[Future[Any]]:
            for one, answers in read:
                chunk = one.chunk if answers.unread.any() else None
                task = Finish(chunk, one.header.names, one.header.outcomes, answers)
                yield self.waits.seconds("rows", partial(workers.submit, run, task))

        for future in _ahead(submitted(), ahead):
            done = self.waits.seconds("rows", future.result)
            start = time.perf_counter()
            yield done
            self.waits.storing += time.perf_counter() - start


def _ahead(things: Iterator[T], count: int) -> Iterator[T]:
    """``things``, of which ``count`` are taken before the first is given on."""
    waiting: deque[T] = deque()
    for thing in things:
        waiting.append(thing)
        if len(waiting) >= count:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()


def _groups(things: Iterator[T], size: int) -> Iterator[list[T]]:
    group: list[T] = []
    for thing in things:
        group.append(thing)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


class _Lanes(ThreadPoolExecutor):
    """Threads that are left at an error without waiting for calls that have not begun."""

    # The base class would first make all calls that were submitted, seconds of work whose answers nobody takes.

    def __exit__(self, *error: object) -> None:
        self.shutdown(cancel_futures=True)


class _Here(Executor):
    """Does tasks at once and in this process."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self._work = work

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(self._work(*args))
        except Exception as error:
            future.set_exception(error)
        return future
