"""Normalises samples batch by batch, in their order, in this process or in several worker processes."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.charset import Charset
from hanmo.data.sample import Sample
from hanmo.errors import BlankImageError, WorkerError
from hanmo.normalize import Normalization

# Enough that sending a batch to a worker costs little against normalising it.
_BATCH_SAMPLES = 256
_BATCH_PIXELS = 32_000_000  # bounds the memory of a batch of huge pictures
AHEAD = 3
"""Batches in flight a worker: enough to keep it busy, few enough to bound the memory."""


Normalize = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""A picture uint8 (H, W) -> its square (S, S); raises :class:`BlankImageError`. A :class:`Normalization` is one."""

NO_INK = np.empty((0, 0), np.uint8)
"""Stands for the square of a blank picture."""


def already_normalized(square: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The square as it is, for samples that were normalised on other machines."""
    if not square.size:
        raise BlankImageError("the picture is blank")
    return square


@dataclass(frozen=True)
class SampleNormalizer:
    """Normalises samples away from the process that writes the pack; it is sent there once."""

    normalization: Normalization
    charset: Charset | None

    def square(self, sample: Sample) -> Sample:
        """The sample with its square as the image; without pixels where it has no ink, or another label."""
        # What is skipped, or refused, by its label needs no square; the process with the pack decides that.
        if self.charset is not None and sample.label not in self.charset:
            return sample._replace(image=NO_INK)
        try:
            return sample._replace(image=self.normalization(sample.image))
        except BlankImageError:
            return sample._replace(image=NO_INK)


class Squares(NamedTuple):
    """``images`` is uint8 (n, S, S), ink bright: the squares of the ``samples`` with ink; ``blank`` ones have none."""

    samples: list[Sample]
    images: NDArray[np.uint8]
    blank: list[Sample]


def normalized(samples: Iterable[Sample], normalization: Normalize, workers: int = 0) -> Iterator[Squares]:
    """Normalise samples in their order, in constant memory; ``workers`` = 0 stays on this process.

    Workers are started afresh, so a script that asks for them needs the usual ``if __name__ == "__main__"``. Raises
    :class:`WorkerError` for one that ends by itself.
    """
    if workers < 1:
        for batch in batches(samples):
            yield _gather(batch, *_squares(normalization, [s.image for s in batch]))
        return
    # "spawn" starts clean processes: a fork of a process with threads may inherit a lock that nobody will release.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=follow_parent)
    waiting: deque[tuple[list[Sample], Future[tuple[NDArray[np.uint8], list[bool]]]]] = deque()
    try:
        for batch in batches(samples):
            waiting.append((batch, pool.submit(_squares, normalization, [s.image for s in batch])))
            # The oldest batch goes out first, so that the order is that of the samples, whichever worker is done first.
            if len(waiting) > workers * AHEAD:
                yield _gathered(*waiting.popleft())
        while waiting:
            yield _gathered(*waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def naming_failures(
    remedy: str = "give the command again, perhaps with fewer --workers",
) -> Iterator[None]:
    """Raise :class:`WorkerError`, which names the ``remedy``, where a worker of a pool ends by itself."""
    try:
        yield
    except BrokenProcessPool as error:
        raise WorkerError(f"a worker process ended by itself, perhaps because the memory was full; {remedy}") from error


def batches(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    """Lists of successive samples: 256 of them, or fewer where the pictures are huge."""
    batch: list[Sample] = []
    pixels = 0
    for sample in samples:
        batch.append(sample)
        pixels += sample.image.size
        if len(batch) == _BATCH_SAMPLES or pixels >= _BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _squares(normalization: Normalize, images: list[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], list[bool]]:
    """The :func:`stacked` squares of all images. Runs in a worker."""
    squares: list[NDArray[np.uint8]] = []
    for image in images:
        try:
            squares.append(normalization(image))
        except BlankImageError:
            squares.append(NO_INK)
    return stacked(squares)


def stacked(squares: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], list[bool]]:
    """Squares as one array (m, S, S) without the blank ones, and which of the n were not blank.

    One array is sent between processes in a fraction of the time that the squares take one by one.
    """
    inked = [square for square in squares if square.size]
    return np.stack(inked) if inked else np.empty((0, 0, 0), np.uint8), [bool(square.size) for square in squares]


def _gathered(samples: list[Sample], future: Future[tuple[NDArray[np.uint8], list[bool]]]) -> Squares:
    with naming_failures():
        return _gather(samples, *future.result())


def _gather(samples: list[Sample], images: NDArray[np.uint8], inked: list[bool]) -> Squares:
    return Squares(
        samples=[sample for sample, has_ink in zip(samples, inked, strict=True) if has_ink],
        images=images,
        blank=[sample for sample, has_ink in zip(samples, inked, strict=True) if not has_ink],
    )


def follow_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it ends: a worker of a killed parent would wait for work forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    # sys.exit() would end this thread only, while the main thread waits for work that never comes.
    os._exit(1)
