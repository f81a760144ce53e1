"""Batches over the machines of a Ray cluster: Ray Data maps actors that hold a :class:`hanmo.bulk.work.Worker`.

    pieces of the source -> fetch (tasks) -> batches of pictures -> Actor (one a core) -> rows

Ray keeps what is under way in its object store, bounded, and starts tasks and actors of a lost machine again elsewhere.
Each picture is there exactly once all the same: a task gives the same result when it runs again, and only one result
of it counts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from hanmo.bulk.items import Item, batches
from hanmo.bulk.pool import Answer
from hanmo.errors import HanmoError, WorkerError, one_line

Task = TypeVar("Task")

_BLOCK_BYTES = 1 << 20
"""Bytes after which Ray begins another block: about one batch of pictures, so that all actors get some of a file."""
_FILE_ROWS = 65_536
"""Rows of a file, but for the last ones: the size of a row group that readers of Parquet expect."""


def spread(
    tasks: Iterable[Task],
    items_of: Callable[[Task], Iterable[Item]],
    work: Callable[[Sequence[Item]], Answer],
    *,
    size: int,
    actors: int,
    encode: Callable[[Answer], Any],
) -> Any:
    """A Ray dataset: ``encode(work(batch))``, a pyarrow table, of every batch of up to ``size`` items, in order.

    ``items_of`` gives the items of a task, on whatever machine; ``actors`` is the highest number of actors.
    """
    import pyarrow as pa
    import ray.data

    _configure(ray.data.DataContext.get_current())
    # Objects that every process fetches once. Ray holds them as long as this process.
    shared, listed = ray.put((work, encode)), ray.put(every := list(tasks))
    blocks = [ray.put(pa.table({"task": [number]})) for number in range(len(every))]
    # Tasks that wait for disks and networks need no core: with one, they would take turns with the actors, which hold
    # all cores.
    fetched = ray.data.from_arrow_refs(blocks).map_batches(
        _fetch,
        fn_kwargs={"listed": listed, "items_of": items_of, "size": size},
        batch_size=None,
        batch_format="numpy",
        num_cpus=0,
        concurrency=actors,
    )
    return fetched.map_batches(
        Actor,
        fn_constructor_args=(shared,),
        batch_size=1,
        batch_format="numpy",
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors, initial_size=actors),
    )


@dataclass(frozen=True)
class Batch:
    """A cell of a Ray dataset. Ray would make an array of a list."""

    items: Sequence[Item]


class Actor:
    """Holds the work of a process on some machine."""

    def __init__(self, shared: Any) -> None:
        import ray

        self._work, self._encode = ray.get(shared)

    def __call__(self, rows: Any) -> Iterator[Any]:
        for batch in rows["items"]:
            yield self._encode(self._work(batch.items))


def answers(dataset: Any) -> Iterator[dict[str, Any]]:
    """The rows of ``dataset`` as they come. Raises :class:`WorkerError`, and errors of the work as they are."""
    with _stopping():
        yield from dataset.iter_rows()


def write_parquet(dataset: Any, fs: Any, path: str) -> None:
    """Write the rows of ``dataset`` as Parquet files into the folder ``path`` of ``fs``. Raises as :func:`answers`.

    A file that is written again, after a machine was lost, has the same name.
    """
    with _stopping():
        dataset.write_parquet(path, filesystem=fs, min_rows_per_file=_FILE_ROWS, ray_remote_args={"num_cpus": 0})


def _fetch(rows: Any, listed: Any, items_of: Callable[[Any], Iterable[Item]], size: int) -> Iterator[Any]:
    """Batches of a task, one a row, as Python objects: pictures are paths, bytes, arrays or errors."""
    import ray

    tasks = ray.get(listed)
    for number in rows["task"]:
        for batch in batches(items_of(tasks[number]), size):
            cell = np.empty(1, object)
            cell[0] = Batch(batch)
            yield {"items": cell}


def _configure(context: Any) -> None:
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = True
    context.target_max_block_size = _BLOCK_BYTES
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # errors are raised, and need no trace beside their line


@contextmanager
def _stopping() -> Iterator[None]:
    """Turn whatever Ray raises into one line; errors that hanmo raised on purpose on some machine pass."""
    try:
        yield
    except Exception as error:  # Ray's own have no common base
        raise _cause(error) from error


def _cause(error: Exception) -> HanmoError:
    """The error of hanmo that ``error`` wraps, or else a new one. Ray's messages hold traces of many lines."""
    inner: BaseException | None = error
    while inner is not None:
        cause = getattr(inner, "cause", None)
        if isinstance(cause, HanmoError):
            # Ray Data adds lines about its own settings to the message.
            cause.args = (str(cause.args[0]).partition("\n")[0], *cause.args[1:]) if cause.args else ()
            return cause
        inner = cause if isinstance(cause, BaseException) else inner.__cause__
    if isinstance(error, HanmoError):
        return error
    lines = [line for line in str(error).splitlines() if line.strip()]
    return WorkerError(
        f"Ray stopped the reading ({type(error).__name__}: {one_line(Exception(lines[-1] if lines else ''))}); check "
        "that all machines have the same hanmo and enough memory, then give the same command again"
    )
