"""Parts of a source that other processes open: a chunk is small to send, or cheap to make without a look at a picture.

There is one exception: the pictures of ``.gnt.xz`` files, of zip archives and of addresses are read by this process and
sent, up to 8 MiB a chunk (:class:`Given`).

A run over a GPU reads so many pictures a second that one process could not even pass each of them on.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from hanmo.bulk.containers import gnt_items, items_of_batch, parquet_batches, unread_rest
from hanmo.bulk.items import BATCH_BYTES, Item, name_of
from hanmo.data.gnt import find_records
from hanmo.errors import DataError, ImageError


@dataclass(frozen=True)
class Chunk(ABC):
    """Some pictures of a source in a row; the first ``skip`` of them are left out."""

    skip: int

    @property
    def count(self) -> int:
        """How many pictures these are."""
        return self._whole - self.skip

    def items(self) -> list[Item]:
        """The pictures. The other process calls this; a file may have changed, so there may be fewer."""
        return list(islice(self._items(), self.skip, None))

    def without(self, count: int) -> Chunk:
        """The chunk without its first ``count`` pictures."""
        return replace(self, skip=self.skip + count)

    @property
    @abstractmethod
    def _whole(self) -> int:
        """How many pictures these are with those that are left out."""

    @abstractmethod
    def _items(self) -> Iterator[Item]:
        """All of them."""


@dataclass(frozen=True)
class Given(Chunk):
    """Pictures that are in memory, or the paths of picture files."""

    given: list[Item]

    def __init__(self, given: list[Item], skip: int = 0) -> None:
        object.__setattr__(self, "given", given)
        object.__setattr__(self, "skip", skip)

    @property
    def _whole(self) -> int:
        return len(self.given)

    def _items(self) -> Iterator[Item]:
        return iter(self.given)


@dataclass(frozen=True)
class OfGnt(Chunk):
    """``records`` samples of a plain ``.gnt`` file; sample ``first`` begins at byte ``offset``."""

    path: str
    offset: int
    first: int
    records: int

    @property
    def _whole(self) -> int:
        return self.records

    def _items(self) -> Iterator[Item]:
        return islice(gnt_items(self.path, self.offset, self.first), self.records)


@dataclass(frozen=True)
class OfParquet(Chunk):
    """Rows of a Parquet file as an Arrow stream; the number of the first is ``first``."""

    name: str
    first: int
    rows: int
    stream: bytes

    @property
    def _whole(self) -> int:
        return self.rows

    def _items(self) -> Iterator[Item]:
        import pyarrow as pa

        first = self.first
        with pa.ipc.open_stream(self.stream) as batches:
            for batch in batches:
                yield from items_of_batch(self.name, first, batch)
                first += batch.num_rows


def gnt_chunks(path: str, size: int) -> Iterator[Chunk]:
    """Chunks of up to ``size`` samples of a plain ``.gnt`` file."""
    first = 1
    try:
        for offset, records in find_records(path, size, BATCH_BYTES):
            yield OfGnt(0, path, offset, first, records)
            first += records
    except DataError as error:
        # The row with the reason is made here: a worker may be able to read the file, and would give one picture of it.
        yield Given([unread_rest(path, first, error)])


def parquet_chunks(path: str, column: str | None, size: int) -> Iterator[Chunk]:
    """Chunks of about ``size`` rows of a Parquet file."""
    name = name_of(path)
    waiting: list[Any] = []
    start = rows = held = 0
    for first, part in parquet_batches(path, column):
        error = isinstance(part, ImageError)
        if waiting and (error or rows + part.num_rows > size or held + part.nbytes > BATCH_BYTES):
            yield _of_parquet(name, start, rows, waiting)
            waiting, rows, held = [], 0, 0
        if error:
            yield Given([Item(name, first, None, part)])
            continue
        start = start if waiting else first
        waiting.append(part)
        rows, held = rows + part.num_rows, held + part.nbytes
    if waiting:
        yield _of_parquet(name, start, rows, waiting)


def _of_parquet(name: str, first: int, rows: int, batches: list[Any]) -> Chunk:
    import pyarrow as pa

    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batches[0].schema) as stream:
        for batch in batches:
            stream.write_batch(batch)
    return OfParquet(0, name, first, rows, sink.getvalue())
