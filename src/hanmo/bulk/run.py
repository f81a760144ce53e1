"""From a source to a file of results, in order, with constant memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from hanmo.atomic import sole_writer
from hanmo.bulk.items import Item, batches
from hanmo.bulk.pool import mapped, usable_cores
from hanmo.bulk.results import check_target, claim, open_results, parts_of, publish, refuse_complete
from hanmo.bulk.rows import Encoder
from hanmo.bulk.sources import Source
from hanmo.bulk.work import Counts, Done, Options, Prepared, Preparer, Worker, answer, fingerprint, finish
from hanmo.errors import ArgumentError
from hanmo.recognizer import Recognizer

_BATCH = 256
"""Pictures that go to a worker at once: some 0.5 s of work, so that sending them costs nothing to speak of."""
_GPU_BATCH = 1024
"""Squares in one run of a net on a GPU; with fewer, most of it would idle."""
_FEW = 2 * _BATCH
"""Up to so many pictures are read by this process: starting another would take longer."""

Report = Callable[[int, int | None], None]
"""Takes the rows that are stored, and the number of all, None if unknown."""


@dataclass(frozen=True)
class Totals:
    """What a run did: ``counts`` of its own rows, ``before`` rows of earlier runs, and its ``seconds`` of reading."""

    counts: Counts
    before: int
    seconds: float

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return self.counts.all / self.seconds if self.seconds else 0.0


def read_in_bulk(
    source: Source,
    out: str | Path,
    options: Options | None = None,
    *,
    processes: int | None = None,
    report: Report | None = None,
) -> Totals:
    """Read all pictures of ``source`` into the new file ``out``: ``.parquet``, ``.csv`` or ``.jsonl``, a row a picture.

    ``processes`` processes read, each on one thread; None: as many as there are cores. On a GPU this process runs the
    net, and they decode pictures and normalise them. A picture that cannot be used is a row with its error. Processes
    are started afresh, so a script needs the usual ``if __name__ == "__main__"``.

    A run that was stopped goes on where it was: call it again with the same arguments. Rows that are stored are not
    read again.

    Raises :class:`ArgumentError` for an ``out`` of another name or one that exists, :class:`RunError` where a stopped
    run had another source or other options, and where another process is writing ``out``,
    :class:`hanmo.errors.WorkerError`, :class:`StorageError`, and what :class:`Recognizer` raises.
    """
    options = options or Options()
    if processes is not None and processes < 1:
        raise ArgumentError(f"processes is {processes}; at least one is needed")
    target, encoder = check_target(out, options.top)
    refuse_complete(target)
    # Opened here, too, so that a bundle or device that cannot be used is refused before a process starts.
    reader = options.open()
    with sole_writer(parts_of(target)):
        refuse_complete(target)  # another process may have finished it before the lock was taken
        claim(target, _state(source, options, reader))
        results, before = open_results(target, encoder)
        counts, start = Counts(), time.perf_counter()
        tasks = batches(islice(source.items(), before, None), _GPU_BATCH if options.device == "cuda" else _BATCH)
        count = processes or usable_cores()
        few = source.count is not None and source.count - before <= _FEW
        try:
            with closing(_answers(tasks, options, encoder, reader, 1 if few else count)) as answers:
                for done in answers:
                    results.write(done.data, done.counts.all)
                    counts = counts.plus(done.counts)
                    if report:
                        report(before + counts.all, source.count)
        finally:
            # Also when stopped: what is complete is kept.
            results.flush()
        seconds = time.perf_counter() - start
        publish(results, target)
    return Totals(counts, before, seconds)


def _state(source: Source, options: Options, reader: Recognizer) -> dict[str, object]:
    """All that rows depend on, by the words of a message."""
    return {
        "the pictures (a file was added, removed or changed)": source.digest,
        "--column": source.column,
        "--bundle": fingerprint(reader.bundle),
        "--top": options.top,
        "--among": options.among,
    }


def _answers(
    tasks: Iterable[list[Item]], options: Options, encoder: Encoder, reader: Recognizer, processes: int
) -> Generator[Done, None, None]:
    """The rows of every batch, in order. A single process on a CPU is this one."""
    if options.device == "cpu":
        here = processes == 1
        # Other processes open a reader of their own: to send one would send its net, which is on the disk anyway.
        yield from mapped(Worker(options, encoder, reader if here else None), tasks, processes, here=here)
        return
    prepare = Preparer(reader.bundle.normalization)
    with closing(mapped(prepare, tasks, processes, here=processes == 1)) as prepared:
        yield from map(partial(_finish, reader, options, encoder), prepared)


def _finish(
    reader: Recognizer, options: Options, encoder: Encoder, prepared: tuple[list[Item], list[Prepared]]
) -> Done:
    items, squares = prepared
    return finish(items, answer(reader, squares, options), encoder)
