"""What CASIA's two kinds of sample files have in common: records one after another, without a file header.

:mod:`hanmo.data.gnt` has pictures, :mod:`hanmo.data.pot` pen strokes. Both are read as a stream: plain,
xz-compressed or from a zip archive. Errors name the byte at which a damaged record begins.
"""

from __future__ import annotations

import io
import lzma
import re
import struct
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Generic, NamedTuple, TypeVar

from hanmo.atomic import replacing, writing
from hanmo.data.archive import name_of, open_member, open_members
from hanmo.data.xz import Unpacked
from hanmo.errors import DataError, RecordError
from hanmo.files import open_file

Content = TypeVar("Content")

# Bytes that are unpacked at a time: a megabyte holds some hundred samples.
_BUFFER = 1 << 20
# Samples between two reports of progress: a report for each would cost more than reading it.
_REPORT_EVERY = 256
# "1241-c", "C001-f": the writer's number, then a letter for the set.
_WRITER = re.compile(r"([A-Za-z]?\d{3,5})-[a-z]")


class Record(NamedTuple, Generic[Content]):
    """One sample: its character, what it shows, the name of its file, and the writer's number where it is known."""

    label: str
    content: Content
    source: str
    writer: str


class RecordStream(ABC, Generic[Content]):
    """The records of one file, from its uncompressed bytes; ``offset`` is where the current record begins.

    A subclass knows the ``header`` of a record, whose first field is the size of the whole record, how to read the rest
    of it, and the error that damage becomes.
    """

    header: ClassVar[struct.Struct]

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._read = file.read
        if path.name.lower().endswith(".xz"):
            # A C buffer makes the two small reads of a record cheap.
            self._read = io.BufferedReader(Unpacked(file), _BUFFER).read
        self.path = path
        self.offset = 0

    @abstractmethod
    def record(self, *fields: Any) -> tuple[str, Content]:
        """The label and the content of the record whose header holds ``fields``."""

    @abstractmethod
    def error(self, reason: str) -> RecordError:
        """The error for damage to the current record."""

    def __iter__(self) -> Iterator[tuple[str, Content]]:
        """Label and content of each record in turn."""
        whole = self.header.size
        if not (head := self.read(whole)):
            raise self.error("the file is empty; fetch it again")
        while head:
            if len(head) < whole:
                raise self.error(f"truncated: {len(head)} of a record's {whole} header bytes; fetch it again")
            fields = self.header.unpack(head)
            yield self.record(*fields)
            self.offset += fields[0]
            head = self.read(whole)

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes, fewer only at the end; what the file system or a decoder refuses is :meth:`error`."""
        try:
            return self._read(size)
        except (lzma.LZMAError, EOFError) as error:
            raise self.error(f"the xz stream is damaged ({error}); fetch the file again") from error
        except zipfile.BadZipFile as error:
            raise self.error(f"damaged in the archive ({error}); fetch the archive again") from error
        except OSError as error:
            raise self.error(f"the disk cannot read it ({error.strerror})") from error


def read_file(
    stream: type[RecordStream[Content]],
    path: Path,
    on_bytes: Callable[[int], None] | None = None,
    *,
    offset: int = 0,
) -> Iterator[Record[Content]]:
    """Stream the records of one file; ``on_bytes`` gets the (compressed) bytes that were read since its last call.

    Of a plain file, the records from byte ``offset`` on.
    """
    try:
        file = open_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    writer = writer_of_name(path)
    with file:
        reported = offset
        if offset:
            file.seek(offset)
        records = stream(file, path)
        records.offset = offset
        for number, (label, content) in enumerate(records):
            if on_bytes and number % _REPORT_EVERY == 0:
                on_bytes(file.tell() - reported)
                reported = file.tell()
            yield Record(label, content, path.name, writer)
        if on_bytes:
            on_bytes(file.tell() - reported)


def read_archive(
    stream: type[RecordStream[Content]],
    path: Path,
    suffixes: tuple[str, ...],
    on_bytes: Callable[[int], None] | None = None,
    part: slice = slice(None),
) -> Iterator[Record[Content]]:
    """Stream the records of all files in a zip archive whose names end in ``suffixes``, in their natural order.

    ``part`` chooses some of these files.
    """
    with open_members(path, suffixes) as (archive, members):
        size, reported = path.stat().st_size, 0
        for member in members[part]:
            where, name = path / member.filename, name_of(member)
            writer = writer_of_name(Path(name))
            try:
                file = open_member(archive, member)
            except zipfile.BadZipFile as error:
                reason = f"damaged in the archive ({error}); fetch the archive again"
                raise stream(io.BytesIO(), where).error(reason) from error
            with file:
                for label, content in stream(file, where):
                    yield Record(label, content, name, writer)
            # A member at a time: some megabytes. The order of the names need not be that of the bytes in the file.
            if on_bytes:
                on_bytes(member.compress_size)
                reported += member.compress_size
        if on_bytes:
            on_bytes(size - reported)  # the directory, and what is no sample


def write_records(path: Path, records: Iterable[bytes]) -> int:
    """Write records and return their number; xz-compressed when so named. The file appears only when complete.

    Raises :class:`DataError` for no records, :class:`StorageError`.
    """
    count = 0
    # Compressed record by record, so that memory does not grow with the file.
    packer = lzma.LZMACompressor() if path.name.lower().endswith(".xz") else None
    with replacing(path) as partial, writing(partial, path) as write:
        for record in records:
            write(packer.compress(record) if packer else record)
            count += 1
        if not count:
            raise DataError(f"{path}: no samples to write; a sample file holds at least one")
        if packer:
            write(packer.flush())
    return count


def writer_of_name(path: Path) -> str:
    """The writer's number in a file name of CASIA's pattern (``1241-c.gnt`` -> ``"1241"``), else ``""``."""
    match = _WRITER.fullmatch(path.name.partition(".")[0])
    return match[1] if match else ""
