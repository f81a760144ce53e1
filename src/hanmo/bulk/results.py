"""Files of results that grow row by row, survive a kill, and appear at their place only when complete.

Until then they are in a hidden folder beside their place, the *parts*:

    .results.csv.hanmo-parts/
      state.json    the source and the options that the rows belong to
      rows          CSV and JSON lines: the file as far as it is written; Parquet: batches of Arrow rows
      done          the results are complete and at their place
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol

from hanmo.atomic import replacing, require_suffix, storing, write_whole
from hanmo.bulk.arrow import require_pyarrow
from hanmo.bulk.rows import Arrow, Csv, Encoder, JsonLines, arrow_schema
from hanmo.errors import ArgumentError, RunError
from hanmo.files import read_limited

SUFFIXES = (".parquet", ".csv", ".jsonl")

_STATE, _ROWS, _DONE = "state.json", "rows", "done"
_MAX_STATE = 1 << 20  # bytes; it holds some hundred
_GROUP_ROWS = 65_536  # most rows of a row group of a Parquet file: the size that readers expect
_GROUP_BYTES = 1 << 26  # most bytes of Arrow that become one row group: they are in memory at once
_HEAD = struct.Struct(
    "<III"
)  # before each batch of Arrow rows: how many there are, their bytes, and the CRC-32 of these
_BLOCK = 1 << 20  # bytes that are read at a time


class Results(Protocol):
    """Rows that are being stored."""

    found: int
    """The rows that were there when the results were opened."""

    def write(self, data: bytes, rows: int) -> None:
        """Store the encoded rows of one batch after those that are there."""

    def flush(self) -> None:
        """Put what is stored on the disk, so that it outlives a crash of the machine."""

    def publish(self, target: Path) -> None:
        """Put the complete results at ``target``."""


def check_target(out: str | Path, top: int) -> tuple[Path, Encoder]:
    """The place of the results, and the encoder that its suffix asks for.

    Raises :class:`ArgumentError` for another suffix, :class:`InstallationError` for Parquet without pyarrow.
    """
    target = require_suffix(out, *SUFFIXES)
    kind = target.suffix.lower()
    if kind == ".parquet":
        require_pyarrow()
        return target, Arrow()
    return target, Csv(top) if kind == ".csv" else JsonLines()


def parts_of(target: Path) -> Path:
    """The folder that holds the results until they are complete."""
    return target.with_name(f".{target.name}.hanmo-parts")


def refuse_complete(target: Path) -> None:
    """Raise :class:`ArgumentError` if there is a file at ``target``; remove the parts that it was made of."""
    if not target.exists():
        return
    parts = parts_of(target)
    if (parts / _DONE).exists():  # killed after the results were at their place
        shutil.rmtree(parts, ignore_errors=True)
    raise ArgumentError(f"{target}: exists already; name another file, or remove it")


def claim(target: Path, state: Mapping[str, Any]) -> None:
    """Begin the parts of ``target``, or check that those that are there have the same ``state``.

    ``state`` maps words for messages, such as "--top", to values. Raises :class:`RunError` where one differs.
    """
    file = parts_of(target) / _STATE
    begin_anew = f"or remove {parts_of(target)} to begin again"
    try:
        there = json.loads(read_limited(file, _MAX_STATE))
    except FileNotFoundError:
        write_whole(file, json.dumps(state, indent=1).encode())
        return
    except (OSError, ValueError) as error:
        raise RunError(f"{file}: cannot be read ({error}); remove {parts_of(target)} to begin again") from error
    changed = [name for name, value in state.items() if not isinstance(there, dict) or there.get(name) != value]
    if changed:
        raise RunError(
            f"{target}: was begun with other values of: {', '.join(changed)}; give the same as before, {begin_anew}"
        )


def open_results(target: Path, encoder: Encoder) -> Results:
    """The results that are there so far, to be continued."""
    path = parts_of(target) / _ROWS
    if isinstance(encoder, Arrow):
        return ArrowBatches(path)
    return Lines(path, encoder.header() if isinstance(encoder, Csv) else b"")


def publish(results: Results, target: Path) -> None:
    """Put complete results at their place and remove the parts. Raises :class:`StorageError`."""
    parts = parts_of(target)
    with storing(target):
        # Before the results appear: a process that is killed after that leaves parts which are known to be useless.
        (parts / _DONE).touch()
    try:
        results.publish(target)
    except BaseException:
        (parts / _DONE).unlink(missing_ok=True)
        raise
    shutil.rmtree(parts, ignore_errors=True)


class AppendedFile:
    """A file that grows batch by batch."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, data: bytes, rows: int) -> None:
        # Opened for each batch: once closed, the system has the rows, and a killed process does not take them along.
        with storing(self._path), self._path.open("ab") as file:
            file.write(data)

    def flush(self) -> None:
        with storing(self._path), self._path.open("ab") as file:
            os.fsync(file.fileno())


class Lines(AppendedFile):
    """A text file of one line a row. Whatever a killed process left after the last whole line is cut off."""

    def __init__(self, path: Path, header: bytes) -> None:
        super().__init__(path)
        with storing(path), path.open("a+b") as file:
            lines, whole = _whole_lines(file)
            file.truncate(whole)
            if header and not lines:
                file.write(header)
        self.found = max(0, lines - 1) if header else lines

    def publish(self, target: Path) -> None:
        self.flush()
        with replacing(target) as partial, storing(target):
            try:
                os.link(self._path, partial)  # the rows stay in the parts, too, until they are at their place
            except OSError:  # a file system without links
                shutil.copyfile(self._path, partial)


class ArrowBatches(AppendedFile):
    """Batches of Arrow rows in a file, which become a Parquet file when they are complete.

    A Parquet file cannot grow: the places of its columns are written at its end. Whatever a killed process left after
    the last whole batch is cut off, and so is everything from the first batch on that a crash of the machine damaged.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.found = whole = 0
        with storing(path), path.open("a+b") as file:
            for rows, data in _whole_batches(file):
                self.found, whole = self.found + rows, whole + _HEAD.size + len(data)
            file.truncate(whole)
        self._rows = self.found

    def write(self, data: bytes, rows: int) -> None:
        super().write(_HEAD.pack(rows, len(data), zlib.crc32(data)) + data, rows)
        self._rows += rows

    def publish(self, target: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = arrow_schema()
        with replacing(target) as partial:
            with storing(target), pq.ParquetWriter(partial, schema) as writer:
                for group in self._groups():
                    writer.write_table(pa.Table.from_batches(group, schema))
            with storing(target), partial.open("rb") as file:
                os.fsync(file.fileno())

    def _groups(self) -> Iterator[list[Any]]:
        """The batches of each row group. Raises :class:`RunError` where some are gone since they were written."""
        import pyarrow as pa

        group: list[Any] = []
        all_rows = in_group = held = 0
        with self._path.open("rb") as file:
            for rows, data in _whole_batches(file):
                with pa.ipc.open_stream(data) as stream:
                    group += list(stream)
                all_rows, in_group, held = all_rows + rows, in_group + rows, held + len(data)
                if in_group >= _GROUP_ROWS or held >= _GROUP_BYTES:
                    yield group
                    group, in_group, held = [], 0, 0
        if all_rows != self._rows:
            raise RunError(f"{self._path}: damaged after row {all_rows:,}; give the same command again")
        if group:
            yield group


def _whole_batches(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """How many rows each batch has, and the batch, up to the first that is not as it was written."""
    left = os.fstat(file.fileno()).st_size
    file.seek(0)
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        rows, size, checksum = _HEAD.unpack(head)
        left -= _HEAD.size + size
        # A crash of the machine may leave zeros, in the head as well.
        if not size or left < 0 or zlib.crc32(data := file.read(size)) != checksum:
            return
        yield rows, data


def _whole_lines(file: IO[bytes]) -> tuple[int, int]:
    """The number of whole lines, and where the last of them ends."""
    file.seek(0)
    lines, end, at = 0, 0, 0
    while block := file.read(_BLOCK):
        lines += block.count(b"\n")
        if (last := block.rfind(b"\n")) >= 0:
            end = at + last + 1
        at += len(block)
    return lines, end
