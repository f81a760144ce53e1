"""The result of an evaluation as plain frozen records, for the report and the command line."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hanmo.evaluate.calibration import Reliability

Squares = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One wrong answer: ``square`` is the net's input, uint8 (S, S), ink bright; ``source`` names file and writer."""

    true: str
    predicted: str
    probability: float
    square: Squares
    source: str


@dataclass(frozen=True, kw_only=True)
class ConfusedPair:
    """``true`` was read as ``predicted`` ``count`` times; ``both`` counts both directions."""

    true: str
    predicted: str
    count: int
    both: int
    mistakes: tuple[Mistake, ...]


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """One character: ``n`` pictures, ``top1`` in per cent, and its most frequent wrong answer ``taken_for`` or ""."""

    character: str
    n: int
    top1: float
    taken_for: str


@dataclass(frozen=True, kw_only=True)
class WriterScore:
    """One writer, "" where unknown: ``n`` scored pictures, and ``top1`` in per cent."""

    writer: str
    n: int
    top1: float


@dataclass(frozen=True, kw_only=True)
class WriterSpread:
    """How much accuracy differs between ``n`` known writers, each of whom counts the same.

    ``mean`` and ``std`` (the sample standard deviation, NaN for one writer) of their top-1, in per cent; ``worst`` is
    the writer who is read worst.
    """

    n: int
    mean: float
    std: float
    worst: WriterScore


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The figures of a recogniser on one file; :mod:`hanmo.evaluate.evaluate` explains the special cases.

    ``closed``: the recogniser could answer only with characters of the file. ``among``: the names of the sets, or the
    characters, that it could answer with; empty for all.
    ``n``: scored pictures, ``blank`` ones included. ``outside``: pictures with labels that could not be answered, not
    scored; ``outside_labels`` counts them by label, the most frequent first.
    ``left_out``: samples that the pack had skipped when it was made.
    ``answers``: number of characters that the recogniser could answer with.
    ``top1``, ``top5``, ``top10``, ``top1_answered``: in per cent. ``ece``: in [0, 1]. ``nll``: in nats. NaN where there
    is no picture to measure on.
    ``ms_per_char``: inference, and normalisation unless the file is a pack (``packed``); decoding is not counted.
    """

    file: str
    closed: bool
    packed: bool
    batch_size: int
    answers: int
    n: int
    blank: int
    outside: int
    left_out: int
    top1: float
    top5: float
    top10: float
    refused: int
    outside_refused: int
    top1_answered: float
    ece: float
    nll: float
    ms_per_char: float
    per_class: tuple[ClassScore, ...]
    confusions: tuple[ConfusedPair, ...]
    confident_mistakes: tuple[Mistake, ...]
    reliability: Reliability
    among: str = ""
    outside_labels: Mapping[str, int] = field(default_factory=dict)
    per_writer: tuple[WriterScore, ...] = ()
    """The writers of the scored pictures, in the order of their names."""

    @property
    def writer_spread(self) -> WriterSpread | None:
        """The spread over the known writers; None where no writer is known."""
        known = [score for score in self.per_writer if score.writer]
        if not known:
            return None
        accuracies = [score.top1 for score in known]
        return WriterSpread(
            n=len(known),
            mean=statistics.mean(accuracies),
            std=statistics.stdev(accuracies) if len(known) > 1 else math.nan,
            worst=min(known, key=lambda score: score.top1),
        )

    def as_dict(self, *, per_writer: bool = False) -> dict[str, Any]:
        """The figures in the order of the command line's JSON, rounded; NaN becomes None.

        ``per_writer`` adds the list ``per_writer`` and the object ``writers``, the spread (None without known writers).
        """
        names = ("top1", "top5", "top10", "ece", "ms_per_char", "nll", "top1_answered")
        figures = {name: _rounded(getattr(self, name)) for name in names}
        counts = {name: getattr(self, name) for name in ("blank", "outside", "refused", "outside_refused", "answers")}
        restricted = {"closed": self.closed, "among": self.among}
        labels = {"outside_labels": dict(self.outside_labels)}
        writers = self._writers() if per_writer else {}
        return {"file": self.file, "n": self.n, **figures, **counts, **labels, **restricted, **writers}

    def _writers(self) -> dict[str, Any]:
        scores = [{"writer": s.writer, "n": s.n, "top1": _rounded(s.top1)} for s in self.per_writer]
        if spread := self.writer_spread:
            figures = {name: _rounded(value) for name, value in (("mean", spread.mean), ("std", spread.std))}
            worst = {"worst_writer": spread.worst.writer, "worst": _rounded(spread.worst.top1)}
            return {"per_writer": scores, "writers": {"n": spread.n, **figures, **worst}}
        return {"per_writer": scores, "writers": None}


def _rounded(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
