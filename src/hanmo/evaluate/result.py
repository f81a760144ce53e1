"""The result of an evaluation as plain frozen records, for the report and the command line."""

from __future__ import annotations

import math
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

    def as_dict(self) -> dict[str, Any]:
        """The figures in the order of the command line's JSON, rounded; NaN becomes None."""
        names = ("top1", "top5", "top10", "ece", "ms_per_char", "nll", "top1_answered")
        figures = {name: _rounded(getattr(self, name)) for name in names}
        counts = {name: getattr(self, name) for name in ("blank", "outside", "refused", "outside_refused", "answers")}
        restricted = {"closed": self.closed, "among": self.among}
        labels = {"outside_labels": dict(self.outside_labels)}
        return {"file": self.file, "n": self.n, **figures, **counts, **labels, **restricted}


def _rounded(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
