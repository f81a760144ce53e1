"""Chooses the samples that go into a pack, and collects their labels, sources and writers as they stream by."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import PurePath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hanmo.charset import Charset
from hanmo.data.gnt import is_character
from hanmo.data.sample import Sample
from hanmo.data.squares import Normalize, Squares, normalized
from hanmo.errors import BlankImageError, CharsetError, DataError
from hanmo.image import SUFFIXES

Column = NDArray[np.uint16]


class Names:
    """The name of every sample (its label, source or writer), stored as a number of 16 bits.

    ``names`` maps each distinct name to its number, in the order in which the names first occurred.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        # A million samples share a few thousand names: each name is kept once, and a number of 2 bytes for each sample.
        self.names: dict[str, int] = {}
        self.numbers = array("H")

    def append(self, name: str) -> None:
        """Note the name of the next sample; raises :class:`DataError` for one too many different ones."""
        self.numbers.append(self._number(name))

    def extend(self, names: Sequence[str], numbers: NDArray[np.integer]) -> None:
        """Note ``names[i]`` for every i of ``numbers``, (n,); raises :class:`DataError` as above."""
        # The numbers of another pack -> the numbers here, by one look-up in a table of all its names.
        places = np.array([self._number(name) for name in names], np.uint16)
        # As raw bytes, because array.extend() would make a Python number of every sample.
        self.numbers.frombytes(places[numbers].tobytes())

    def _number(self, name: str) -> int:
        number = self.names.setdefault(name, len(self.names))
        # The columns of a pack have 16 bits.
        if number > 0xFFFF:
            raise DataError(f"more than 65,536 different {self.kind}, at {name!r}; make several packs")
        return number


class Filling:
    """Collects the labels, sources and writers of samples that stream by, and counts those that are skipped."""

    def __init__(
        self,
        charset: Charset | None = None,
        on_blank: Literal["skip", "error"] = "skip",
        on_unknown: Literal["skip", "error"] = "error",
        on_progress: Callable[[int], None] | None = None,
    ) -> None:
        self.charset, self.on_blank, self.on_unknown, self.on_progress = charset, on_blank, on_unknown, on_progress
        self.labels, self.sources, self.writers = Names("labels"), Names("sources"), Names("writers")
        self.skipped = {"blank": 0, "unknown": 0}

    def __len__(self) -> int:
        """Samples kept so far."""
        return len(self.labels.numbers)

    def images(self, samples: Iterable[Sample], normalization: Normalize, workers: int) -> Iterator[memoryview]:
        """The squares of all inked samples of known label, a batch at a time."""
        for squares in normalized(self._known(samples), normalization, workers):
            self._note(squares)
            if squares.samples:
                yield squares.images.data.cast("B")
            if self.on_progress:
                self.on_progress(len(self) + sum(self.skipped.values()))

    def columns(self) -> tuple[Charset, list[Column]]:
        """The charset and the numbers of labels, sources and writers, each (N,), once all samples have passed.

        Raises :class:`DataError` when none is left.
        """
        if not len(self):
            blank, unknown = self.skipped["blank"], self.skipped["unknown"]
            raise DataError(
                f"no samples to pack: {blank:,} blank and {unknown:,} of unknown labels were skipped; "
                "give others, or another charset"
            )
        charset = self.charset or Charset.of_labels(self.labels.names)
        # The samples are numbered by their labels as these came; now those numbers become classes of the charset.
        classes = charset.encode(list(self.labels.names))
        labels, *others = (np.array(names.numbers, "<u2") for names in (self.labels, self.sources, self.writers))
        return charset, [classes[labels].astype("<u2"), *others]

    def _known(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        for number, sample in enumerate(samples, start=1):
            # Blank pictures are found later, by the normalisation; here only the label decides.
            if is_character(sample.label) and (self.charset is None or sample.label in self.charset):
                yield sample
            elif self.on_unknown == "skip":
                self.skipped["unknown"] += 1
            else:
                where = f"{sample.source or 'samples'}: label {sample.label!r} (sample {number:,} of all)"
                what = f"outside the charset of {len(self.charset)}" if self.charset else "not one character"
                raise CharsetError(f"{where} is {what}; skip such samples with --skip-unknown")

    def _note(self, squares: Squares) -> None:
        if squares.blank and self.on_blank == "error":
            first = squares.blank[0]
            raise BlankImageError(f"{first.source or 'samples'}: a picture of {first.label!r} is blank; remove it")
        self.skipped["blank"] += len(squares.blank)
        for sample in squares.samples:
            self.labels.append(sample.label)
            self.sources.append(_origin(sample.source))
            self.writers.append(sample.writer)


@lru_cache(maxsize=1 << 10)
def _origin(source: str) -> str:
    """The source to store: for a picture its folder, so that a million pictures give few names."""
    path = PurePath(source)
    return path.parent.as_posix() if path.suffix.lower() in SUFFIXES else source
