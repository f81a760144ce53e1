"""CASIA's ``.gnt`` files of offline characters, plain or xz-compressed, and zip archives of them.

No file header; a record is u32 size (10 + W·H), a two-byte GB tag (high byte first, ASCII padded with NUL),
u16 W, u16 H and W·H bytes of grey, row by row, 255 = paper. Numbers are little-endian.
"""

from __future__ import annotations

import os
import struct
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hanmo.data.records import RecordStream, read_archive, read_file, write_records
from hanmo.data.sample import Sample
from hanmo.errors import CharsetError, DataError, GntError
from hanmo.files import open_file
from hanmo.image import MAX_PIXELS

SUFFIXES = (".gnt", ".gnt.xz")

_BLOCK = 1 << 22  # bytes that are read at a time when only headers are looked at: some hundred pictures
# "<": little-endian without padding between the fields, 10 bytes in all.
_HEADER = struct.Struct("<I2sHH")


def is_gnt(path: Path) -> bool:
    """Whether the name of ``path`` ends like that of a sample file."""
    return path.name.lower().endswith(SUFFIXES)


def read_gnt(path: str | Path, on_bytes: Callable[[int], None] | None = None, *, offset: int = 0) -> Iterator[Sample]:
    """Stream the samples of one file in its order, in constant memory; images are read-only.

    ``offset`` is the byte at which the first record begins, for plain files: :func:`find_records` gives such places.

    ``source`` is the file's name, ``writer`` the number in a name like CASIA's ``1241-c.gnt``. ``on_bytes`` is
    called with the number of bytes of the file (compressed, where it is) that were read since its last call.

    Raises :class:`GntError` with the byte offset of the damaged record in the uncompressed stream.
    """
    for record in read_file(_Gnt, Path(path), on_bytes, offset=offset):
        yield Sample(*record)


def read_zip(
    path: str | Path, on_bytes: Callable[[int], None] | None = None, part: slice = slice(None)
) -> Iterator[Sample]:
    """Stream the samples of all ``.gnt`` files in a zip archive, in the natural order of their names.

    ``part`` chooses some of these files.

    Samples and ``on_bytes`` are those of :func:`read_gnt` for the unpacked files; folders in the archive do not matter.

    Raises :class:`DataError` for an archive that is damaged or that :mod:`hanmo.data.archive` refuses,
    :class:`GntError` with the byte offset in the unpacked member for a damaged one.
    """
    for record in read_archive(_Gnt, Path(path), SUFFIXES, on_bytes, part):
        yield Sample(*record)


def find_records(path: str | Path, count: int, size: int) -> Iterator[tuple[int, int]]:
    """Where in a plain ``.gnt`` file groups of records begin: pairs of a byte and the number of records from there on.

    A group has ``count`` records, or fewer that together have ``size`` bytes; the last one has the rest. Only the
    headers are looked at, as :func:`read_gnt` does. A damaged record is the only one of its group, and the last.

    Raises :class:`DataError` for a file that cannot be opened; and where the disk cannot read on, after the group up to
    there.
    """
    try:
        file = open_file(Path(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    with file:
        failure: OSError | None = None
        whole = os.fstat(file.fileno()).st_size
        start = at = records = 0
        try:
            for end in ends_of_records(file, whole):
                at, records = end, records + 1
                if records == count or at - start >= size:
                    yield start, records
                    start, records = at, 0
        except OSError as error:
            failure = error
        if records:
            yield start, records
        if failure:
            raise DataError(f"{path}: cannot be read ({failure.strerror}); check the disk") from failure
        if at < whole or at == 0:
            yield at, 1


def ends_of_records(file: BinaryIO, whole: int) -> Iterator[int]:
    """The byte after each record of a plain ``.gnt`` file of ``whole`` bytes, up to the first damage.

    Raises :class:`OSError` where the disk cannot read the file, which is no damage to a record.
    """
    at, block, begin = 0, b"", 0
    while at < whole:
        if at + _HEADER.size > begin + len(block):
            file.seek(at)
            block, begin = file.read(_BLOCK), at
            if len(block) < _HEADER.size:
                return
        size, tag, width, height = _HEADER.unpack_from(block, at - begin)
        at += size
        sound = 0 < width * height <= MAX_PIXELS and size == width * height + _HEADER.size
        if not (sound and at <= whole and character_of(tag)):
            return
        yield at


def write_gnt(path: str | Path, samples: Iterable[Sample]) -> int:
    """Write samples (image uint8 (H, W), 255 = paper) and return their number; xz-compressed when so named.

    The file appears only when complete. Raises :class:`CharsetError` for a label without a two-byte GB code,
    :class:`DataError` for an image the format cannot hold or for no samples, :class:`StorageError`.
    """
    path = Path(path)
    return write_records(path, (_record(sample, path, number) for number, sample in enumerate(samples, start=1)))


def is_character(text: str) -> bool:
    """Whether ``text`` can be a label: one character, but no control, surrogate or character of private use."""
    return len(text) == 1 and text != "\N{REPLACEMENT CHARACTER}" and unicodedata.category(text)[0] != "C"


class _Gnt(RecordStream[NDArray[np.uint8]]):
    header = _HEADER

    def error(self, reason: str) -> GntError:
        return GntError(reason, self.path, self.offset)

    def record(self, size: int, tag: bytes, width: int, height: int) -> tuple[str, NDArray[np.uint8]]:
        area = width * height
        if not area or area > MAX_PIXELS:
            raise self.error(f"a picture of {width} x {height} pixels cannot be; is this a .gnt file?")
        # Size, width and height must agree. In a file of another kind, or after damage, they almost never do.
        if size != area + _HEADER.size:
            raise self.error(
                f"the size field says {size}, but {width} x {height} pixels need {area + _HEADER.size}; "
                "is this a .gnt file?"
            )
        if not (label := character_of(tag)):
            raise self.error(f"the tag {tag.hex(' ')} is no GB code; is this a .gnt file?")
        pixels = self.read(area)
        if len(pixels) < area:
            raise self.error(f"truncated: {len(pixels)} of {area} pixels; fetch the file again")
        return label, np.frombuffer(pixels, np.uint8).reshape(height, width)


@lru_cache(maxsize=1 << 16)
def character_of(tag: bytes) -> str:
    """The character of a tag, or ``""``. GB18030 agrees with GBK wherever GBK has a character."""
    text = tag.rstrip(b"\0").decode("gb18030", errors="replace")
    return text if is_character(text) else ""


@lru_cache(maxsize=1 << 16)
def tag_of(label: str) -> bytes:
    """The two bytes of a label, or ``b""`` when GB18030 has none for it."""
    code = label.encode("gb18030", errors="replace").ljust(2, b"\0")
    return code if len(code) == 2 and character_of(code) == label else b""


def _record(sample: Sample, path: Path, number: int) -> bytes:
    image = sample.image
    if image.ndim != 2 or image.dtype != np.uint8 or not 0 < image.size <= MAX_PIXELS or max(image.shape) > 0xFFFF:
        raise DataError(
            f"{path}: sample {number}: {image.dtype} {image.shape} does not fit a .gnt record; "
            f"it holds uint8 (H, W) of 1 to {MAX_PIXELS} pixels"
        )
    if not (tag := tag_of(sample.label)):
        raise CharsetError(f"{path}: sample {number}: {sample.label!r} has no two-byte GB code; write a folder instead")
    height, width = image.shape
    return _HEADER.pack(_HEADER.size + image.size, tag, width, height) + image.tobytes()
