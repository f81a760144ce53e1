"""Batching: pictures of all clients are collected for a moment and read in one run of the net."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hanmo.prediction import Prediction
from hanmo.serve.problems import busy

Predict = Callable[[NDArray[np.uint8], int, list[str | None]], list[Prediction]]
"""Squares (N, S, S), the number of candidates, and what each square is to be chosen among -> N predictions."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    square: NDArray[np.uint8]
    top: int
    among: str | None
    arrived: float
    answer: asyncio.Future[Prediction]


class Batcher:
    """Reads squares in batches: ``threads`` runs of the net at once, at most ``size`` squares in each.

    A batch is read when it is full or its first square has waited for ``window`` seconds, and a thread is free. Start
    and close it in the event loop that submits to it.
    """

    def __init__(
        self, predict: Predict, *, size: int, window: float, threads: int, observe: Callable[[int], None]
    ) -> None:
        self._predict, self._size, self._window = predict, size, window
        self._observe = observe
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="hanmo-net")
        self._threads = threads
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._gathering = asyncio.Lock()
        self._workers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._workers = [asyncio.create_task(self._work()) for _ in range(self._threads)]

    async def close(self) -> None:
        """Stop reading; pictures that wait are cancelled."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        while not self._queue.empty():
            self._queue.get_nowait().answer.cancel()
        # Without waiting: a run of the net cannot be stopped, and nobody waits for its answers any more.
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def running(self) -> bool:
        return bool(self._workers) and not any(worker.done() for worker in self._workers)

    def submit(self, square: NDArray[np.uint8], top: int, among: str | None = None) -> asyncio.Future[Prediction]:
        """Queue a square and return its future prediction; one cancelled before its batch begins is not read."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(square, top, among, loop.time(), loop.create_future())
        self._queue.put_nowait(waiting)
        return waiting.answer

    async def _work(self) -> None:
        while True:
            async with self._gathering:  # one at a time, or several would share out what makes one batch
                batch = await self._gather()
            if wanted := [waiting for waiting in batch if not waiting.answer.done()]:
                await self._read(wanted)

    async def _gather(self) -> list[_Waiting]:
        batch = [await self._queue.get()]
        # From its arrival, not from now: while all threads were busy, it has waited already.
        until = batch[0].arrived + self._window
        while len(batch) < self._size:
            # A timer is only set where nothing waits; pictures that are there already are taken at once.
            if self._queue.empty():
                try:
                    async with asyncio.timeout_at(until):
                        batch.append(await self._queue.get())
                except TimeoutError:
                    break
            else:
                batch.append(self._queue.get_nowait())
        return batch

    async def _read(self, batch: list[_Waiting]) -> None:
        self._observe(len(batch))
        squares = np.stack([waiting.square for waiting in batch])
        # One number for the whole run of the net; each answer is cut to what its client asked for below.
        top = max(waiting.top for waiting in batch)
        among = [waiting.among for waiting in batch]
        try:
            loop = asyncio.get_running_loop()
            predictions = await loop.run_in_executor(self._pool, self._predict, squares, top, among)
        except Exception as error:  # whatever it is, it belongs to those who wait, and the next batch is read
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return
        for waiting, prediction in zip(batch, predictions, strict=True):
            if not waiting.answer.done():  # its client may have gone
                waiting.answer.set_result(replace(prediction, candidates=prediction.candidates[: waiting.top]))


class Places:
    """A bounded waiting room: a picture holds a place from its arrival to its answer."""

    def __init__(self, places: int) -> None:
        self._places = places
        self.taken = 0

    @property
    def full(self) -> bool:
        return self.taken >= self._places

    @contextmanager
    def hold(self) -> Iterator[Callable[[int], None]]:
        """Take a place; call the result with the number of further ones. All are freed at the end.

        Raises :class:`hanmo.serve.problems.RefusedError` (503) when there are not so many left.
        """
        held = 0

        def take(places: int) -> None:
            nonlocal held
            # Checked and taken without an await in between, so no other request can take the same place.
            if self.taken + places > self._places:
                raise busy()
            self.taken += places
            held += places

        take(1)
        try:
            yield take
        finally:
            self.taken -= held
