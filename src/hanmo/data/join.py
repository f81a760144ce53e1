"""Joins packs of one charset and one normalisation into one pack, as if all samples had been packed at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hanmo.data.filling import Filling
from hanmo.data.pack import Pack, fill_pack
from hanmo.errors import DataError

_SQUARES = 4096  # copied at a time


def join_packs(out: str | Path, packs: Iterable[str | Path], *, overwrite: bool = False) -> Pack:
    """Write the samples of ``packs``, one after the other, into a new pack at ``out``; they stay as they are.

    The bytes are those of packing all the samples at once. Every byte is compared with its hash before it is copied,
    and memory grows by 6 bytes a sample only. Raises :class:`PackError` for a damaged pack or one of another
    normalisation than the first and when ``out`` is taken, :class:`CharsetError` for one of another charset,
    :class:`DataError` when there are none or they have too many different writers, :class:`StorageError`.
    """
    paths = [Path(pack) for pack in packs]
    if not paths:
        raise DataError(f"{out}: no packs to join; name at least one")
    first = Pack.open(paths[0])
    for path in paths:  # before gigabytes are copied
        Pack.open(path).require(normalization=first.normalization, charset=first.charset)
    filling = Filling(first.charset)
    return fill_pack(Path(out), _squares(paths, filling), filling, first.normalization, overwrite)


def _squares(paths: Sequence[Path], filling: Filling) -> Iterator[memoryview]:
    """The bytes of all squares; the labels, sources and writers of the packs go to ``filling``."""
    for path in paths:
        pack = Pack.open(path, verify=True)
        filling.labels.extend(pack.charset.characters, pack.labels)
        filling.sources.extend(pack.sources, pack.source_ids)
        filling.writers.extend(pack.writers, pack.writer_ids)
        for reason, count in pack.skipped.items():
            filling.skipped[reason] = filling.skipped.get(reason, 0) + count
        for start in range(0, len(pack), _SQUARES):
            yield pack.images[start : start + _SQUARES].data.cast("B")
