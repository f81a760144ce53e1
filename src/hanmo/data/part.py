"""Some samples of a pack as a pack of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hanmo.data.filling import Filling
from hanmo.data.pack import Pack, fill_pack
from hanmo.data.split import Indices

_SQUARES = 4096  # copied at a time


def write_part(pack: Pack, indices: Indices, out: str | Path, *, overwrite: bool = False) -> Pack:
    """Write the samples ``indices`` (n,) of ``pack`` in that order into a new pack of the same charset at ``out``.

    Raises :class:`DataError` when there are none, :class:`PackError` when ``out`` is taken, :class:`StorageError`.
    """
    filling = Filling(pack.charset)
    filling.labels.extend(pack.charset.characters, pack.labels[indices])
    filling.sources.extend(pack.sources, pack.source_ids[indices])
    filling.writers.extend(pack.writers, pack.writer_ids[indices])
    return fill_pack(Path(out), _squares(pack, indices), filling, pack.normalization, overwrite)


def _squares(pack: Pack, indices: Indices) -> Iterator[memoryview]:
    for start in range(0, len(indices), _SQUARES):
        yield pack.images[indices[start : start + _SQUARES]].data.cast("B")
