"""What worker processes do for an :class:`Engine`, which reads whole batches of pictures, as on a GPU.

A worker decodes the pictures of a chunk into memory that it shares with the first process (:class:`Packed`). There the
engine reads them. Then a worker makes the rows of its answers. Pictures that the engine leaves unread, because there is
no ink on them or they must be looked at more closely, are read by the worker, as :class:`hanmo.bulk.work.Worker` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hanmo.bulk.chunks import Chunk
from hanmo.bulk.items import Item
from hanmo.bulk.rows import Encoder
from hanmo.bulk.work import Done, Options, answer, decoded, fingerprint, finish, prepare
from hanmo.bundle import Bundle
from hanmo.errors import ArgumentError, DataError, ImageError
from hanmo.ink import Remark, reduced
from hanmo.normalize import Inspected, Normalization
from hanmo.paper import SIDE
from hanmo.prediction import Prediction
from hanmo.recognizer import Recognizer

REMARKS: tuple[Remark | None, ...] = (None, "touching the edge", "several characters")
"""The remarks by the numbers that stand for them in arrays."""
_CPU_BATCH = 64  # pictures that the engine left unread and that go through the net of a worker at once

Outcomes: TypeAlias = dict[int, Prediction | ImageError]
"""Places of pictures in their chunk, and their answers where nothing needs to be read."""


class Packed(NamedTuple):
    """Pictures in shared memory, one after another; N of them.

    ``pixels`` is uint8 (bytes,), row by row, ink dark and at most 96 pixels a side; or squares with bright ink, where
    the engine does not normalise. ``heights`` and ``widths`` are int32 (N,). ``reduced``, bool (N,), tells which
    pictures were larger. ``remarks``, uint8 (N,), are those of squares.
    """

    pixels: NDArray[np.uint8]
    heights: NDArray[np.int32]
    widths: NDArray[np.int32]
    reduced: NDArray[np.bool_]
    remarks: NDArray[np.uint8]


class Answers(NamedTuple):
    """The answers to N pictures, by :meth:`hanmo.recognizer.Recognizer.named`, and what the normalisation remarked.

    ``best`` int32 (N, top), ``probabilities`` float64 (N, top), ``known`` bool (N,), ``remarks`` uint8 (N,), places in
    :data:`REMARKS`. ``unread``, bool (N,), marks pictures without an answer.
    """

    best: NDArray[np.int32]
    probabilities: NDArray[np.float64]
    known: NDArray[np.bool_]
    remarks: NDArray[np.uint8]
    unread: NDArray[np.bool_]

    def part(self, start: int, stop: int) -> Answers:
        """Those of some pictures in a row."""
        return Answers._make(array[start:stop] for array in self)


class Engine(Protocol):
    """Reads many pictures at once; it is called from several threads."""

    batch: int
    """Pictures of a call at most, rounded down to whole chunks of 512; never less than one chunk."""
    lanes: int
    """Calls at the same time."""
    top: int
    among: str | None
    fingerprint: str
    """What it was made for: ``top`` and ``among`` of :class:`hanmo.bulk.work.Options`, and
    :func:`hanmo.bulk.work.fingerprint` of the bundle."""

    @property
    def normalizes(self) -> bool:
        """Whether it takes pictures, not squares."""

    def __call__(self, packs: Sequence[Packed], copied: Callable[[], None]) -> Answers:
        """The answers to all pictures of ``packs``. ``copied`` is called when their memory is not needed any more."""


def check_engine(engine: Engine, options: Options, bundle: Bundle) -> None:
    """Raise :class:`ArgumentError` for an engine that was made for other options or another bundle."""
    made_for = engine.top, engine.among, engine.fingerprint
    if made_for != (options.top, options.among, fingerprint(bundle)):
        raise ArgumentError("the engine was made for other options; make it by open_engine(options)")


class Names(NamedTuple):
    """The files, numbers and labels of a chunk's pictures: lists of their fields, which are quicker to send."""

    files: list[str]
    samples: list[int | None]
    labels: list[str | None]

    @classmethod
    def of(cls, items: Sequence[Item]) -> Names:
        return cls([item.file for item in items], [item.sample for item in items], [item.label for item in items])

    def items(self) -> list[Item]:
        """The items without their pictures."""
        return [Item(*name, b"") for name in zip(*self, strict=True)]


@dataclass(frozen=True)
class Pack:
    """A task: put the pictures of a chunk into a slot of the shared memory."""

    chunk: Chunk
    slot: int


class Header(NamedTuple):
    """What :class:`Pack` gives: the fields of :class:`Packed` but for the pixels, of which there are ``used`` bytes."""

    names: Names
    outcomes: Outcomes
    used: int
    fields: tuple[Any, ...]


@dataclass(frozen=True)
class Finish:
    """A task: make the rows of a chunk. ``chunk`` is None where the engine left no picture unread."""

    chunk: Chunk | None
    names: Names
    outcomes: Outcomes
    answers: Answers


class Packer:
    """Does tasks of both kinds. ``memory`` are the slots, a buffer of ``slot`` bytes each."""

    def __init__(self, options: Options, encoder: Encoder, memory: Any, slot: int, normalizes: bool) -> None:
        self.options, self.encoder, self.normalizes = options, encoder, normalizes
        self._memory, self._slot = memory, slot
        self._opened: Recognizer | None = None

    @property
    def _reader(self) -> Recognizer:
        # Not opened in __init__: there an error would end a worker process, here it goes back to the caller.
        if self._opened is None:
            self._opened = self.options.open()
        return self._opened

    def __call__(self, task: Pack | Finish) -> Header | Done:
        return self._pack(task) if isinstance(task, Pack) else self._finish(task)

    def pixels(self, slot: int, used: int) -> NDArray[np.uint8]:
        """The first bytes of a slot."""
        return np.frombuffer(self._memory, np.uint8, used, slot * self._slot)

    def _pack(self, task: Pack) -> Header:
        items = task.chunk.items()
        outcomes: Outcomes = {}
        pixels, used = self.pixels(task.slot, self._slot), 0
        found: list[tuple[int, int, bool, int]] = []
        step = _small if self.normalizes else _square(self._reader.bundle.normalization)
        for number, item in enumerate(items):
            made = decoded(item.picture, step)
            if not isinstance(made, _Made):
                outcomes[number] = made
                continue
            height, width = made.grey.shape
            pixels[used : used + height * width] = made.grey.reshape(-1)
            used += height * width
            found.append((height, width, made.reduced, made.remark))
        columns = list(zip(*found, strict=True)) or [()] * 4
        kinds = (np.int32, np.int32, np.bool_, np.uint8)
        fields: tuple[Any, ...] = tuple(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True))
        return Header(Names.of(items), outcomes, used, fields)

    def _finish(self, task: Finish) -> Done:
        names, answers = task.names.items(), task.answers
        packed = [number for number in range(len(names)) if number not in task.outcomes]
        outcomes: dict[int, Prediction | ImageError] = dict(task.outcomes)
        predictions = self._reader.named(answers.best, answers.probabilities, answers.known, among=self.options.among)
        for number, prediction, remark in zip(packed, predictions, answers.remarks.tolist(), strict=True):
            outcomes[number] = prediction.remarked(REMARKS[remark])
        if task.chunk is not None:
            unread = [packed[place] for place in np.flatnonzero(answers.unread)]
            items = task.chunk.items()
            # The file is read a second time. Where it is another one by now, rows of both would be mixed.
            if Names.of(items) != task.names:
                raise DataError(
                    f"{task.names.files[0]}: changed while it was read; give the command again when it is complete"
                )
            outcomes |= self._read(items, unread)
        return finish(names, [outcomes[number] for number in range(len(names))], self.encoder)

    def _read(self, items: Sequence[Item], unread: list[int]) -> Outcomes:
        outcomes: Outcomes = {}
        for start in range(0, len(unread), _CPU_BATCH):
            some = unread[start : start + _CPU_BATCH]
            prepared = [prepare(items[number].picture, self._reader.bundle.normalization) for number in some]
            outcomes |= zip(some, answer(self._reader, prepared, self.options), strict=True)
        return outcomes


class _Made(NamedTuple):
    grey: NDArray[np.uint8]
    reduced: bool
    remark: int


def _small(grey: NDArray[np.uint8]) -> _Made:
    small = reduced(grey)
    return _Made(small, small is not grey, 0)


def _square(normalization: Normalization) -> Callable[[NDArray[np.uint8]], _Made]:
    def made(grey: NDArray[np.uint8]) -> _Made:
        seen: Inspected = normalization.inspect(grey)
        return _Made(seen.square, False, REMARKS.index(seen.remark))

    return made


def slot_bytes(pictures: int, normalization: Normalization, normalizes: bool) -> int:
    """Bytes that so many pictures need at most, or squares where the engine does not normalise."""
    return pictures * (SIDE if normalizes else normalization.side) ** 2
