"""From a source to a file of results, in order, with constant memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from hanmo.atomic import sole_writer
from hanmo.bulk.addresses import filesystem, is_address, shown
from hanmo.bulk.arrow import require_pyarrow
from hanmo.bulk.cluster import check_address, connected
from hanmo.bulk.items import Item, batches
from hanmo.bulk.packing import Engine, check_engine
from hanmo.bulk.pipeline import CHUNK, Pipeline, Waits
from hanmo.bulk.pool import mapped, usable_cores
from hanmo.bulk.results import check_target, claim, open_results, parts_of, publish, refuse_complete
from hanmo.bulk.rows import Arrow, Encoder
from hanmo.bulk.sources import Piece, Source, items_of
from hanmo.bulk.spread import (
    answers,
    configured,
    counts_in,
    spread,
    table_of_batch,
    table_of_rows,
    write_parquet,
)
from hanmo.bulk.work import Counts, Done, Options, Prepared, Preparer, Worker, answer, fingerprint, finish
from hanmo.errors import ArgumentError, StorageError, one_line
from hanmo.recognizer import Recognizer

_BATCH = 256
"""Pictures that go to a worker at once: some 0.5 s of work, so that sending them costs nothing to speak of."""
_GPU_BATCH = 1024
"""Squares in one run of a net on a GPU; with fewer, most of it would idle."""
_LONGEST_PIECE = 2048
"""Picture files of a task over Ray: some seconds of work, so that millions of pictures are thousands of tasks."""
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
    waits: Waits | None = None
    """Where a run with an engine waited."""

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
    ray: str | None = None,
    engine: Engine | None = None,
) -> Totals:
    """Read all pictures of ``source`` into the new file ``out``: ``.parquet``, ``.csv`` or ``.jsonl``, a row a picture.

    ``processes`` processes read, each on one thread; None: as many as there are cores. On a GPU this process runs the
    net, and they decode pictures and normalise them. A picture that cannot be used is a row with its error. Processes
    are started afresh, so a script needs the usual ``if __name__ == "__main__"``.

    A run that was stopped goes on where it was: call it again with the same arguments. Rows that are stored are not
    read again.

    With ``ray``, the address of a Ray cluster ("local" starts one here), its machines read, ``processes`` at a time.
    Then ``out`` may also be an address that fsspec knows, such as ``s3://bucket/results.parquet``: a folder of Parquet
    files, which the machines write. Then ``report`` is not called, and a stopped run does not go on: remove the folder
    before you call it again.

    With ``engine``, such as :func:`hanmo.gpu.open_engine` gives, it reads, and the processes decode pictures and make
    rows; ``options`` must be those that it was made for. It does not go with ``ray``.

    Raises :class:`ArgumentError` for an ``out`` of another name or one that exists and for an engine of other options,
    :class:`RunError` where a stopped run had another source or other options, and where another process is writing
    ``out``, :class:`hanmo.errors.WorkerError`, :class:`StorageError`, and what :class:`Recognizer` raises.
    """
    options = options or Options()
    if processes is not None and processes < 1:
        raise ArgumentError(f"processes is {processes}; at least one is needed")
    if ray is not None:
        if engine is not None:
            raise ArgumentError("ray reads on CPUs; leave out the engine, or ray")
        check_ray(ray, options)
    if is_address(str(out)):
        return _read_to_address(source, str(out), options, ray, processes)
    target, encoder = check_target(out, options.top)
    refuse_complete(target)
    # Opened here, too, so that a bundle or device that cannot be used is refused before a process starts.
    reader = options.open()
    if engine is not None:
        check_engine(engine, options, reader.bundle)
    with ExitStack() as stack:
        # Before the parts are begun, so that a cluster that does not answer leaves nothing behind.
        actors = stack.enter_context(connected(ray, processes)) if ray is not None else None
        stack.enter_context(sole_writer(parts_of(target)))
        refuse_complete(target)  # another process may have finished it before the lock was taken
        claim(target, _state(source, options, reader))
        results = open_results(target, encoder)
        before, counts, pipeline, start = results.found, Counts(), None, time.perf_counter()
        try:
            if engine is not None:
                pipeline = _pipeline(engine, source, before, options, encoder, reader, processes)
                answered = pipeline.rows(source.chunks(before, CHUNK))
            else:
                answered = _answers(source, before, options, encoder, reader, processes, actors)
            with closing(answered) as done_batches:
                for done in done_batches:
                    results.write(done.data, done.counts.all)
                    counts = counts.plus(done.counts)
                    if report:
                        report(before + counts.all, source.count)
        except BaseException:
            results.flush()  # what is complete is kept
            raise
        seconds = time.perf_counter() - start
        publish(results, target)
    return Totals(counts, before, seconds, pipeline.waits if pipeline else None)


def _state(source: Source, options: Options, reader: Recognizer) -> dict[str, object]:
    """All that rows depend on, by the words of a message."""
    return {
        "the pictures (a file was added, removed or changed)": source.digest,
        "--column": source.column,
        "--bundle": fingerprint(reader.bundle),
        "--top": options.top,
        "--among": options.among,
    }


def check_out(out: str, ray: str | None) -> None:
    """Check an ``out`` that is an address, before anything is read.

    Raises :class:`ArgumentError` where it is no ``.parquet``, exists, or there is no ``ray``.
    """
    if ray is None:
        raise ArgumentError(f"{shown(out)}: only --ray writes to an address; add --ray local, or name a file")
    if not out.lower().endswith(".parquet"):
        raise ArgumentError(
            f"{shown(out)}: at an address --ray writes a folder of Parquet files; let its name end in .parquet, or "
            "name a file of this machine, which may be .csv or .jsonl as well"
        )
    require_pyarrow()
    fs, path = filesystem(out)
    try:
        there = fs.exists(path)
    except Exception as error:  # each store has errors of its own, without a common base
        raise StorageError(f"{shown(out)}: does not answer ({one_line(error)}); check the address") from error
    if there:
        raise ArgumentError(f"{shown(out)}: exists already; name another folder, or remove it")


def check_ray(ray: str, options: Options) -> None:
    """Raise :class:`ArgumentError` where ``ray`` is no address, or ``options`` do not go with it."""
    check_address(ray)
    if options.device != "cpu":
        raise ArgumentError(f"--ray reads on CPUs, not on {options.device}; leave out --device, or --ray")


def _read_to_address(source: Source, out: str, options: Options, ray: str | None, processes: int | None) -> Totals:
    check_out(out, ray)
    assert ray is not None  # check_out() refuses it
    fs, path = filesystem(out)
    reader = options.open()
    with connected(ray, processes) as actors, configured():
        start = time.perf_counter()
        pieces = _pieces(source, 0, actors)
        write_parquet(_spread(source, pieces, options, Arrow(), reader, actors, table_of_rows), fs, path, shown(out))
        seconds = time.perf_counter() - start
    try:
        counts = counts_in(fs, path)
        # The mark that other programs look for, too; readers of Parquet leave out names with an underscore.
        fs.pipe_file(f"{path.rstrip('/')}/_SUCCESS", b"")
    except Exception as error:  # as in check_out()
        raise StorageError(
            f"{shown(out)}: cannot be completed ({one_line(error)}); check the rights and the space, remove this "
            "folder, and give the command again"
        ) from error
    return Totals(counts, 0, seconds)


def _pieces(source: Source, before: int, actors: int) -> Iterator[list[Piece]]:
    """The tasks for Ray."""
    # Of few pictures every actor gets some.
    left = _LONGEST_PIECE * actors if source.count is None else source.count - before
    return source.pieces(before, min(_LONGEST_PIECE, max(1, left // (2 * actors))))


def _spread(
    source: Source,
    pieces: Iterable[list[Piece]],
    options: Options,
    encoder: Encoder,
    reader: Recognizer,
    actors: int,
    encode: Callable[[Done], Any],
) -> Any:
    # The bundle goes along: the other machines may not have the folder.
    worker = Worker(replace(options, bundle=reader.bundle), encoder)
    # Ray's processes work in the folder where Ray was started.
    opened = partial(items_of, column=source.column, folder=str(Path.cwd()))
    return spread(pieces, opened, worker, size=_BATCH, actors=actors, encode=encode)


def _over_ray(
    source: Source, before: int, options: Options, encoder: Encoder, reader: Recognizer, actors: int
) -> Iterator[Done]:
    pieces = _pieces(source, before, actors)
    first = next(pieces, None)
    if first is None:  # all was read before the run was stopped
        return
    with configured():
        every = chain([first], pieces)
        for row in answers(_spread(source, every, options, encoder, reader, actors, table_of_batch)):
            yield Done(row["data"], Counts(*(row[name] for name in Counts._fields)))


def _answers(
    source: Source,
    before: int,
    options: Options,
    encoder: Encoder,
    reader: Recognizer,
    processes: int | None,
    actors: int | None,
) -> Generator[Done, None, None]:
    """The rows of every batch, in order. A single process on a CPU is this one; ``actors`` are those of Ray."""
    if actors is not None:
        yield from _over_ray(source, before, options, encoder, reader, actors)
        return
    tasks = batches(islice(source.items(), before, None), _GPU_BATCH if options.device == "cuda" else _BATCH)
    processes = _processes(source, before, processes)
    if options.device == "cpu":
        here = processes == 1
        # Other processes open a reader of their own: to send one would send its net, which is on the disk anyway.
        yield from mapped(Worker(options, encoder, reader if here else None), tasks, processes, here=here)
        return
    prepare = Preparer(reader.bundle.normalization)
    with closing(mapped(prepare, tasks, processes, here=processes == 1)) as prepared:
        yield from map(partial(_finish, reader, options, encoder), prepared)


def _processes(source: Source, before: int, processes: int | None) -> int:
    few = source.count is not None and source.count - before <= _FEW
    return 1 if few else processes or usable_cores()


def _pipeline(
    engine: Engine,
    source: Source,
    before: int,
    options: Options,
    encoder: Encoder,
    reader: Recognizer,
    processes: int | None,
) -> Pipeline:
    processes = _processes(source, before, processes)
    left = None if source.count is None else source.count - before
    return Pipeline(engine, options, encoder, reader.bundle.normalization, processes, left)


def _finish(
    reader: Recognizer, options: Options, encoder: Encoder, prepared: tuple[list[Item], list[Prepared]]
) -> Done:
    items, squares = prepared
    return finish(items, answer(reader, squares, options), encoder)
