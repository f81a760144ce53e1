"""Samples as squares, from worker processes that read the files themselves.

Sending a picture to a worker takes as long as reading it, or longer. So every worker reads all files, in the same
order, and normalises only those batches that it is asked for; squares alone travel between the processes. Memory stays
bounded, and one large file keeps all workers busy as well as many small ones do.

    this process: "batch 7?" -> a free worker: reads on to batch 7, normalises it -> its squares
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.charset import Charset
from hanmo.data.archive import is_zip
from hanmo.data.read import find_inputs, read_samples
from hanmo.data.sample import Sample
from hanmo.data.squares import AHEAD, NO_INK, SampleNormalizer, batches, follow_parent, stacked
from hanmo.normalize import Normalization

MOST = 8
"""Most workers that read everything: reading an archive takes a tenth of the time of normalising."""


def are_cheap(inputs: Sequence[str | Path], workers: int) -> bool:
    """Whether ``inputs`` may be read by each of so many workers: ``.gnt`` files and archives of them.

    Decoding pictures and unpacking xz take too long to be done again and again. Raises :class:`DataError` as
    :func:`hanmo.data.read.find_inputs` does.
    """
    return workers <= MOST and all(path.name.lower().endswith(".gnt") or is_zip(path) for path in find_inputs(inputs))


def squares_of_files(
    inputs: Sequence[str | Path],
    normalization: Normalization,
    charset: Charset | None,
    workers: int,
    on_bytes: Callable[[int], None] | None = None,
) -> Generator[Sample, None, None]:
    """The samples of ``inputs`` in their order, each with its square as the image, read by ``workers`` processes.

    Blank ones, and those of labels outside ``charset``, come without pixels. ``on_bytes`` is called with the bytes of
    the files that the samples of a batch took. Raises what reading raises, once the samples before have been yielded.
    """
    work = (find_inputs(inputs), SampleNormalizer(normalization, charset))
    # "spawn" starts clean processes: a fork of a process with threads may inherit a lock that nobody will release.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=work)
    waiting: deque[Future[_Answer]] = deque()
    place = 0
    try:
        for number in count():
            waiting.append(pool.submit(_answer, number))
            if len(waiting) <= workers * AHEAD:
                continue
            answer = waiting.popleft().result()
            if on_bytes:
                on_bytes(answer.place - place)
                place = answer.place
            if not answer.named:
                return
            # Views of one array: no square is copied here.
            squares = iter(answer.squares)
            for (label, source, writer), inked in zip(answer.named, answer.inked, strict=True):
                yield Sample(label, next(squares) if inked else NO_INK, source, writer)
    finally:
        pool.shutdown(cancel_futures=True)


class _Answer(NamedTuple):
    """A batch of n samples, of which m have a square; n = 0 after the last one."""

    named: list[tuple[str, str, str]]
    """The label, the source and the writer of each sample."""
    inked: list[bool]
    """Whether each sample has a square."""
    squares: NDArray[np.uint8]
    """(m, S, S), one array, since sending each square by itself would take longer than reading its picture."""
    place: int
    """Bytes of all files up to the end of the batch; as it is counted file by file, or every some hundred samples."""


class _Reader:
    """What a worker keeps: how far it has read."""

    def __init__(self, paths: list[Path], normalizer: SampleNormalizer) -> None:
        self.normalizer = normalizer
        self.place = 0
        self.batches = enumerate(batches(read_samples(paths, on_bytes=self._move)))

    def _move(self, size: int) -> None:
        self.place += size

    def batch(self, wanted: int) -> list[Sample]:
        """The samples of a batch, none after the end. The numbers that are asked for ascend."""
        return next((samples for number, samples in self.batches if number == wanted), [])


_reader: _Reader


def _start(paths: list[Path], normalizer: SampleNormalizer) -> None:
    global _reader
    follow_parent()
    _reader = _Reader(paths, normalizer)


def _answer(number: int) -> _Answer:
    samples = [_reader.normalizer.square(sample) for sample in _reader.batch(number)]
    squares, inked = stacked([sample.image for sample in samples])
    return _Answer([(s.label, s.source, s.writer) for s in samples], inked, squares, _reader.place)
