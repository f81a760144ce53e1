"""CASIA's ``.gnt`` files of offline characters, plain or xz-compressed, and zip archives of them.

No file header; a record is u32 size (10 + W·H), a two-byte GB tag (high byte first, ASCII padded with NUL),
u16 W, u16 H and W·H bytes of grey, row by row, 255 = paper. Numbers are little-endian.
"""

from __future__ import annotations

import io
import lzma
import re
import struct
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hanmo.atomic import replacing, writing
from hanmo.data.archive import name_of, open_member, open_members
from hanmo.data.sample import Sample
from hanmo.data.xz import Unpacked
from hanmo.errors import CharsetError, DataError, GntError
from hanmo.files import open_file
from hanmo.image import MAX_PIXELS

SUFFIXES = (".gnt", ".gnt.xz")

# "<": little-endian without padding between the fields, 10 bytes in all.
_HEADER = struct.Struct("<I2sHH")
# Bytes that are unpacked at a time: a megabyte holds some hundred samples.
_BUFFER = 1 << 20
# Samples between two reports of progress: a report for each would cost more than reading it.
_REPORT_EVERY = 256
# "1241-c", "C001-f": the writer's number, then a letter for the set.
_WRITER = re.compile(r"([A-Za-z]?\d{3,5})-[a-z]")


def is_gnt(path: Path) -> bool:
    """Whether the name of ``path`` ends like that of a sample file."""
    return path.name.lower().endswith(SUFFIXES)


def read_gnt(path: str | Path, on_bytes: Callable[[int], None] | None = None) -> Iterator[Sample]:
    """Stream the samples of one file in its order, in constant memory; images are read-only.

    ``source`` is the file's name, ``writer`` the number in a name like CASIA's ``1241-c.gnt``. ``on_bytes`` is
    called with the number of bytes of the file (compressed, where it is) that were read since its last call.

    Raises :class:`GntError` with the byte offset of the damaged record in the uncompressed stream.
    """
    path = Path(path)
    try:
        file = open_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    writer = writer_of_name(path)
    with file:
        reported = 0
        for number, (label, image) in enumerate(_records(_Stream(file, path))):
            if on_bytes and number % _REPORT_EVERY == 0:
                on_bytes(file.tell() - reported)
                reported = file.tell()
            yield Sample(label, image, path.name, writer)
        if on_bytes:
            on_bytes(file.tell() - reported)


def read_zip(path: str | Path, on_bytes: Callable[[int], None] | None = None) -> Iterator[Sample]:
    """Stream the samples of all ``.gnt`` files in a zip archive, in the natural order of their names.

    Samples and ``on_bytes`` are those of :func:`read_gnt` for the unpacked files; folders in the archive do not matter.

    Raises :class:`DataError` for an archive that is damaged or that :mod:`hanmo.data.archive` refuses,
    :class:`GntError` with the byte offset in the unpacked member for a damaged one.
    """
    path = Path(path)
    with open_members(path) as (archive, members):
        size, reported = path.stat().st_size, 0
        for member in members:
            where, name = path / member.filename, name_of(member)
            writer = writer_of_name(Path(name))
            try:
                file = open_member(archive, member)
            except zipfile.BadZipFile as error:
                raise GntError(f"damaged in the archive ({error}); fetch the archive again", where, 0) from error
            with file:
                for label, image in _records(_Stream(file, where)):
                    yield Sample(label, image, name, writer)
            # A member at a time: some megabytes. The order of the names need not be that of the bytes in the file.
            if on_bytes:
                on_bytes(member.compress_size)
                reported += member.compress_size
        if on_bytes:
            on_bytes(size - reported)  # the directory, and what is no sample


def write_gnt(path: str | Path, samples: Iterable[Sample]) -> int:
    """Write samples (image uint8 (H, W), 255 = paper) and return their number; xz-compressed when so named.

    The file appears only when complete. Raises :class:`CharsetError` for a label without a two-byte GB code,
    :class:`DataError` for an image the format cannot hold or for no samples, :class:`StorageError`.
    """
    path = Path(path)
    count = 0
    # Compressed record by record, so that memory does not grow with the file.
    packer = lzma.LZMACompressor() if path.name.lower().endswith(".xz") else None
    with replacing(path) as partial, writing(partial, path) as write:
        for count, sample in enumerate(samples, start=1):
            record = _record(sample, path, count)
            write(packer.compress(record) if packer else record)
        if not count:
            raise DataError(f"{path}: no samples to write; a sample file holds at least one")
        if packer:
            write(packer.flush())
    return count


def writer_of_name(path: Path) -> str:
    """The writer's number in a file name of CASIA's pattern (``1241-c.gnt`` -> ``"1241"``), else ``""``."""
    match = _WRITER.fullmatch(path.name.partition(".")[0])
    return match[1] if match else ""


def is_character(text: str) -> bool:
    """Whether ``text`` can be a label: one character, but no control, surrogate or character of private use."""
    return len(text) == 1 and text != "\N{REPLACEMENT CHARACTER}" and unicodedata.category(text)[0] != "C"


class _Stream:
    """The uncompressed bytes of a file, with the offset of the record being read; damage becomes a GntError."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._read = file.read
        if path.name.lower().endswith(".xz"):
            # A C buffer makes the two small reads of a record cheap.
            self._read = io.BufferedReader(Unpacked(file), _BUFFER).read
        self._path = path
        self.offset = 0

    def read(self, size: int) -> bytes:
        try:
            return self._read(size)
        except (lzma.LZMAError, EOFError) as error:
            raise self.error(f"the xz stream is damaged ({error}); fetch the file again") from error
        except zipfile.BadZipFile as error:
            raise self.error(f"damaged in the archive ({error}); fetch the archive again") from error
        except OSError as error:
            raise self.error(f"the disk cannot read it ({error.strerror})") from error

    def error(self, reason: str) -> GntError:
        return GntError(reason, self._path, self.offset)


def _records(stream: _Stream) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    if not (head := stream.read(_HEADER.size)):
        raise stream.error("the file is empty; fetch it again")
    while head:
        if len(head) < _HEADER.size:
            raise stream.error(f"truncated: {len(head)} of a record's {_HEADER.size} header bytes; fetch it again")
        size, tag, width, height = _HEADER.unpack(head)
        area = width * height
        if not area or area > MAX_PIXELS:
            raise stream.error(f"a picture of {width} x {height} pixels cannot be; is this a .gnt file?")
        # Size, width and height must agree. In a file of another kind, or after damage, they almost never do.
        if size != area + _HEADER.size:
            raise stream.error(
                f"the size field says {size}, but {width} x {height} pixels need {area + _HEADER.size}; "
                "is this a .gnt file?"
            )
        if not (label := _character(tag)):
            raise stream.error(f"the tag {tag.hex(' ')} is no GB code; is this a .gnt file?")
        pixels = stream.read(area)
        if len(pixels) < area:
            raise stream.error(f"truncated: {len(pixels)} of {area} pixels; fetch the file again")
        yield label, np.frombuffer(pixels, np.uint8).reshape(height, width)
        stream.offset += size
        head = stream.read(_HEADER.size)


@lru_cache(maxsize=1 << 16)
def _character(tag: bytes) -> str:
    """The character of a tag, or ``""``. GB18030 agrees with GBK wherever GBK has a character."""
    text = tag.rstrip(b"\0").decode("gb18030", errors="replace")
    return text if is_character(text) else ""


@lru_cache(maxsize=1 << 16)
def _tag(label: str) -> bytes:
    """The two bytes of a label, or ``b""`` when GB18030 has none for it."""
    code = label.encode("gb18030", errors="replace").ljust(2, b"\0")
    return code if len(code) == 2 and _character(code) == label else b""


def _record(sample: Sample, path: Path, number: int) -> bytes:
    image = sample.image
    if image.ndim != 2 or image.dtype != np.uint8 or not 0 < image.size <= MAX_PIXELS or max(image.shape) > 0xFFFF:
        raise DataError(
            f"{path}: sample {number}: {image.dtype} {image.shape} does not fit a .gnt record; "
            f"it holds uint8 (H, W) of 1 to {MAX_PIXELS} pixels"
        )
    if not (tag := _tag(sample.label)):
        raise CharsetError(f"{path}: sample {number}: {sample.label!r} has no two-byte GB code; write a folder instead")
    height, width = image.shape
    return _HEADER.pack(_HEADER.size + image.size, tag, width, height) + image.tobytes()
