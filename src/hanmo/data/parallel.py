"""Samples as squares, from worker processes that read the files themselves.

Sending a picture to a worker takes as long as reading it, or longer. So every worker reads all files, in the same
order, and normalises only those batches that it is asked for; squares alone travel between the processes. Memory stays
bounded, and one large file keeps all workers busy as well as many small ones do.

    this process: "batch 7?" -> a free worker: reads on to batch 7, normalises it -> its squares
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
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
from hanmo.data.squares import AHEAD, NO_INK, SampleNormalizer, batches, follow_parent, naming_failures, stacked
from hanmo.errors import DataError
from hanmo.normalize import Normalization

MAX_WORKERS = 8
"""Most workers that read everything: reading an archive takes a tenth of the time of normalising."""


def can_be_read_by_each(inputs: Sequence[str | Path], workers: int) -> bool:
    """Whether ``inputs`` may be read by each of so many workers: ``.gnt`` files and archives of them.

    Decoding pictures and unpacking xz take too long to be done again and again. Raises :class:`DataError` as
    :func:`hanmo.data.read.find_inputs` does.
    """
    if workers > MAX_WORKERS:
        return False
    return all(path.name.lower().endswith(".gnt") or is_zip(path) for path in find_inputs(inputs))


def squares_of_files(
    inputs: Sequence[str | Path],
    normalization: Normalization,
    charset: Charset | None,
    workers: int,
    on_bytes: Callable[[int], None] | None = None,
) -> Generator[Sample, None, None]:
    """The samples of ``inputs`` in their order, each with its square as the image, read by ``workers`` processes.

    Blank ones, and those of labels outside ``charset``, come without pixels. ``on_bytes`` is called with the bytes of
    the files that the samples of a batch took. Raises what reading raises, once the whole batches before have been
    yielded; :class:`DataError` for a file that changes meanwhile, and :class:`WorkerError`.
    """
    work = ([_File.at(path) for path in find_inputs(inputs)], SampleNormalizer(normalization, charset))
    # "spawn" starts clean processes: a fork of a process with threads may inherit a lock that nobody will release.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=work)
    waiting: deque[Future[_Answer]] = deque()
    place = 0
    try:
        for number in count():
            waiting.append(pool.submit(_answer, number))
            if len(waiting) <= workers * AHEAD:
                continue
            with naming_failures():
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
    """Bytes of all files up to about the end of the batch: they are counted every 256 samples, or member by member."""


class _File(NamedTuple):
    """A file as it was before the workers were started: they must all read the same samples."""

    path: Path
    state: tuple[int, int, int]
    """Size, time of the last change and number of the file."""

    @classmethod
    def at(cls, path: Path) -> _File:
        return cls(path, _state(path))

    def require_unchanged(self) -> None:
        if _state(self.path) != self.state:
            raise DataError(f"{self.path}: changed while it was read; pack again when it is complete")


def _state(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    return found.st_size, found.st_mtime_ns, found.st_ino


class _Reader:
    """What a worker keeps: how far it has read."""

    def __init__(self, files: list[_File], normalizer: SampleNormalizer) -> None:
        self.normalizer = normalizer
        self.place = 0
        self.batches = enumerate(batches(self._samples(files)))

    def _samples(self, files: list[_File]) -> Iterator[Sample]:
        for file in files:
            file.require_unchanged()
            yield from read_samples([file.path], on_bytes=self._move)
            file.require_unchanged()

    def _move(self, size: int) -> None:
        self.place += size

    def batch(self, wanted: int) -> list[Sample]:
        """The samples of a batch, none after the end. The numbers that are asked for ascend."""
        return next((samples for number, samples in self.batches if number == wanted), [])


_reader: _Reader


def _start(files: list[_File], normalizer: SampleNormalizer) -> None:
    global _reader
    follow_parent()
    _reader = _Reader(files, normalizer)


def _answer(number: int) -> _Answer:
    samples = [_reader.normalizer.square(sample) for sample in _reader.batch(number)]
    squares, inked = stacked([sample.image for sample in samples])
    return _Answer([(s.label, s.source, s.writer) for s in samples], inked, squares, _reader.place)
