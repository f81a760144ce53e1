"""Reading one batch of pictures. A worker process holds one :class:`Worker`; so may an actor of another framework."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from hanmo.bulk.items import Item, Picture
from hanmo.bulk.rows import Encoder, Row
from hanmo.bundle import Bundle
from hanmo.errors import BlankImageError, ImageError, one_line
from hanmo.image import describe, load
from hanmo.normalize import Inspected, Normalization
from hanmo.onnxfile import Device
from hanmo.prediction import Prediction
from hanmo.recognizer import Recognizer

_NET_BATCH = 64
"""Squares in one run of the net on a CPU; more give no higher rate, but larger tensors leave the cache."""

Prepared: TypeAlias = Inspected | Prediction | ImageError
"""A picture before the net: its square, or the answer where the net is not needed, or the error."""

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How pictures are read; the meaning is that of :class:`hanmo.recognizer.Recognizer` and its ``recognize``."""

    bundle: str | Path | Bundle | None = None
    top: int = 5
    among: str | None = None
    device: Device = "cpu"

    def open(self) -> Recognizer:
        """The reader, with one CPU thread. Raises what :class:`Recognizer` raises, and errors of ``among``."""
        reader = Recognizer(self.bundle, device=self.device)
        if self.among is not None:
            reader.check_among(self.among)
        return reader


class Counts(NamedTuple):
    """Numbers of pictures: a character was named, none was named, and the picture could not be used."""

    read: int = 0
    refused: int = 0
    unreadable: int = 0

    @property
    def all(self) -> int:
        return sum(self)

    def plus(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


class Done(NamedTuple):
    """The rows of a batch as bytes of the results' format."""

    data: bytes
    counts: Counts


class Worker:
    """Reads batches: items in, encoded rows out. Without ``reader`` one is opened at the first batch."""

    def __init__(self, options: Options, encoder: Encoder, reader: Recognizer | None = None) -> None:
        self.options, self.encoder = options, encoder
        self._reader = reader

    def __call__(self, items: Sequence[Item]) -> Done:
        # Not in __init__: there an error would end a worker process, here it goes back to the caller as it is.
        self._reader = self._reader or self.options.open()
        normalization = self._reader.bundle.normalization
        outcomes: list[Prediction | ImageError] = []
        for start in range(0, len(items), _NET_BATCH):
            prepared = [prepare(item.picture, normalization) for item in items[start : start + _NET_BATCH]]
            outcomes += answer(self._reader, prepared, self.options)
        return finish(items, outcomes, self.encoder)


class Preparer:
    """The part of a :class:`Worker` before the net, for nets that run on a GPU in another process."""

    def __init__(self, normalization: Normalization) -> None:
        self.normalization = normalization

    def __call__(self, items: Sequence[Item]) -> tuple[list[Item], list[Prepared]]:
        """The items without their pictures, which are not sent back, and the squares."""
        prepared = [prepare(item.picture, self.normalization) for item in items]
        return [item._replace(picture=b"") for item in items], prepared


def prepare(picture: Picture, normalization: Normalization) -> Prepared:
    """Decode a picture and normalise it; whatever is wrong with it becomes the result."""
    return decoded(picture, normalization.inspect)


def decoded(picture: Picture, step: Callable[[NDArray[np.uint8]], Result]) -> Result | Prediction | ImageError:
    """``step`` of a picture's grey levels (H, W), ink dark; whatever is wrong with the picture becomes the result."""
    if isinstance(picture, ImageError):
        return picture
    try:
        return step(load(picture))
    except BlankImageError as error:
        return Prediction.without_ink(error)
    except ImageError as error:
        return ImageError(str(error).removeprefix(f"{describe(picture)}: "))
    except MemoryError:  # the machine is at fault, not the picture
        raise
    except Exception as error:  # a fault of hanmo; one picture among millions must not stop the others
        return ImageError(f"hanmo failed on this picture ({type(error).__name__}: {one_line(error)}); report it")


def answer(reader: Recognizer, prepared: Sequence[Prepared], options: Options) -> list[Prediction | ImageError]:
    """Predictions in place of squares, from one run of the net; the rest stays."""
    squares = [one.square for one in prepared if isinstance(one, Inspected)]
    predictions = iter(reader.predict(np.stack(squares), options.top, among=options.among) if squares else ())
    return [next(predictions).remarked(one.remark) if isinstance(one, Inspected) else one for one in prepared]


def finish(items: Sequence[Item], outcomes: Sequence[Prediction | ImageError], encoder: Encoder) -> Done:
    """The encoded rows of a batch."""
    rows = [Row.of(item, outcome) for item, outcome in zip(items, outcomes, strict=True)]
    unreadable = sum(row.error is not None for row in rows)
    refused = sum(row.refused is True for row in rows)
    return Done(encoder(rows), Counts(len(rows) - unreadable - refused, refused, unreadable))


def fingerprint(bundle: Bundle) -> str:
    """SHA-256 over all of a bundle that an answer depends on."""
    facts = (
        bundle.charset.digest,
        sorted(bundle.groups.items()),
        bundle.normalization.as_dict(),
        bundle.mean,
        bundle.std,
        bundle.temperature,
        bundle.refusal_threshold,
        bundle.least_evidence,
    )
    extension = bundle.extension.to_bytes() if bundle.extension else b""
    return hashlib.sha256(bundle.model + extension + repr(facts).encode()).hexdigest()
