"""Where pictures come from: folders, globs, picture files, ``.gnt``, zip and Parquet, in a stable order."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby, islice
from pathlib import Path
from typing import IO, NamedTuple

from hanmo.bulk.addresses import fetch, find, is_address, local_copy, name_in, once
from hanmo.bulk.chunks import Chunk, Given, gnt_chunks, parquet_chunks
from hanmo.bulk.containers import count_gnt, count_parquet, gnt_items, is_gnt, is_parquet, is_zip, parquet_items
from hanmo.bulk.items import Item, batches, name_of
from hanmo.bulk.temporary import storing_temporarily
from hanmo.errors import DataError, ImageError
from hanmo.files import exists, is_folder
from hanmo.image import SUFFIXES

_READ = 1 << 16  # bytes of the list that are read at a time
_FETCHED = 64  # pictures that are fetched from a store at a time; 64 of the largest allowed size are 1 GiB


class Piece(NamedTuple):
    """A file of a source, of which the first ``skip`` pictures are left out."""

    path: str
    skip: int = 0


class Source:
    """The pictures that ``inputs`` stand for, in a stable order.

    An input is a picture, a ``.gnt``, ``.gnt.xz`` or ``.parquet`` file, a zip archive of ``.gnt`` files, a folder, or a
    glob. A folder stands for the pictures and ``.gnt`` files in it and its sub-folders, by name; hidden ones are left
    out. ``column`` names the column of Parquet files that holds the pictures. An input may also be an address that
    fsspec knows, such as ``s3://bucket/scans``.

    The files are listed once, into a temporary file: memory holds the names of one folder at a time, or all names that
    a glob matches. Files that come later are not read. ``count`` is the number of pictures, None where only reading
    would tell. ``digest`` changes with the name, the size and the time of any file.

    Raises :class:`DataError` for an input that names nothing, :class:`InstallationError` for Parquet without pyarrow,
    :class:`StorageError` where the list cannot be stored.
    """

    def __init__(self, inputs: Sequence[str | Path], *, column: str | None = None) -> None:
        self.column = column
        self.count: int | None = 0
        digest = hashlib.sha256()
        with storing_temporarily():
            self._names: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (it lives as long as the source)
        weakref.finalize(self, self._names.close)
        for item in inputs:
            found = False
            for path, version in _found(str(item)):
                found = True
                self._add(path, version, digest)
            if not found:
                raise DataError(f"{name_of(item)}: a folder without pictures or .gnt files; name another one")
        if not inputs:
            raise DataError("no input; name pictures, folders, .gnt or .parquet files")
        self.digest = digest.hexdigest()
        if self.count == 0:
            raise DataError(f"{name_of(inputs[0])}: holds no pictures; name another file")

    def items(self) -> Iterator[Item]:
        """Every picture; nothing is read of picture files on this machine, only their paths are given."""
        return items_of(map(Piece, self._listed()), self.column)

    def pieces(self, before: int, size: int) -> Iterator[list[Piece]]:
        """The source without its first ``before`` pictures, in lists of ``size`` picture files or one larger file.

        :func:`items_of` all lists gives the items in their order.
        """
        waiting: list[Piece] = []
        for path in self._listed():
            skip = 0
            if before:
                # Counted by reading: a damaged file gives fewer pictures than its headers promise.
                there = 1 if _is_picture(path) else sum(1 for _ in islice(_contained(path, self.column), before + 1))
                skip = min(there, before)
                before -= skip
                if skip == there:
                    continue
            waiting.append(Piece(path, skip))
            if len(waiting) == size or not _is_picture(path):
                yield waiting
                waiting = []
        if waiting:
            yield waiting

    def chunks(self, before: int, size: int) -> Iterator[Chunk]:
        """The source without its first ``before`` pictures, in chunks of up to ``size``, which other processes open.

        Of plain ``.gnt`` and of Parquet files this process looks at no single picture.
        """
        for chunk in self._chunks(size):
            if before < chunk.count:
                yield chunk.without(before) if before else chunk
            before = max(0, before - chunk.count)

    def _chunks(self, size: int) -> Iterator[Chunk]:
        for kind, paths in groupby(self._listed(), key=_kind):
            if kind == "gnt":
                for path in paths:
                    yield from gnt_chunks(path, size)
            elif kind == "parquet":
                for path in paths:
                    yield from parquet_chunks(path, self.column, size)
            else:
                yield from map(Given, batches(items_of(map(Piece, paths), self.column), size))

    def _add(self, path: str, version: str | None, digest: hashlib._Hash) -> None:
        name = os.fsencode(path)
        if version is None:
            version = "0 0"
            with suppress(OSError):  # a broken link: it becomes a row with an error
                facts = os.stat(path)  # noqa: PTH116  (a Path for each of millions takes longer than the call)
                version = f"{facts.st_size} {facts.st_mtime_ns}"
        digest.update(b"%s\0%s\n" % (name, version.encode()))
        with storing_temporarily():
            self._names.write(name + b"\0")
        count: int | None = 1
        if _is_gnt(path):
            count = None if is_address(path) else count_gnt(path)
        elif is_parquet(name_in(path)):
            count = count_parquet(path, self.column)
        self.count = None if self.count is None or count is None else self.count + count

    def _listed(self) -> Iterator[str]:
        with storing_temporarily():  # whatever of the list is still in memory is written now
            self._names.flush()
        self._names.seek(0)
        rest = b""
        while block := self._names.read(_READ):
            *names, rest = (rest + block).split(b"\0")
            yield from map(os.fsdecode, names)


def items_of(pieces: Iterable[Piece], column: str | None, folder: str = "") -> Iterator[Item]:
    """The pictures of ``pieces``. Picture files at addresses are fetched, some at a time.

    ``folder`` is the one that relative paths start from; if not given, the working directory.
    """
    for distant, group in groupby(pieces, key=lambda piece: is_address(piece.path) and _is_picture(piece.path)):
        if distant:
            while few := [piece.path for piece in islice(group, _FETCHED)]:
                for path, picture in zip(few, fetch(few), strict=True):
                    yield Item(name_of(path), None, None, picture)
        else:
            for path, skip in group:
                if _is_picture(path):
                    yield Item(name_of(path), None, None, _placed(path, folder))
                else:
                    name = name_of(path)
                    contained = islice(_contained(_placed(path, folder), column), skip, None)
                    yield from (item._replace(file=name) for item in contained)


def _placed(path: str, folder: str) -> str:
    return path if is_address(path) else os.path.join(folder, path)  # noqa: PTH118  (a Path would change "./a.png")


def _is_gnt(path: str) -> bool:
    """Whether a path, or an address, is that of a ``.gnt`` file or of a zip archive of these."""
    name = Path(name_in(path))
    return is_gnt(name) or is_zip(name)


def _is_picture(path: str) -> bool:
    return not (_is_gnt(path) or is_parquet(name_in(path)))


def _kind(path: str) -> str:
    """Which function makes chunks of a file."""
    if is_parquet(name_in(path)):
        return "parquet"
    return "gnt" if path.lower().endswith(".gnt") and not is_address(path) else "items"


def _contained(path: str, column: str | None) -> Iterator[Item]:
    """The pictures of a file of many."""
    if is_parquet(name_in(path)):
        yield from parquet_items(path, column)
    elif not is_address(path):
        yield from gnt_items(path)
    else:
        name = name_of(path)
        try:
            with local_copy(path) as copy:
                yield from gnt_items(copy)
        except DataError as error:
            yield Item(name, 1, None, ImageError(str(error).removeprefix(f"{name}: ")))


def _found(item: str) -> Iterator[tuple[str, str | None]]:
    """The files of an input, each with its version; None where only asking for it would tell."""
    if is_address(item):
        yield from find(item, _is_wanted, _is_named)
    else:
        yield from ((path, None) for path in _files_of(item))


def _files_of(item: str) -> Iterator[str]:
    if is_folder(Path(item)):
        yield from _files_below(item)
    elif exists(Path(item)):
        yield item
    else:
        matches: list[str] = []
        with suppress(OSError, ValueError):  # a name longer than the file system allows, or with a zero byte
            matches = sorted(glob.glob(item, recursive=True))  # noqa: PTH207  (absolute patterns, too)
        wanted = [match for match in matches if _is_wanted(match) or _is_named(match) or is_folder(Path(match))]
        if not wanted:
            raise DataError(f"{name_of(item)}: no such file or folder, and no glob that matches pictures")
        found = (path for match in wanted for path in (_files_below(match) if is_folder(Path(match)) else [match]))
        # Only ** matches a folder and the files in it.
        yield from once(found) if "**" in item else found


def _files_below(folder: str) -> Iterator[str]:
    """Pictures and ``.gnt`` files of a folder, depth first, by name.

    Parquet files in it are not read: results may lie among the pictures. Nor are zip archives: they often lie beside
    their unpacked files.
    """
    # Folders may be nested deeper than Python lets functions call themselves.
    opened = [_entries(folder)]
    while opened:
        entry = next(opened[-1], None)
        if entry is None:
            opened.pop()
        elif entry[1]:
            opened.append(_entries(entry[0]))
        else:
            yield entry[0]


def _entries(folder: str) -> Iterator[tuple[str, bool]]:
    """The paths in a folder that count, by name, and whether each is a folder."""
    try:
        with os.scandir(folder) as entries:
            # Links to folders are not followed: they may lead in circles.
            found = sorted(
                (entry.name, entry.is_dir(follow_symlinks=False))
                for entry in entries
                if not entry.name.startswith(".") and (_is_wanted(entry.name) or entry.is_dir(follow_symlinks=False))
            )
    except OSError as error:
        remedy = "use shorter names" if error.errno == errno.ENAMETOOLONG else "check its permissions"
        raise DataError(f"{name_of(folder)}: cannot be listed ({error.strerror}); {remedy}") from error
    return ((os.path.join(folder, name), is_dir) for name, is_dir in found)  # noqa: PTH118  (as above)


def _is_wanted(name: str) -> bool:
    name = name_in(name)
    return os.path.splitext(name)[1].lower() in SUFFIXES or is_gnt(Path(name))  # noqa: PTH122  (as above)


def _is_named(name: str) -> bool:
    """Whether a file is read only where it is named or matches a glob, and not as part of a folder."""
    name = name_in(name)
    return is_parquet(name) or is_zip(Path(name))
