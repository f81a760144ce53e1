"""What an evaluation found: plain frozen records, the only thing the report and the command line need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hanmo.evaluate.calibration import Reliability

Squares = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One wrong answer: ``square`` (S, S) uint8 is what the net saw, ink bright; ``source`` says where it lies."""

    true: str
    said: str
    probability: float
    square: Squares
    source: str


@dataclass(frozen=True, kw_only=True)
class ConfusedPair:
    """``true`` was taken for ``said`` ``count`` times, ``both`` times one way or the other."""

    true: str
    said: str
    count: int
    both: int
    mistakes: tuple[Mistake, ...]


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """One character: ``n`` pictures, ``top1`` per cent, and what it was ``taken_for`` most often ("" if never)."""

    character: str
    n: int
    top1: float
    taken_for: str


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a recogniser made of one file; the module describes how odd pictures count.

    ``n`` pictures were scored, ``blank`` ones among them; ``outside`` were not, and ``left_out`` never came: their
    pack had skipped them. Accuracies are in per cent, ``ece`` in [0, 1], ``nll`` in nats; a figure without a picture
    to rest on is NaN. ``answers`` is the number of characters the recogniser chose from. ``ms_per_char`` counts
    inference, and normalisation unless a pack brought it along (``packed``); decoding files is not counted.
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

    def as_dict(self) -> dict[str, Any]:
        """The figures in the order of the command line's JSON, rounded; NaN becomes None."""
        names = ("top1", "top5", "top10", "ece", "ms_per_char", "nll", "top1_answered")
        figures = {name: _rounded(getattr(self, name)) for name in names}
        counts = {name: getattr(self, name) for name in ("blank", "outside", "refused", "outside_refused", "answers")}
        return {"file": self.file, "n": self.n, **figures, **counts, "closed": self.closed}


def _rounded(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
