"""CASIA's ``.pot`` files of online characters (pen strokes), plain or xz-compressed, and zip archives of them.

No file header; a record is u16 size of the record, a four-byte tag, u16 number of strokes, and points of two i16, x to
the right and y downwards. The point (-1, 0) ends a stroke, (-1, -1) ends the character. The tag is the number of the GB
code, so its bytes are those of a ``.gnt`` file the other way round, then two NUL. Numbers are little-endian.

The format is that of CASIA-OLHWDB: Liu et al., "CASIA online and offline Chinese handwriting databases", ICDAR 2011.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hanmo.data.archive import is_zip
from hanmo.data.gnt import character_of, tag_of
from hanmo.data.records import RecordStream, read_archive, read_file, write_records
from hanmo.data.sample import OnlineSample
from hanmo.errors import CharsetError, DataError, PotError

SUFFIXES = (".pot", ".pot.xz")

# "<": little-endian without padding between the fields, 8 bytes in all.
_HEADER = struct.Struct("<H4sH")
_POINT = 4  # bytes
_SMALLEST = _HEADER.size + 3 * _POINT  # a point, the end of its stroke, the end of the character
_LARGEST = 0xFFFF  # what the size field can hold: 16,380 points and ends of strokes together
_HIGHEST = 0x7FFF  # the largest coordinate
_STROKE_ENDS, _CHARACTER_ENDS = (-1, 0), (-1, -1)

Strokes = list[NDArray[np.float32]]


def is_pot(path: Path) -> bool:
    """Whether the name of ``path`` ends like that of a file of pen strokes."""
    return path.name.lower().endswith(SUFFIXES)


def read_pot(path: str | Path, on_bytes: Callable[[int], None] | None = None) -> Iterator[OnlineSample]:
    """Stream the samples of one ``.pot`` or ``.pot.xz`` file, or of all such files in a zip archive.

    ``source``, ``writer`` and ``on_bytes`` are those of :func:`hanmo.data.gnt.read_gnt`; an archive is read as by
    :func:`hanmo.data.gnt.read_zip`. Strokes without a point are left out: they draw nothing.

    Raises :class:`PotError` with the byte offset of the damaged record in the uncompressed stream, :class:`DataError`
    for a file that cannot be read or an archive that :mod:`hanmo.data.archive` refuses.
    """
    path = Path(path)
    records = read_archive(_Pot, path, SUFFIXES, on_bytes) if is_zip(path) else read_file(_Pot, path, on_bytes)
    for record in records:
        yield OnlineSample(*record)


def write_pot(path: str | Path, samples: Iterable[OnlineSample]) -> int:
    """Write samples, coordinates rounded to whole numbers, and return their number; xz-compressed when so named.

    The file appears only when complete. Raises :class:`CharsetError` for a label without a two-byte GB code,
    :class:`DataError` for strokes the format cannot hold or for no samples, :class:`StorageError`.
    """
    path = Path(path)
    return write_records(path, (_record(sample, path, number) for number, sample in enumerate(samples, start=1)))


class _Pot(RecordStream[Strokes]):
    header = _HEADER

    def error(self, reason: str) -> PotError:
        return PotError(reason, self.path, self.offset)

    def record(self, size: int, tag: bytes, strokes: int) -> tuple[str, Strokes]:
        if size < _SMALLEST or size % _POINT:
            raise self.error(f"the size field says {size}, which no record can have; is this a .pot file?")
        # CASIA's description shows no ASCII character; its one byte is taken from either place.
        if tag[2:] != b"\0\0" or not (label := character_of(tag[1::-1].lstrip(b"\0"))):
            raise self.error(f"the tag {tag.hex(' ')} is no GB code; is this a .pot file?")
        content = self.read(size - _HEADER.size)
        if len(content) < size - _HEADER.size:
            raise self.error(f"truncated: {len(content) + _HEADER.size} of {size} bytes; fetch the file again")
        return label, self._strokes(np.frombuffer(content, "<i2").reshape(-1, 2), strokes)

    def _strokes(self, points: NDArray[np.int16], strokes: int) -> Strokes:
        """The strokes of a record's points and marks, int16 (n, 2)."""
        marks = points[:, 0] == -1
        last = np.flatnonzero(marks & (points[:, 1] == -1))
        if last.tolist() != [len(points) - 1]:
            raise self.error("the mark (-1, -1) is not at the end of the record alone; is this a .pot file?")
        ends = np.flatnonzero(marks & (points[:, 1] == 0))
        if len(ends) != strokes:
            raise self.error(f"{strokes} strokes are stated, but {len(ends)} end in it; is this a .pot file?")
        if not strokes or ends[-1] != len(points) - 2:
            raise self.error("the last stroke has no end; is this a .pot file?")
        runs = np.split(points[:-2].astype(np.float32), ends[:-1] + 1)
        # All runs but the last one still have the mark of their end.
        found = [run[:-1] for run in runs[:-1]] + runs[-1:]
        if not (found := [run for run in found if len(run)]):
            raise self.error("a character without a point cannot be; is this a .pot file?")
        return found


def _record(sample: OnlineSample, path: Path, number: int) -> bytes:
    where = f"{path}: sample {number}"
    if not (tag := tag_of(sample.label)):
        raise CharsetError(f"{where}: {sample.label!r} has no two-byte GB code; leave it out")
    rows: list[NDArray[np.float64]] = []
    for stroke in sample.strokes:
        points = np.rint(np.asarray(stroke, np.float64))
        # NaN fails both comparisons.
        if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not _fits(points):
            raise DataError(f"{where}: a .pot record holds strokes (n, 2) of 0 to {_HIGHEST}; move and scale them")
        rows += [points, np.array([_STROKE_ENDS], np.float64)]
    rows.append(np.array([_CHARACTER_ENDS], np.float64))
    content = np.concatenate(rows).astype("<i2").tobytes()
    size = _HEADER.size + len(content)
    if not sample.strokes:
        raise DataError(f"{where}: has no strokes, which a .pot record cannot hold; leave it out")
    if size > _LARGEST:
        raise DataError(
            f"{where}: needs {size:,} bytes, but a .pot record holds {_LARGEST:,} at most; give fewer points"
        )
    return _HEADER.pack(size, tag.rstrip(b"\0")[::-1].ljust(4, b"\0"), len(sample.strokes)) + content


def _fits(points: NDArray[np.float64]) -> bool:
    return bool(points.min() >= 0 and points.max() <= _HIGHEST)
