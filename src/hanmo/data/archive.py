"""Zip archives of ``.gnt`` or ``.pot`` files, as CASIA distributes them: one file a writer, perhaps in a folder.

Members are read as a stream; nothing is unpacked to the disk. Archives come from others, so the directory of an archive
is checked before the first member is read: its size, the names, the way of compression, and the sizes that it states.
A deflated stream can unpack to a thousand times its size; these checks bound the work by the size of the file.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from hanmo.errors import DataError
from hanmo.files import open_file

SUFFIX = ".zip"

GNT = (".gnt", ".gnt.xz")
"""How the names of members end that are read by default; others, such as a description of the data, are left out."""

_PACKED = (".zip", ".alz", ".egg", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst")
"""Names of archives within the archive: to leave them out without a word could lose all samples."""

_MAX_DIRECTORY = 1 << 20
"""Bytes of the directory, and so of any single read from the file: CASIA's 240 writers need 20 KB. The module zipfile
takes some ten times as much memory."""

_MAX_RATIO = 100
"""How often its packed size a member may have unpacked; scans of CASIA have about 3, drawn characters about 12."""

_SMALL = 1 << 20
"""Bytes up to which a member may have any ratio: a few pictures of plain paper are no bomb."""

_PART = 1 << 16
"""Bytes unpacked at a time."""

_ENCRYPTED = 0x1 | 0x40  # bits of a member's flags: the usual encryption, and the strong one
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others can unpack to gigabytes in a single step
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError)
"""What zipfile raises for a damaged archive; RuntimeError stands for features that it lacks, ValueError for names in
another encoding."""

Member = zipfile.ZipInfo


def is_zip(path: Path) -> bool:
    """Whether the name of ``path`` ends like that of a zip archive."""
    return path.name.lower().endswith(SUFFIX)


def name_of(member: Member) -> str:
    """The name of a member without its folders."""
    return _parts(member)[-1]


def check_archive(path: Path) -> None:
    """Raise :class:`DataError` for an archive that :func:`open_members` would refuse."""
    with open_members(path):
        pass


@contextmanager
def open_members(path: Path, suffixes: tuple[str, ...] = GNT) -> Iterator[tuple[zipfile.ZipFile, list[Member]]]:
    """The open archive and its members of ``suffixes`` in natural order: ``2-c.gnt`` before ``10-c.gnt``.

    Raises :class:`DataError` for a file that is no zip archive, for one whose directory lies or is too large, and for
    one with encrypted members, other archives or no file of ``suffixes`` in it.
    """
    try:
        file = open_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    with file:
        archive = _open(file, path)
        with archive:
            yield archive, _samples(archive.infolist(), path, _size(file), suffixes)


def open_member(archive: zipfile.ZipFile, member: Member) -> BinaryIO:
    """The uncompressed bytes of a member. Reading raises :class:`zipfile.BadZipFile` for any damage."""
    # A C buffer makes the two small reads of a record cheap.
    return io.BufferedReader(_Unpacked(archive, member), 1 << 18)


class _Unpacked(io.RawIOBase):
    """A member as a stream that must end exactly at the size that the directory states."""

    def __init__(self, archive: zipfile.ZipFile, member: Member) -> None:
        self._missing = member.file_size
        try:
            self._stream = archive.open(member)
        except (*_ZIP_ERRORS, OSError) as error:
            raise zipfile.BadZipFile(_reason(error)) from error

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` as far as the data reaches; 0 at the end."""
        try:
            data = self._stream.read(min(len(buffer), _PART))
        except _ZIP_ERRORS as error:
            raise zipfile.BadZipFile(_reason(error)) from error
        self._missing -= len(data)
        # zipfile compares the checksum at the end, but takes a stream that ends early for a whole one.
        if not data and self._missing:
            raise zipfile.BadZipFile(f"it ends {self._missing:,} bytes early")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed and hasattr(self, "_stream"):
            self._stream.close()
        super().close()


class _Guarded(io.RawIOBase):
    """A file that refuses to read much at once: zipfile reads a directory of any size in one call."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size) if 0 <= size <= _MAX_DIRECTORY else self._file.read(_MAX_DIRECTORY + 1)
        if len(data) > _MAX_DIRECTORY:
            raise zipfile.BadZipFile(f"its directory is larger than {_MAX_DIRECTORY >> 20} MiB")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True


def _open(file: BinaryIO, path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(_Guarded(file))
    except (*_ZIP_ERRORS, OSError) as error:
        raise DataError(f"{path}: truncated, or no zip archive ({_reason(error)}); fetch it again") from error


def _samples(members: Sequence[Member], path: Path, size: int, suffixes: tuple[str, ...]) -> list[Member]:
    """The members of ``suffixes``, checked, in natural order. ``size`` is that of the archive in bytes."""
    found: dict[tuple[str, ...], Member] = {}
    for member in members:
        parts = _parts(member)
        name = parts[-1].lower()
        # A Mac adds a file ._NAME with its own notes for every file.
        if member.filename.endswith("/") or name.startswith("."):
            continue
        if name.endswith(suffixes):
            _check(member, path)
            if found.setdefault(parts, member) is not member:
                raise DataError(f"{path}: {member.filename} is in it twice; fetch the archive again")
        elif name.endswith(_PACKED):
            raise DataError(
                f"{path}: holds another archive ({member.filename}); unpack that one, and name the {suffixes[0]} files "
                "or their folder"
            )
    if not found:
        raise DataError(f"{path}: no {suffixes[0]} file in it; is this the archive of the samples?")
    # Members that share their bytes would be read again and again: so a small file unpacks to petabytes.
    if sum(member.compress_size for member in found.values()) > size:
        raise DataError(f"{path}: its members together are larger than the archive; fetch it again")
    return [found[parts] for parts in sorted(found, key=_natural)]


def _check(member: Member, path: Path) -> None:
    where = f"{path}: {member.filename}"
    parts = _parts(member)
    if not member.filename.isprintable() or ".." in parts or not parts[0] or ":" in parts[0]:
        raise DataError(f"{where}: no name of a file within an archive; fetch it again")
    if member.flag_bits & _ENCRYPTED:
        raise DataError(f"{where}: is encrypted; unpack the archive with its password, and name the folder")
    if member.compress_type not in _METHODS:
        raise DataError(
            f"{where}: compressed by method {member.compress_type}, but only stored (0) and deflated (8) members are "
            "read; unpack the archive, and name the folder"
        )
    if member.file_size > max(_SMALL, _MAX_RATIO * member.compress_size):
        raise DataError(
            f"{where}: would unpack to {member.file_size:,} bytes, more than {_MAX_RATIO} times its size; "
            "name an archive of samples, or unpack this one and name the folder"
        )


def _parts(member: Member) -> tuple[str, ...]:
    # Some programs for Windows separate folders by backslashes.
    return tuple(member.filename.rstrip("/").replace("\\", "/").split("/"))


def _natural(parts: tuple[str, ...]) -> tuple[list[list[tuple[int, str]]], tuple[str, ...]]:
    """A key for sorting by names in which runs of digits count as numbers; the names decide between equal ones."""
    # A number is compared by its length, then by its digits: int() of thousands of digits is slow, or refused.
    runs = [[run.lstrip("0") if run.isdecimal() else run for run in re.split(r"(\d+)", part)] for part in parts]
    return [[(len(run) if at % 2 else 0, run) for at, run in enumerate(part)] for part in runs], parts


def _size(file: BinaryIO) -> int:
    return file.seek(0, io.SEEK_END)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
