"""Results of HWDB-C as plain frozen records, for the table, the JSON and the heat map."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hanmo.evaluate.corruptions import SEVERITIES, VERSION

JUDGED = 3
"""Severity at which the drop against clean pages is reported: people still read these pages without effort."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """How a reader did on some pages. All but ``ece``, which is in [0, 1], are in per cent of the pages.

    ``accuracy`` counts refused and blank pages as wrong. ``sure_wrong`` pages were answered, not refused, with a wrong
    character and a probability above 0.9. ``ece`` is the expected calibration error of the best candidates, refused
    or not; NaN when the reader gives no probabilities.
    """

    accuracy: float
    refused: float
    sure_wrong: float
    ece: float


@dataclass(frozen=True, kw_only=True)
class CorruptionReport:
    """A reader on the clean and the corrupted pages of one file.

    ``n`` samples of the ``total`` in ``file`` were read, drawn with ``seed``; ``outside`` have labels that the reader
    does not know and could not be drawn. ``closed`` says that the reader chose among the file's characters only,
    ``among`` names the characters that it chose among; it is empty for all.
    ``corruptions`` holds five scores for each corruption, of severities 1 to 5; ``severities`` five scores, each over
    the pages of all corruptions.
    """

    file: str
    reader: str
    seed: int
    n: int
    total: int
    outside: int
    closed: bool
    clean: Score
    corruptions: Mapping[str, tuple[Score, ...]]
    severities: tuple[Score, ...]
    among: str = ""

    @property
    def mca(self) -> float:
        """Mean corruption accuracy in per cent: over all corruptions and severities, each with the same weight."""
        return _mean([score.accuracy for scores in self.corruptions.values() for score in scores])

    @property
    def drop(self) -> float:
        """Points of accuracy lost at severity 3 against the clean pages, the mean over the corruptions."""
        return self.clean.accuracy - self.severities[JUDGED - 1].accuracy

    @property
    def sure_wrong(self) -> float:
        """Per cent of all corrupted pages that were read wrongly with a probability above 0.9."""
        return _mean([score.sure_wrong for score in self.severities])

    def mean(self, corruption: str) -> float:
        """Accuracy in per cent of one corruption, the mean over its severities."""
        return _mean([score.accuracy for score in self.corruptions[corruption]])

    def drop_of(self, corruption: str) -> float:
        """Points of accuracy lost at severity 3 of one corruption."""
        return self.clean.accuracy - self.corruptions[corruption][JUDGED - 1].accuracy

    def as_dict(self) -> dict[str, Any]:
        """The figures in the order of the command line's JSON, rounded; NaN becomes None."""
        return {
            "file": self.file,
            "reader": self.reader,
            "benchmark": "HWDB-C",
            "version": VERSION,
            "seed": self.seed,
            "n": self.n,
            "total": self.total,
            "outside": self.outside,
            "closed": self.closed,
            "among": self.among,
            "mca": _rounded(self.mca),
            "drop": _rounded(self.drop),
            "sure_wrong": _rounded(self.sure_wrong),
            "clean": _figures(self.clean),
            "severities": {str(s): _figures(score) for s, score in zip(SEVERITIES, self.severities, strict=True)},
            "corruptions": {
                name: {
                    "mean": _rounded(self.mean(name)),
                    "drop": _rounded(self.drop_of(name)),
                    "accuracy": [_rounded(score.accuracy) for score in scores],
                    "refused": [_rounded(score.refused) for score in scores],
                    "sure_wrong": [_rounded(score.sure_wrong) for score in scores],
                    "ece": [_rounded(score.ece) for score in scores],
                }
                for name, scores in self.corruptions.items()
            },
        }


def _figures(score: Score) -> dict[str, float | None]:
    return {name: _rounded(getattr(score, name)) for name in ("accuracy", "refused", "sure_wrong", "ece")}


def _mean(values: list[float]) -> float:
    # fsum, because a plain sum depends on the order of the values in its last digits.
    return math.fsum(values) / len(values)


def _rounded(value: float) -> float | None:
    # JSON has no NaN.
    return round(value, 4) if math.isfinite(value) else None
