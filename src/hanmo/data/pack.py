"""A pack: the normalised samples of a data set as plain arrays that are mapped into memory, not loaded.

    PACK/
      pack.json     format, count, normalisation, charset, sources, writers, what was skipped, SHA-256 of the others
      images.u8     uint8 (N, S, S), 0 = paper, 255 = ink
      labels.u16    the class of each sample: its index in the charset
      sources.u16   index in "sources": the .gnt file, or the folder of the picture
      writers.u16   index in "writers"; the writer "" is unknown

Numbers are little-endian, no file has a header, and on one machine the same samples always give the same bytes;
another kind of processor may round a pixel to the neighbouring grey level.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hanmo.atomic import replacing, storing, writing
from hanmo.charset import Charset
from hanmo.data.filling import Filling
from hanmo.data.sample import Sample
from hanmo.data.squares import already_normalized
from hanmo.errors import CharsetError, PackError
from hanmo.files import read_limited
from hanmo.normalize import VERSION, Normalization

FORMAT = 1
"""Goes up whenever an older hanmo could not read the pack."""

CHEAP = 256 * 2**20
"""Bytes of images that are hashed whenever a pack is opened: a quarter of a second."""

_MAX_HEAD = 64 * 2**20  # a pack of a million pictures in folders of their own names a million sources
_HEAD, _IMAGES, _LABELS, _SOURCES, _WRITERS = "pack.json", "images.u8", "labels.u16", "sources.u16", "writers.u16"


@dataclass(frozen=True, eq=False, kw_only=True)
class Pack:
    """An open pack of N samples; ``images`` stays on the disk until it is indexed."""

    path: Path
    images: NDArray[np.uint8]
    """(N, S, S), a read-only memory map; 0 = paper, 255 = ink."""
    labels: NDArray[np.int64]
    """(N,) classes."""
    charset: Charset
    normalization: Normalization
    sources: tuple[str, ...]
    writers: tuple[str, ...]
    source_ids: NDArray[np.uint16]
    writer_ids: NDArray[np.uint16]
    skipped: Mapping[str, int]
    """Samples left out while packing: ``blank`` ones, and those of labels ``unknown`` to the charset."""
    digest: str
    """SHA-256 of pack.json, which holds the SHA-256 of every other file: it identifies the data."""

    @property
    def members(self) -> Mapping[str, str]:
        """Empty: every class of a pack is named by its one character."""
        return {}

    def __len__(self) -> int:
        return len(self.labels)

    def source_of(self, index: int) -> str:
        """The file, or the folder of pictures, that sample ``index`` came from."""
        return self.sources[int(self.source_ids[index])]

    def writer_of(self, index: int) -> str:
        """The writer of sample ``index``, ``""`` where unknown."""
        return self.writers[int(self.writer_ids[index])]

    def require(self, *, normalization: Normalization | None = None, charset: Charset | None = None) -> None:
        """Raise :class:`PackError` for another normalisation, :class:`CharsetError` for another charset."""
        if normalization is not None and normalization != self.normalization:
            if replace(normalization, version=self.normalization.version) == self.normalization:
                raise PackError(
                    f"{self.path}: packed by version {self.normalization.version} of the normalisation, but version "
                    f"{normalization.version} is needed, of which no packs are made; give the sample files instead"
                )
            raise PackError(
                f"{self.path}: packed as {self.normalization}, but {normalization} is needed; "
                f"pack again with {_flags(normalization.as_dict())}"
            )
        if charset is not None and charset != self.charset:
            raise CharsetError(f"{self.path}: its {self.charset!r} is not the {charset!r} needed; pack with --charset")

    @classmethod
    def open(cls, path: str | Path, verify: bool = False) -> Pack:
        """Map a pack and compare its hashes, those of images of more than :data:`CHEAP` bytes only with ``verify``.

        Hashing reads every byte, at about a gigabyte a second; it is not repeated within a process for files that have
        not been written since.

        Raises :class:`PackError` when it is missing, damaged, newer than this program or of another normalisation
        version.
        """
        path = Path(path)
        head = _read_head(path)
        try:
            count, charset, files = operator.index(head["count"]), Charset(head["charset"]), dict(head["files"])
            normalization = _normalization(path, head["normalization"])
            sources, writers = tuple(map(str, head["sources"])), tuple(map(str, head["writers"]))
            skipped = {str(why): operator.index(number) for why, number in dict(head["skipped"]).items()}
            charset_digest = head["charset_digest"]
        except PackError:
            raise
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise PackError(f"{path / _HEAD}: damaged ({error}); pack again") from error
        # The labels are indices: with a changed charset they would silently mean other characters.
        if charset.digest != charset_digest:
            raise PackError(f"{path / _HEAD}: damaged (the charset is not the one its digest names); pack again")
        side = normalization.side
        pack = cls(
            path=path,
            images=_map(path / _IMAGES, np.uint8, (count, side, side)),
            labels=_column(path / _LABELS, count, len(charset)).astype(np.int64),
            charset=charset,
            normalization=normalization,
            sources=sources,
            writers=writers,
            source_ids=_column(path / _SOURCES, count, len(sources)),
            writer_ids=_column(path / _WRITERS, count, len(writers)),
            skipped=skipped,
            # Dumped again, not read from the file, so that the digest depends on the content and not on blanks.
            digest=hashlib.sha256(_dump(head)).hexdigest(),
        )
        for name in (_LABELS, _SOURCES, _WRITERS, _IMAGES):
            if verify or name != _IMAGES or pack.images.nbytes <= CHEAP:
                _verify(path / name, files.get(name))
        return pack


def is_pack(path: str | Path) -> bool:
    """Whether ``path`` is a folder with a pack.json; :meth:`Pack.open` checks what is in it."""
    try:
        return (Path(path) / _HEAD).is_file()
    except (OSError, ValueError):  # a name longer than the file system allows, or with a zero byte
        return False


def write_pack(
    out: str | Path,
    samples: Iterable[Sample],
    *,
    normalization: Normalization,
    charset: Charset | None = None,
    workers: int = 0,
    are_squares: bool = False,
    on_progress: Callable[[int], None] | None = None,
    on_blank: Literal["skip", "error"] = "skip",
    on_unknown: Literal["skip", "error"] = "error",
    overwrite: bool = False,
) -> Pack:
    """Normalise ``samples`` in their order into a new pack, streaming: memory grows by 6 bytes a sample only.

    The charset defaults to the distinct labels in Unicode order. ``workers`` processes normalise (0: this one alone);
    their number does not change the bytes. With ``are_squares`` the images are squares of this normalisation already,
    and blank ones have no pixels. ``on_progress`` is called with the number of samples processed so far.
    ``out`` appears only when complete; ``overwrite`` lets it replace another pack.

    Raises :class:`BlankImageError` and
    :class:`CharsetError` naming the sample's source unless these are to be skipped, :class:`DataError` when no sample
    is left, :class:`PackError` when ``out`` is taken and for a former version of the normalisation,
    :class:`StorageError`.
    """
    if normalization.version != VERSION:
        raise PackError(f"{out}: packs are of version {VERSION} of the normalisation, not {normalization.version}")
    filling = Filling(charset, on_blank, on_unknown, on_progress)
    squares = filling.images(samples, already_normalized if are_squares else normalization, workers)
    return fill_pack(Path(out), squares, filling, normalization, overwrite)


def fill_pack(
    out: Path, squares: Iterable[memoryview], filling: Filling, normalization: Normalization, overwrite: bool
) -> Pack:
    """Write a pack from the bytes of its squares and what ``filling`` collects while they are produced.

    Raises :class:`DataError` when there are none, :class:`PackError` when ``out`` is taken, :class:`StorageError`.
    """
    check_free(out, overwrite)
    with replacing(out) as partial:
        with storing(out):
            partial.mkdir()
        # The squares first: `filling` knows labels, sources and writers only once they have all streamed by.
        files = {_IMAGES: _store(partial / _IMAGES, squares, out)}
        charset, columns = filling.columns()
        for name, column in zip((_LABELS, _SOURCES, _WRITERS), columns, strict=True):
            files[name] = _store(partial / name, [column.data], out)
        head = {
            "format": FORMAT,
            "count": len(filling),
            "normalization": normalization.as_dict(),
            "charset": str(charset),
            "charset_digest": charset.digest,
            "sources": list(filling.sources.names),
            "writers": list(filling.writers.names),
            "skipped": filling.skipped,
            "files": files,
        }
        # Last, because it holds the digests of all other files.
        _store(partial / _HEAD, [memoryview(_dump(head))], out)
    return Pack.open(out)


def check_free(out: Path, overwrite: bool) -> None:
    """Raise :class:`PackError` when ``out`` holds anything but a pack, or a pack that must not be replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not is_pack(out):
        raise PackError(f"{out}: exists and is not a pack; name another place")
    if not overwrite:
        raise PackError(f"{out}: is a pack already; --overwrite replaces it")


def _store(path: Path, chunks: Iterable[memoryview], target: Path) -> str:
    """Write chunks of bytes and return their SHA-256."""
    digest = hashlib.sha256()
    with writing(path, target) as write:
        for chunk in chunks:
            digest.update(chunk)
            write(chunk)
    return digest.hexdigest()


def _dump(head: Mapping[str, Any]) -> bytes:
    # A file name may hold bytes that are not UTF-8. Nothing is opened by the names in a pack, so "?" may replace them.
    return (json.dumps(head, ensure_ascii=False, indent=1) + "\n").encode("utf-8", errors="replace")


def _read_head(path: Path) -> dict[str, Any]:
    try:
        head = json.loads(read_limited(path / _HEAD, _MAX_HEAD))
    except OSError as error:
        raise PackError(f"{path}: not a pack ({_HEAD}: {error.strerror}); make one with `hanmo data pack`") from error
    except (ValueError, RecursionError) as error:
        raise PackError(f"{path / _HEAD}: damaged ({error}); pack again") from error
    if not isinstance(head, dict) or not isinstance(head.get("format"), int):
        raise PackError(f"{path / _HEAD}: damaged (it names no format); pack again")
    if head["format"] > FORMAT:
        raise PackError(f"{path}: format {head['format']} is newer than this hanmo reads ({FORMAT}); update hanmo")
    return head


def _normalization(path: Path, saved: Mapping[str, Any]) -> Normalization:
    if saved["version"] != VERSION:
        raise PackError(
            f"{path}: normalised by version {saved['version']}, this hanmo normalises by version {VERSION}; "
            f"pack again with {_flags(saved)}"
        )
    return Normalization(method=saved["method"], side=saved["side"], margin=saved["margin"])


def _flags(saved: Mapping[str, Any]) -> str:
    return f"--normalize {saved['method']} --side {saved['side']} --margin {saved['margin']}"


def _map(path: Path, dtype: type[np.generic] | np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    expected = math.prod(shape) * np.dtype(dtype).itemsize  # not np.prod, which would overflow without a word
    size = path.stat().st_size if path.is_file() else None
    # A file of another size was cut off or belongs to another pack; an empty one cannot be mapped at all.
    if size != expected or not size:
        found = "missing" if size is None else f"{size} bytes"
        raise PackError(f"{path}: {found} where {expected} bytes are due; pack again")
    return np.memmap(path, dtype, "r", shape=shape)


def _column(path: Path, count: int, names: int) -> NDArray[np.uint16]:
    column = np.array(_map(path, np.dtype("<u2"), (count,)), np.uint16)
    # Checked on opening: an index beyond the list would fail only in the middle of a training.
    if column.max() >= names:
        raise PackError(f"{path}: damaged (it names entry {column.max()} of {names}); pack again")
    return column


def _verify(path: Path, expected: str | None) -> None:
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            key = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, expected)
            if key in _verified:
                return
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PackError(f"{path}: cannot be read ({error.strerror}); copy or pack it again") from error
    if digest != expected:
        raise PackError(f"{path}: damaged (its SHA-256 is not the one in {_HEAD}); pack again")
    _verified.add(key)


_verified: set[tuple[object, ...]] = set()
"""Files that were found whole: where they lie, their size, the time they were written, and the digest."""
