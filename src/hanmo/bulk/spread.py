"""Batches over the machines of a Ray cluster: Ray Data maps actors that hold a :class:`hanmo.bulk.work.Worker`.

    pieces of the source -> Fetcher (one for two of the next) -> batches of pictures -> Actor (one a core) -> rows

Ray keeps what is under way in its object store, bounded, and starts tasks and actors of a lost machine again elsewhere.
Each picture is there exactly once all the same: a task gives the same result when it runs again, and only one result
of it counts.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from hanmo.bulk.items import HasPicture, batches
from hanmo.bulk.pool import Answer
from hanmo.bulk.work import Counts, Done
from hanmo.errors import HanmoError, StorageError, WorkerError, one_line

Task = TypeVar("Task")
Thing = TypeVar("Thing", bound=HasPicture)

_BLOCK_BYTES = 1 << 20
"""Bytes after which Ray begins another block: about one batch of pictures, so that all actors get some of a file."""
_FILE_ROWS = 65_536
"""Rows of a file, but for the last ones: the size of a row group that readers of Parquet expect."""
_RETRIES = 4
"""How often a task runs again after its process ended: more often than machines are lost while it runs. Ray Data would
do so for ever, and a picture may end every process that reads it."""
_LOGGERS = ("ray.data", "ray")


def spread(
    tasks: Iterable[Task],
    items_of: Callable[[Task], Iterable[Thing]],
    work: Callable[[Sequence[Thing]], Answer],
    *,
    size: int,
    actors: int,
    encode: Callable[[Answer], Any],
) -> Any:
    """A Ray dataset: ``encode(work(batch))``, a table of Ray, of every batch of up to ``size`` items, in order.

    ``items_of`` gives the items of a task, on whatever machine; ``actors`` is the highest number of actors. There must
    be a task. The dataset is made and read within :func:`configured`.
    """
    import ray.data

    shared = ray.put((work, encode))  # every actor fetches it once
    # Each task travels alone: one list of all would go to every task, and a source has millions of names.
    rows = [{"task": Cell(task)} for task in tasks]
    # Actors start again as often as machines are lost; it is the tries of each batch that are counted.
    retries = {"max_restarts": -1, "max_task_retries": _RETRIES}
    with warnings.catch_warnings():
        # For the numbers of retries Ray has no other way yet; pyproject.toml excludes the version without this one.
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
        fetched = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Fetcher,
            fn_constructor_args=(items_of, size),
            batch_size=None,
            batch_format="numpy",
            # They wait for disks and networks and need no core: with one, they would take it from the readers. They are
            # not tasks, because Ray ends processes of tasks that have no core when they idle, and starts new ones,
            # which takes seconds of a core each time.
            num_cpus=0,
            # Each is a process that stays. It reads samples of .gnt files faster than ten readers, and asks a store for
            # many pictures at a time.
            compute=ray.data.ActorPoolStrategy(size=min(len(rows), (actors + 1) // 2)),
            **retries,
        )
        return fetched.map_batches(
            Actor,
            fn_constructor_args=(shared,),
            batch_size=1,
            batch_format="numpy",
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors, initial_size=actors),
            **retries,
        )


@dataclass(frozen=True)
class Cell:
    """A cell of a Ray dataset. Ray would make an array of a list, and columns of a tuple."""

    content: Any


class Fetcher:
    """Gives the batches of a task, one a row, as Python objects: pictures are paths, bytes, arrays or errors."""

    def __init__(self, items_of: Callable[[Any], Iterable[Any]], size: int) -> None:
        self._items_of, self._size = items_of, size

    def __call__(self, rows: Any) -> Iterator[Any]:
        for task in rows["task"]:
            for batch in batches(self._items_of(task.content), self._size):
                yield {"items": cell(batch)}


class Actor:
    """Holds the work of a process on some machine."""

    def __init__(self, shared: Any) -> None:
        import ray

        self._work, self._encode = ray.get(shared)

    def __call__(self, rows: Any) -> Iterator[Any]:
        for batch in rows["items"]:
            yield self._encode(self._work(batch.content))


def answers(dataset: Any) -> Generator[dict[str, Any], None, None]:
    """The rows of ``dataset`` as they come. Raises :class:`WorkerError`, and errors of the work as they are."""
    with _stopping():
        yield from dataset.iter_rows()


def write_parquet(dataset: Any, fs: Any, path: str, out: str) -> None:
    """Write the rows of ``dataset`` as Parquet files into the folder ``path`` of ``fs``, which is called ``out``.

    A file that is written again, after a machine was lost, has the same name. Raises as :func:`answers`, and
    :class:`StorageError` where the store refuses a file.
    """
    with _stopping(out):
        dataset.write_parquet(path, filesystem=fs, min_rows_per_file=_FILE_ROWS, ray_remote_args={"num_cpus": 0})


def table_of_rows(done: Done) -> Any:
    """The rows that :class:`hanmo.bulk.rows.Arrow` encoded, as a table."""
    import pyarrow as pa

    with pa.ipc.open_stream(done.data) as stream:
        return stream.read_all()


def table_of_batch(done: Done) -> Any:
    """A batch in one row: the encoded rows, and the counts."""
    import pyarrow as pa

    counts = {name: [number] for name, number in done.counts._asdict().items()}
    return pa.table({"data": pa.array([done.data], pa.large_binary())} | counts)


def counts_in(fs: Any, path: str) -> Counts:
    """The counts of a folder that :func:`write_parquet` made."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    rows = ds.dataset(path, filesystem=fs, format="parquet")
    unreadable = rows.count_rows(filter=pc.field("error").is_valid())
    refused = rows.count_rows(filter=pc.field("refused"))
    return Counts(rows.count_rows() - unreadable - refused, refused, unreadable)


def cell(content: Any) -> Any:
    """A column of one cell with any Python object, for a table of one row."""
    column = np.empty(1, object)
    column[0] = Cell(content)
    return column


@contextmanager
def configured() -> Iterator[None]:
    """Ray Data's settings for a run; afterwards the program that calls hanmo has its own again."""
    import ray.data

    context = ray.data.DataContext.get_current()
    places = [
        (context, "enable_progress_bars", False),
        (context, "print_on_execution_start", False),
        (context, "target_max_block_size", _BLOCK_BYTES),
        (context.execution_options, "preserve_order", True),
    ]
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before, levels = [getattr(place, name) for place, name, _ in places], [logger.level for logger in loggers]
    try:
        for place, name, value in places:
            setattr(place, name, value)
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)  # errors are raised, and need no trace beside their line
        yield
    finally:
        for (place, name, _), value in zip(places, before, strict=True):
            setattr(place, name, value)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _stopping(out: str | None = None) -> Iterator[None]:
    """Turn whatever Ray raises into one line; errors that hanmo raised on purpose on some machine pass.

    ``out`` is the folder that the machines write, if they do.
    """
    try:
        yield
    except Exception as error:  # Ray's own have no common base
        raise _cause(error, out) from error


def _cause(error: Exception, out: str | None) -> HanmoError:
    """The error of hanmo that ``error`` wraps, or else a new one. Ray's messages hold traces of many lines."""
    if isinstance(error, HanmoError) and not _is_wrapper(error):
        return error
    inner: BaseException = error
    while (next_inner := _wrapped(inner)) is not None:
        inner = next_inner
        if isinstance(inner, HanmoError) and not _is_wrapper(inner):
            # Ray Data adds lines about its own settings to the message.
            inner.args = (str(inner.args[0]).partition("\n")[0], *inner.args[1:]) if inner.args else ()
            return inner
    # A folder that is there is refused when the command is given again.
    again = "give the same command again" if out is None else f"remove {out} if it is there, and give the command again"
    # The pictures' own errors are rows, so an error of the system is one of writing. Ray's time limits are such, too.
    if out is not None and isinstance(inner, OSError) and not type(inner).__module__.startswith("ray"):
        reason = inner.strerror or one_line(inner)
        return StorageError(
            f"{out}: cannot be written ({reason}); check the address, the rights and the space, {again}"
        )
    lines = [line for line in str(error).splitlines() if line.strip()]
    return WorkerError(
        f"Ray stopped the work ({type(error).__name__}: {one_line(Exception(lines[-1] if lines else ''))}); check "
        f"that all machines have the same hanmo and enough memory, then {again}"
    )


def _is_wrapper(error: BaseException) -> bool:
    """Whether this is Ray's copy of an error: of the same class, but with a trace as its message."""
    return isinstance(getattr(error, "cause", None), BaseException)


def _wrapped(error: BaseException) -> BaseException | None:
    """The error in ``error``: Ray's have it in ``cause``, others as Python does."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, BaseException) else error.__cause__
