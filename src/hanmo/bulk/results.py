"""Files of results that grow row by row, survive a kill, and appear at their place only when complete.

Until then they are in a hidden folder beside their place, the *parts*:

    .results.csv.hanmo-parts/
      state.json                the source and the options that the rows belong to
      rows                      CSV and JSON lines: the file as far as it is written
      000000065536.parquet      Parquet: a file of up to so many rows; its name is the number of rows before it
      done                      the results are complete and at their place
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Protocol

from hanmo.atomic import replacing, require_suffix, storing, write_whole
from hanmo.bulk.arrow import require_pyarrow
from hanmo.bulk.rows import Arrow, Csv, Encoder, JsonLines, arrow_schema
from hanmo.errors import ArgumentError, RunError, one_line
from hanmo.files import read_limited

SUFFIXES = (".parquet", ".csv", ".jsonl")

_STATE, _ROWS, _DONE = "state.json", "rows", "done"
_MAX_STATE = 1 << 20  # bytes; it holds some hundred
_SHARD_ROWS, _SHARD_BYTES, _SHARD_SECONDS = 65_536, 1 << 26, 10.0
"""A file of Parquet rows is complete at so many rows, or bytes, or after so long: so much a killed process loses."""
_GROUP_ROWS = 65_536  # rows of a row group in the joined file: the size that readers of Parquet expect
_BLOCK = 1 << 20  # bytes that are read at a time


class Results(Protocol):
    """Rows that are being stored."""

    def write(self, data: bytes, rows: int) -> None:
        """Store the encoded rows of one batch after those that are there."""

    def flush(self) -> None:
        """Store what :meth:`write` has kept in memory."""

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


def open_results(target: Path, encoder: Encoder) -> tuple[Results, int]:
    """The results that are there so far, to be continued, and the number of their rows."""
    parts = parts_of(target)
    if isinstance(encoder, Arrow):
        shards = Shards(parts)
        return shards, shards.start
    lines = Lines(parts / _ROWS, encoder.header() if isinstance(encoder, Csv) else b"")
    return lines, lines.found


def publish(results: Results, target: Path) -> None:
    """Put complete results at their place and remove the parts. Raises :class:`StorageError`."""
    parts = parts_of(target)
    with storing(target):
        # Before the results appear: a process that is killed after that leaves parts which are known to be useless.
        (parts / _DONE).touch()
    results.publish(target)
    shutil.rmtree(parts, ignore_errors=True)


class Lines:
    """A text file of one line a row. Whatever a killed process left after the last whole line is cut off."""

    def __init__(self, path: Path, header: bytes) -> None:
        self._path = path
        with storing(path), path.open("a+b") as file:
            lines, whole = _whole_lines(file)
            file.truncate(whole)
            if header and not lines:
                file.write(header)
        self.found = max(0, lines - 1) if header else lines

    def write(self, data: bytes, rows: int) -> None:
        # Opened for each batch: once closed, the system has the rows, and a killed process does not take them along.
        with storing(self._path), self._path.open("ab") as file:
            file.write(data)

    def flush(self) -> None:
        with storing(self._path), self._path.open("ab") as file:
            os.fsync(file.fileno())

    def publish(self, target: Path) -> None:
        self.flush()
        with replacing(target) as partial, storing(target):
            try:
                os.link(self._path, partial)  # the rows stay in the parts, too, until they are at their place
            except OSError:  # a file system without links
                shutil.copyfile(self._path, partial)


class Shards:
    """Files of many rows of Parquet, which are joined at the end."""

    def __init__(self, parts: Path) -> None:
        self._parts = parts
        self._batches: list[Any] = []
        self._rows, self._bytes, self._since = 0, 0, time.monotonic()
        self.start = 0
        for path in self._paths():
            # Each was renamed to its place when complete, so it is either whole or not there.
            if int(path.stem) != self.start:
                raise RunError(f"{parts}: rows from {self.start:,} on are missing; remove this folder to begin again")
            self.start += _rows_in(path)

    def write(self, data: bytes, rows: int) -> None:
        import pyarrow as pa

        with pa.ipc.open_stream(data) as stream:
            self._batches += list(stream)
        self._rows, self._bytes = self._rows + rows, self._bytes + len(data)
        full = self._rows >= _SHARD_ROWS or self._bytes >= _SHARD_BYTES
        if full or time.monotonic() - self._since > _SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        # No call comes between storing the rows and dropping them here: Ctrl-C arrives at calls, and the rows would be
        # stored again, under the name that follows. Before that, they would be stored again under the same name.
        now, rows = time.monotonic(), self._rows
        if self._batches:
            path = self._parts / f"{self.start:012d}.parquet"
            # Not synced to the disk, for which a fast run would wait. The system has the rows all the same, so a killed
            # process does not take them along.
            with replacing(path) as partial, storing(path):
                pq.write_table(pa.Table.from_batches(self._batches, arrow_schema()), partial)
        self.start, self._batches = self.start + rows, []
        self._rows, self._bytes, self._since = 0, 0, now

    def publish(self, target: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.flush()
        with replacing(target) as partial:
            with storing(target), pq.ParquetWriter(partial, arrow_schema()) as writer:
                tables: list[Any] = []
                for path in self._paths():
                    tables.append(pq.read_table(path))
                    if sum(table.num_rows for table in tables) >= _GROUP_ROWS:
                        writer.write_table(pa.concat_tables(tables))
                        tables = []
                if tables:
                    writer.write_table(pa.concat_tables(tables))
            with storing(target), partial.open("rb") as file:
                os.fsync(file.fileno())

    def _paths(self) -> list[Path]:
        return sorted(self._parts.glob("[0-9]*.parquet"))


def _rows_in(path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowInvalid) as error:
        raise RunError(f"{path}: damaged ({one_line(error)}); remove {path.parent} to begin again") from error


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
