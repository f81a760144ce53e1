"""Samples over the machines of a Ray cluster: they are read and normalised there, and come back as squares, in order.

    files -> read (tasks) -> batches of samples -> Normalizer (one a core) -> samples whose images are squares

The machine that gives the command writes the pack, so its bytes are those of packing without Ray.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hanmo.bulk.items import HasPicture
from hanmo.bulk.spread import answers, cell, configured, spread
from hanmo.charset import Charset
from hanmo.data.read import Reading
from hanmo.data.sample import Sample
from hanmo.data.squares import SampleNormalizer
from hanmo.errors import DataError
from hanmo.normalize import Normalization

_BATCH = 256
"""Samples of a batch: normalising them takes a tenth of a second, many times as long as sending them."""

Task = TypeVar("Task")
Thing = TypeVar("Thing", bound=HasPicture)
Samples = Generator[Sample, None, None]


def normalized_over_ray(
    readings: Iterable[Reading], normalization: Normalization, charset: Charset | None, actors: int
) -> Samples:
    """The samples of ``readings`` in their order, each with its square as the image; blank ones without pixels.

    Those of labels outside ``charset`` come without pixels, too. Within :func:`hanmo.bulk.cluster.connected`, with up
    to ``actors`` processes. Raises what reading them raises, :class:`DataError` where a machine does not see a file or
    sees one of another size, and :class:`WorkerError`.
    """
    return over_ray(readings, _read, Normalizer(normalization, charset), size=_BATCH, actors=actors)


def over_ray(
    tasks: Iterable[Task],
    items_of: Callable[[Task], Iterable[Thing]],
    work: Callable[[Sequence[Thing]], list[Sample]],
    *,
    size: int,
    actors: int,
) -> Samples:
    """The samples that ``work`` makes of every batch of ``size`` items, in order; see :func:`spread`."""
    with configured():
        dataset = spread(tasks, items_of, work, size=size, actors=actors, encode=_row)
        with closing(answers(dataset)) as rows:
            for row in rows:
                yield from row["samples"].content


def require_here(path: Path) -> None:
    """Raise :class:`DataError` if this machine does not see ``path``."""
    if not path.exists():
        raise _differs(path, f"is not there on the machine {socket.gethostname()}")


def require_same_size(reading: Reading) -> None:
    """Raise :class:`DataError` where the file, or the class folders, have another size here than when they were listed.

    That is another number of bytes or of pictures; contents are not compared.
    """
    require_here(reading.path)
    # Without this, a copy with fewer pictures would give a pack with fewer samples, and no word of it.
    if (here := reading.size_here()) != reading.size:
        machine = socket.gethostname()
        raise _differs(
            reading.path, f"has {here} on the machine {machine}, and {reading.size} where packing was started"
        )


def _differs(path: Path, how: str) -> DataError:
    return DataError(
        f"{path}: {how}; with --ray every machine must see the same files at the same path: put them on a shared disk"
    )


class Normalizer(SampleNormalizer):
    """The work of a process: the samples of a batch with their squares. Both settings are sent to it once."""

    def __call__(self, batch: Sequence[_Packed]) -> list[Sample]:
        return [self.square(packed.sample) for packed in batch]


class _Packed(NamedTuple):
    sample: Sample

    @property
    def picture(self) -> Any:
        return self.sample.image


def _read(reading: Reading) -> Iterator[_Packed]:
    require_same_size(reading)
    return map(_Packed, reading.samples())


def _row(samples: list[Sample]) -> Any:
    return {"samples": cell(samples)}
