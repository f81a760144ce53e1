"""A recogniser and labelled pictures in, an :class:`Evaluation` out.

Pictures are read in batches, and only a few numbers of each are kept, so memory does not grow much with the test set.

Special cases are scored like this:

- **groups**: characters that look the same share a class. A label that is a member of a group counts as its class.
- **outside**: no class that may be answered has the label, so no answer can be right. Such a picture is not scored; it
  is counted apart, with the number of those that the recogniser refused.
- **blank**: the picture has no ink. It counts as a wrong answer. It has no probability, so it is left out of
  calibration, refusals and confusions.
- **refused**: the probability or the evidence is below the bundle's threshold. Top-k accuracy scores the best
  candidates nevertheless, as papers do; ``top1_answered`` scores only the answers that were not refused.
- **closed**: the recogniser may only answer with characters that occur in the test set, as in papers that test
  100-way on 100 characters. The open test is among all characters of the bundle (3,755-way).
- **among**: the recogniser may only answer with the characters of some sets, such as level1, whatever the test set has.
"""

from __future__ import annotations

import heapq
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from hanmo.charset import Members, all_named, list_characters
from hanmo.data.pack import Pack
from hanmo.data.sample import Sample
from hanmo.errors import ArgumentError, BlankImageError, BundleError, DataError
from hanmo.evaluate.calibration import negative_log_likelihood, reliability
from hanmo.evaluate.metrics import Ranks, answers, class_means, confused_pairs, pair_counts, ranks, restrict
from hanmo.evaluate.result import ClassScore, ConfusedPair, Evaluation, Mistake, Squares
from hanmo.probability import evidence, softmax

if TYPE_CHECKING:
    from hanmo.normalize import Normalization
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
    """Squares uint8 (B, S, S) with a label and a source each; labels of blank pictures; seconds of normalisation."""

    squares: Squares
    labels: list[str]
    sources: list[str]
    blank: list[str]
    seconds: float


def evaluate_recognizer(
    recognizer: Recognizer,
    samples: Iterable[Sample] | Pack,
    *,
    closed: bool = False,
    among: Collection[str] | None = None,
    unknown: Unknown = "skip",
    batch_size: int = 64,
    file: str = "",
    on_progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Read every sample with ``recognizer`` and score the answers.

    ``among`` restricts the answers as in :meth:`Recognizer.recognize`; ``closed`` restricts them to the labels of the
    samples. ``unknown`` says what happens to a label that cannot be answered: "skip" counts it and scores the others,
    "error" raises :class:`DataError`, naming it.

    ``samples`` is a pack of the bundle's normalisation or anything that yields samples. A closed test reads it twice,
    first for the labels, so an iterator is read into memory. ``file`` names it in the result.
    ``on_progress`` is called with the number of samples read so far.

    Raises :class:`DataError` when there are no samples, :class:`PackError` when a pack was normalised differently,
    :class:`ArgumentError` for a batch of nothing and for both ``closed`` and ``among``, and the errors of
    :func:`hanmo.charset.select` for ``among``.
    """
    if batch_size < 1:
        raise ArgumentError(f"batch_size is {batch_size}; at least one picture goes into a batch")
    if unknown not in get_args(Unknown):
        raise ArgumentError(f"unknown is {unknown!r}; one of {', '.join(get_args(Unknown))}")
    check_closed(closed=closed, among=among)
    bundle = recognizer.bundle
    members = Members(bundle.charset, bundle.groups)
    if isinstance(samples, Pack):
        samples.require(normalization=bundle.normalization)
        batches = _from_pack(samples, batch_size)
    else:
        # A closed test passes over the samples twice; an iterator would be empty the second time.
        if closed and iter(samples) is samples:
            samples = list(samples)
        batches = _from_samples(samples, bundle.normalization, batch_size)
    allowed = _classes_present(samples, members) if closed else None
    if among is not None:
        allowed = members.among(among).classes
    tally = _Tally(recognizer, members, allowed, unknown)
    done = 0
    for batch in batches:
        tally.add(batch)
        done += len(batch.labels) + len(batch.blank)
        if on_progress:
            on_progress(done)
    if not done:
        raise DataError(f"{file or 'input'}: no samples in it; nothing to evaluate")
    return tally.evaluation(
        file=file,
        pack=samples if isinstance(samples, Pack) else None,
        batch_size=batch_size,
        closed=closed,
        among=among,
    )


def check_closed(*, closed: bool, among: Collection[str] | None) -> None:
    """Raise :class:`ArgumentError` where the answers are restricted in two ways."""
    if closed and among is not None:
        raise ArgumentError("closed and among both restrict the answers; leave one of them out")


def name_of(among: Collection[str] | None) -> str:
    """The words of ``among`` for a report: names of sets as they are, other characters by their number."""
    if among is None:
        return ""
    words = [among] if isinstance(among, str) else sorted(among)
    if all(all_named(word) for word in words):
        return "+".join(words)
    return list_characters([c for word in words for c in word])


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


class _Tally:
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
            _Scored(*(np.empty(0, kind) for kind in (int, int, int, int, float, float, bool)))
        ]
        self.blank: list[int] = []
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
        self.blank += [self.members.class_of(label) for label in batch.blank if self._can_answer(label)]
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
        self.scored.append(_Scored(labels, predicted[rows], above, tied, confidence[rows], nll, answered[rows]))
        for row in rows[predicted[rows] != labels]:
            self._remember(batch, int(row), self.charset[predicted[row]], float(confidence[row]))

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

    def evaluation(
        self, *, file: str, pack: Pack | None, batch_size: int, closed: bool, among: Collection[str] | None
    ) -> Evaluation:
        """The figures of all batches so far."""
        label, predicted, above, tied, confidence, nll, answered = map(np.concatenate, zip(*self.scored, strict=True))
        label_ranks = Ranks(above, tied)
        blank = np.zeros(len(self.blank))  # blank pictures count as wrong
        credit = {k: np.concatenate([label_ranks.credit(k), blank]) for k in (1, 5, 10)}
        # The credits end with the blank pictures, which have no probability: only the scored ones are calibrated.
        bins = reliability(confidence, credit[1][: len(confidence)])
        mistakes = [mistake for *_, mistake in sorted(self.mistakes, key=lambda item: item[:2], reverse=True)]
        return Evaluation(
            file=file,
            closed=closed,
            among=name_of(among),
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


def _from_samples(samples: Iterable[Sample], normalization: Normalization, size: int) -> Iterator[Batch]:
    waiting = iter(samples)
    while chunk := list(islice(waiting, size)):
        squares, kept, blank = [], [], []
        start = time.perf_counter()
        for sample in chunk:
            try:
                squares.append(normalization(sample.image))
                kept.append(sample)
            except BlankImageError:
                blank.append(sample.label)
        stacked = np.stack(squares) if squares else np.empty((0, normalization.side, normalization.side), np.uint8)
        seconds = time.perf_counter() - start
        yield Batch(stacked, [s.label for s in kept], [_source(s.source, s.writer) for s in kept], blank, seconds)


def _from_pack(pack: Pack, size: int) -> Iterator[Batch]:
    for start in range(0, len(pack), size):
        rows = range(start, min(start + size, len(pack)))
        labels = [pack.charset[c] for c in pack.labels[start : rows.stop]]
        sources = [_source(pack.source_of(row), pack.writer_of(row)) for row in rows]
        yield Batch(np.array(pack.images[start : rows.stop]), labels, sources, [], 0.0)


def _classes_present(samples: Iterable[Sample] | Pack, members: Members) -> NDArray[np.int64]:
    """The classes that occur, in order: the possible answers of a closed test."""
    if isinstance(samples, Pack):
        labels = {samples.charset[c] for c in np.unique(samples.labels)}
    else:
        labels = {sample.label for sample in samples}
    return np.unique(members.encode([label for label in labels if label in members.known]))


def _source(source: str, writer: str) -> str:
    return f"{source}, writer {writer}" if writer else source


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else math.nan
