"""Where pictures come from: folders, globs, picture files, ``.gnt`` and Parquet, in a stable order."""

from __future__ import annotations

import glob
import hashlib
import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from hanmo.atomic import storing
from hanmo.bulk.containers import count_gnt, count_parquet, gnt_items, is_gnt, is_parquet, parquet_items
from hanmo.bulk.items import Item, name_of
from hanmo.errors import DataError
from hanmo.files import exists, is_folder
from hanmo.image import SUFFIXES

_READ = 1 << 16  # bytes of the list that are read at a time


class Source:
    """The pictures that ``inputs`` stand for, in a stable order.

    An input is a picture, a ``.gnt``, ``.gnt.xz`` or ``.parquet`` file, a folder, or a glob. A folder stands for the
    pictures and ``.gnt`` files in it and its sub-folders, by name; hidden ones are left out. ``column`` names the
    column of Parquet files that holds the pictures.

    The files are listed once, into a temporary file: memory holds the names of one folder at a time, and files that
    come later are not read. ``count`` is the number of pictures, None where only reading would tell. ``digest``
    changes with the name, the size and the time of any file.

    Raises :class:`DataError` for an input that names nothing, :class:`InstallationError` for Parquet without pyarrow.
    """

    def __init__(self, inputs: Sequence[str | Path], *, column: str | None = None) -> None:
        self.column = column
        self.count: int | None = 0
        digest = hashlib.sha256()
        self._names: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (it lives as long as the source)
        weakref.finalize(self, self._names.close)
        for item in inputs:
            found = False
            for path in _files_of(str(item)):
                found = True
                self._add(path, digest)
            if not found:
                raise DataError(f"{name_of(item)}: a folder without pictures or .gnt files; name another one")
        if not inputs:
            raise DataError("no input; name pictures, folders, .gnt or .parquet files")
        self.digest = digest.hexdigest()
        if self.count == 0:
            raise DataError(f"{name_of(inputs[0])}: holds no pictures; name another file")

    def items(self) -> Iterator[Item]:
        """Every picture; nothing is read of picture files, only their paths are given."""
        for path in self._listed():
            if is_gnt(Path(path)):
                yield from gnt_items(path)
            elif is_parquet(path):
                yield from parquet_items(path, self.column)
            else:
                yield Item(name_of(path), None, None, path)

    def _add(self, path: str, digest: hashlib._Hash) -> None:
        name = os.fsencode(path)
        size, changed = 0, 0
        with suppress(OSError):  # a broken link: it becomes a row with an error
            facts = os.stat(path)  # noqa: PTH116  (a Path for each of millions takes longer than the call)
            size, changed = facts.st_size, facts.st_mtime_ns
        digest.update(b"%s\0%d %d\n" % (name, size, changed))
        with storing(Path(tempfile.gettempdir())):
            self._names.write(name + b"\0")
        count: int | None = 1
        if is_gnt(Path(path)):
            count = count_gnt(path)
        elif is_parquet(path):
            count = count_parquet(path, self.column)
        self.count = None if self.count is None or count is None else self.count + count

    def _listed(self) -> Iterator[str]:
        self._names.flush()
        self._names.seek(0)
        rest = b""
        while block := self._names.read(_READ):
            *names, rest = (rest + block).split(b"\0")
            yield from map(os.fsdecode, names)


def _files_of(item: str) -> Iterator[str]:
    if is_folder(Path(item)):
        yield from _files_below(item)
    elif exists(Path(item)):
        yield item
    else:
        matches: list[str] = []
        with suppress(OSError, ValueError):  # a name longer than the file system allows, or with a zero byte
            matches = sorted(glob.glob(item, recursive=True))  # noqa: PTH207  (absolute patterns, too)
        wanted = [match for match in matches if _is_wanted(match) or is_parquet(match) or is_folder(Path(match))]
        if not wanted:
            raise DataError(f"{name_of(item)}: no such file or folder, and no glob that matches pictures")
        for match in wanted:
            yield from _files_below(match) if is_folder(Path(match)) else [match]


def _files_below(folder: str) -> Iterator[str]:
    """Pictures and ``.gnt`` files of a folder, depth first, by name.

    Parquet files in it are not read: results may lie among the pictures.
    """
    try:
        with os.scandir(folder) as entries:
            # Links to folders are not followed: they may lead in circles.
            found = sorted(
                (entry.name, entry.is_dir(follow_symlinks=False))
                for entry in entries
                if not entry.name.startswith(".") and (_is_wanted(entry.name) or entry.is_dir(follow_symlinks=False))
            )
    except OSError as error:
        raise DataError(f"{name_of(folder)}: cannot be listed ({error.strerror}); check its permissions") from error
    for name, is_dir in found:
        path = os.path.join(folder, name)  # noqa: PTH118  (as above)
        if is_dir:
            yield from _files_below(path)
        else:
            yield path


def _is_wanted(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES or is_gnt(Path(name))  # noqa: PTH122  (as above)
