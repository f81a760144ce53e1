"""Numbers of every scored picture, and the :class:`Evaluation` that they give.

:mod:`hanmo.evaluate.evaluate` explains how special cases are scored, and feeds the batches.
"""

from __future__ import annotations

import heapq
import math
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.charset import Members, list_characters
from hanmo.data.pack import Pack
from hanmo.errors import BundleError, DataError
from hanmo.evaluate.calibration import negative_log_likelihood, reliability
from hanmo.evaluate.metrics import Ranks, answers, class_means, confused_pairs, pair_counts, ranks, restrict
from hanmo.evaluate.result import ClassScore, ConfusedPair, Evaluation, Mistake, Squares, WriterScore
from hanmo.probability import evidence, softmax

if TYPE_CHECKING:
    from hanmo.recognizer import Recognizer

Unknown = Literal["skip", "error"]
"""What to do with a label that cannot be answered."""

PICTURES_KEPT = 10_000
"""Mistakes whose pictures are kept, the most confident ones: 41 MB at 64 pixels."""

CONFUSIONS = 20
"""Confused pairs in the result."""
PICTURES_A_CONFUSION = 10
CONFIDENT_MISTAKES = 30


class Batch(NamedTuple):
    """Squares uint8 (B, S, S) with a label, a source and a writer each; seconds of normalisation.

    ``blank`` and ``blank_writers`` are the labels and writers of pictures without ink. The writer "" is unknown.
    """

    squares: Squares
    labels: list[str]
    sources: list[str]
    writers: list[str]
    blank: list[str]
    blank_writers: list[str]
    seconds: float


class _Scored(NamedTuple):
    """Numbers kept of the scored pictures, each (N,)."""

    label: NDArray[np.int64]
    predicted: NDArray[np.int64]
    above: NDArray[np.int64]
    """Classes with a larger logit than the label, see :class:`Ranks`."""
    tied: NDArray[np.int64]
    confidence: NDArray[np.float64]
    """Probability of the predicted class."""
    nll: NDArray[np.float64]
    """Negative log-likelihood of the label."""
    answered: NDArray[np.bool_]
    """Not refused."""
    writer: NDArray[np.int64]
    """Number of the writer, see :attr:`Tally.writers`."""


class Tally:
    """Collects the numbers of all batches and turns them into an :class:`Evaluation`."""

    def __init__(
        self, recognizer: Recognizer, members: Members, allowed: NDArray[np.int64] | None, unknown: Unknown
    ) -> None:
        self.recognizer, self.members, self.unknown = recognizer, members, unknown
        # The classes that a label may have; None stands for all.
        self._answerable = None if allowed is None else frozenset(allowed.tolist())
        self.charset = recognizer.bundle.charset
        self.allowed = allowed
        self.scored: list[_Scored] = [
            # An empty first entry gives concatenate() the right types even when no picture is scored.
            _Scored(*(np.empty(0, kind) for kind in (int, int, int, int, float, float, bool, int)))
        ]
        self.blank: list[int] = []
        self.blank_writers: list[int] = []
        self.writers: dict[str, int] = {}
        """The number of each writer of a scored picture."""
        self.outside: Counter[str] = Counter()
        self.outside_refused = self.pictures = 0
        self.seconds = 0.0
        self.mistakes: list[tuple[float, int, Mistake]] = []  # a heap, the least confident on top

    def add(self, batch: Batch) -> None:
        """Read a batch and keep its numbers."""
        outside = [label for label in (*batch.blank, *batch.labels) if not self._can_answer(label)]
        if outside and self.unknown == "error":
            raise DataError(
                f"{list_characters(list(dict.fromkeys(outside)))}: labels that the reader cannot answer with; leave "
                f"these samples out, or score only the others (--unknown skip)"
            )
        self.outside.update(outside)
        for label, writer in zip(batch.blank, batch.blank_writers, strict=True):
            if self._can_answer(label):
                self.blank.append(self.members.class_of(label))
                self.blank_writers.append(self._number_of(writer))
        if not batch.labels:
            return
        if not self.pictures:
            self.recognizer.logits(batch.squares[:1])  # the first call allocates memory; it is not timed
        start = time.perf_counter()
        logits = self.recognizer.logits(batch.squares)
        self.seconds += batch.seconds + time.perf_counter() - start
        self.pictures += len(batch.labels)
        # Evidence is measured before a closed test removes classes: does the picture look like any character at all?
        known = evidence(logits) >= self.recognizer.bundle.least_evidence
        if self.allowed is not None and len(self.allowed):
            logits = restrict(logits, self.allowed)
        self._score(batch, logits, known)

    def _score(self, batch: Batch, logits: NDArray[np.floating[Any]], known: NDArray[np.bool_]) -> None:
        bundle, predicted = self.recognizer.bundle, answers(logits)
        confidence = softmax(logits, bundle.temperature)[np.arange(len(predicted)), predicted]
        if not np.isfinite(confidence).all():
            raise BundleError("the net of this bundle answers with numbers that are not finite; export it again")
        inside = np.array([self._can_answer(label) for label in batch.labels])
        answered = known & (confidence >= bundle.refusal_threshold)
        self.outside_refused += int((~answered[~inside]).sum())
        # From here on only pictures with a label that the net can answer: the others have no rank and no loss.
        rows = np.flatnonzero(inside)
        labels = self.members.encode([batch.labels[row] for row in rows])
        above, tied = ranks(logits[rows], labels)
        nll = negative_log_likelihood(logits[rows], labels, bundle.temperature)
        writers = np.array([self._number_of(batch.writers[row]) for row in rows], int)
        self.scored.append(
            _Scored(labels, predicted[rows], above, tied, confidence[rows], nll, answered[rows], writers)
        )
        for row in rows[predicted[rows] != labels]:
            self._remember(batch, int(row), self.charset[predicted[row]], float(confidence[row]))

    def _number_of(self, writer: str) -> int:
        return self.writers.setdefault(writer, len(self.writers))

    def _can_answer(self, label: str) -> bool:
        if label not in self.members.known:
            return False
        return self._answerable is None or self.members.class_of(label) in self._answerable

    def _remember(self, batch: Batch, row: int, predicted: str, confidence: float) -> None:
        order = -(self.pictures - len(batch.labels) + row)  # of equally confident mistakes the first stays
        # The heap is full and this mistake is weaker than its weakest: skip copying the picture.
        if len(self.mistakes) == PICTURES_KEPT and (confidence, order) < self.mistakes[0][:2]:
            return
        # A copy, because a view would keep the whole batch in memory.
        square, source = batch.squares[row].copy(), batch.sources[row]
        mistake = Mistake(
            true=batch.labels[row], predicted=predicted, probability=confidence, square=square, source=source
        )
        # Confidence and order never tie together, so the heap never compares two Mistakes (they have no order).
        heapq.heappush(self.mistakes, (confidence, order, mistake))
        if len(self.mistakes) > PICTURES_KEPT:
            heapq.heappop(self.mistakes)

    def evaluation(self, *, file: str, pack: Pack | None, batch_size: int, closed: bool, among: str) -> Evaluation:
        """The figures of all batches so far. ``among`` names the characters that may be answered; empty for all."""
        columns = map(np.concatenate, zip(*self.scored, strict=True))
        label, predicted, above, tied, confidence, nll, answered, writer = columns
        label_ranks = Ranks(above, tied)
        blank = np.zeros(len(self.blank))  # blank pictures count as wrong
        credit = {k: np.concatenate([label_ranks.credit(k), blank]) for k in (1, 5, 10)}
        # The credits end with the blank pictures, which have no probability: only the scored ones are calibrated.
        bins = reliability(confidence, credit[1][: len(confidence)])
        mistakes = [mistake for *_, mistake in sorted(self.mistakes, key=lambda item: item[:2], reverse=True)]
        return Evaluation(
            file=file,
            closed=closed,
            among=among,
            packed=pack is not None,
            left_out=sum(pack.skipped.values()) if pack is not None else 0,
            batch_size=batch_size,
            answers=len(self.charset) if self.allowed is None else len(self.allowed),
            n=len(credit[1]),
            blank=len(self.blank),
            outside=self.outside.total(),
            outside_labels=dict(self.outside.most_common()),
            top1=100 * _mean(credit[1]),
            top5=100 * _mean(credit[5]),
            top10=100 * _mean(credit[10]),
            refused=int((~answered).sum()),
            outside_refused=self.outside_refused,
            top1_answered=100 * _mean(credit[1][: len(confidence)][answered]),
            ece=bins.error,
            nll=_mean(nll),
            ms_per_char=1000 * self.seconds / self.pictures if self.pictures else math.nan,
            per_class=self._per_class(np.concatenate([label, np.array(self.blank, int)]), credit[1], label, predicted),
            per_writer=self._per_writer(np.concatenate([writer, np.array(self.blank_writers, int)]), credit[1]),
            confusions=self._confusions(predicted, label, mistakes),
            confident_mistakes=tuple(mistakes[:CONFIDENT_MISTAKES]),
            reliability=bins,
        )

    def _per_class(
        self,
        all_labels: NDArray[np.int64],
        credit: NDArray[np.float64],
        label: NDArray[np.int64],
        predicted: NDArray[np.int64],
    ) -> tuple[ClassScore, ...]:
        """A score for every class that occurs; ``all_labels`` and ``credit`` include the blank pictures."""
        taken_for: dict[int, int] = {}
        # The most frequent answer comes first; setdefault keeps it for each character.
        for (true, to), _ in Counter(pair_counts(predicted, label)).most_common():
            taken_for.setdefault(true, to)
        accuracies = 100 * class_means(credit, all_labels, len(self.charset))
        counts = np.bincount(all_labels, minlength=len(self.charset))
        return tuple(
            ClassScore(
                character=self.charset[c],
                n=int(counts[c]),
                top1=float(accuracies[c]),
                taken_for=self.charset[taken_for[c]] if c in taken_for else "",
            )
            for c in np.flatnonzero(counts).tolist()
        )

    def _per_writer(self, writer: NDArray[np.int64], credit: NDArray[np.float64]) -> tuple[WriterScore, ...]:
        """A score for every writer of a scored picture, by name; both arrays, (N,), include the blank pictures."""
        accuracies = 100 * class_means(credit, writer, len(self.writers))
        counts = np.bincount(writer, minlength=len(self.writers))
        return tuple(
            WriterScore(writer=name, n=int(counts[number]), top1=float(accuracies[number]))
            for name, number in sorted(self.writers.items())
        )

    def _confusions(
        self, predicted: NDArray[np.int64], label: NDArray[np.int64], mistakes: list[Mistake]
    ) -> tuple[ConfusedPair, ...]:
        pictures: dict[tuple[str, str], list[Mistake]] = {}
        for mistake in mistakes:
            true = self.charset[self.members.class_of(mistake.true)]
            pictures.setdefault((true, mistake.predicted), []).append(mistake)
        pairs = confused_pairs(predicted, label, CONFUSIONS)
        named = [(self.charset[pair.true], self.charset[pair.predicted], pair) for pair in pairs]
        return tuple(
            ConfusedPair(
                true=true,
                predicted=to,
                count=pair.count,
                both=pair.both,
                mistakes=tuple(pictures.get((true, to), [])[:PICTURES_A_CONFUSION]),
            )
            for true, to, pair in named
        )


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else math.nan
