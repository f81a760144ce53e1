"""A recogniser and labelled pictures in, an :class:`Evaluation` out.

Pictures stream through in batches and only a few numbers a picture are kept, so the size of the set hardly matters.

What counts as what:

- a label **outside** the bundle's charset has no right answer. It is counted apart, never scored, and only asked
  whether the recogniser would have refused it;
- a **blank** picture is a wrong answer: its writer meant something and the reader names nothing. No probability
  goes with it, so it takes no part in calibration, refusals and confusions;
- a probability or evidence below what the bundle asks for is **refused**. Top-k still scores the answer
  underneath, as the field does; ``top1_answered`` scores only what was not refused;
- a **closed** test restricts the answers to the characters that occur in it, as the 100-way tests of papers do.
"""

from __future__ import annotations

import heapq
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.data.pack import Pack
from hanmo.data.sample import Sample
from hanmo.errors import BlankImageError, BundleError, ConfigError, DataError
from hanmo.evaluate.calibration import negative_log_likelihood, reliability
from hanmo.evaluate.metrics import Ranks, answers, class_means, confused_pairs, pair_counts, ranks, restrict
from hanmo.evaluate.result import ClassScore, ConfusedPair, Evaluation, Mistake, Squares
from hanmo.probability import evidence, softmax

if TYPE_CHECKING:
    from hanmo.charset import Charset
    from hanmo.normalize import Normalization
    from hanmo.recognizer import Recognizer

PICTURES_KEPT = 10_000
"""Mistakes whose pictures are remembered, the most confident ones first: 41 MB at 64 px."""

CONFUSIONS = 20
PICTURES_A_CONFUSION = 10
CONFIDENT_MISTAKES = 30


class Batch(NamedTuple):
    """Pictures ready for the net, (B, S, S), with a label and a source each; labels of blank ones; seconds it took."""

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
    batch_size: int = 64,
    file: str = "",
    on_progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Read every sample with ``recognizer`` and score the answers.

    ``samples`` is a pack of the bundle's normalisation or anything that yields samples; a closed test goes through it
    twice, once for the labels (an iterator is read into memory for that). ``file`` names it in the result.
    ``on_progress`` is told how many samples are done. Raises :class:`DataError` when there are none,
    :class:`PackError` when a pack was normalised differently and :class:`ConfigError` for a batch of nothing.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}; at least one picture goes into a batch")
    bundle = recognizer.bundle
    if isinstance(samples, Pack):
        samples.require(normalization=bundle.normalization)
        batches = _from_pack(samples, batch_size)
    else:
        if closed and iter(samples) is samples:
            samples = list(samples)
        batches = _from_samples(samples, bundle.normalization, batch_size)
    allowed = _classes_present(samples, bundle.charset) if closed else None
    tally = _Tally(recognizer, allowed)
    done = 0
    for batch in batches:
        tally.add(batch)
        done += len(batch.labels) + len(batch.blank)
        if on_progress:
            on_progress(done)
    if not done:
        raise DataError(f"{file or 'input'}: no samples in it; nothing to evaluate")
    return tally.evaluation(file=file, pack=samples if isinstance(samples, Pack) else None, batch_size=batch_size)


class _Scored(NamedTuple):
    """A row for each scored picture: classes, ranks, probability of the answer, loss of the label, not refused."""

    label: NDArray[np.int64]
    said: NDArray[np.int64]
    above: NDArray[np.int64]
    tied: NDArray[np.int64]
    sure: NDArray[np.float64]
    nll: NDArray[np.float64]
    answered: NDArray[np.bool_]


class _Tally:
    """Everything remembered of the pictures seen so far."""

    def __init__(self, recognizer: Recognizer, allowed: NDArray[np.int64] | None) -> None:
        self.recognizer = recognizer
        self.charset = recognizer.bundle.charset
        self.allowed = allowed
        self.scored: list[_Scored] = [
            _Scored(*(np.empty(0, kind) for kind in (int, int, int, int, float, float, bool)))
        ]
        self.blank: list[int] = []
        self.outside = self.outside_refused = self.pictures = 0
        self.seconds = 0.0
        self.mistakes: list[tuple[float, int, Mistake]] = []  # a heap, the least confident on top

    def add(self, batch: Batch) -> None:
        self.blank += [self.charset.index(label) for label in batch.blank if label in self.charset]
        self.outside += sum(label not in self.charset for label in batch.blank)
        if not batch.labels:
            return
        if not self.pictures:
            self.recognizer.logits(batch.squares[:1])  # the first call allocates memory; it is not timed
        start = time.perf_counter()
        logits = self.recognizer.logits(batch.squares)
        self.seconds += batch.seconds + time.perf_counter() - start
        self.pictures += len(batch.labels)
        known = evidence(logits) >= self.recognizer.bundle.least_evidence
        if self.allowed is not None and len(self.allowed):
            logits = restrict(logits, self.allowed)
        self._score(batch, logits, known)

    def _score(self, batch: Batch, logits: NDArray[np.floating[Any]], known: NDArray[np.bool_]) -> None:
        bundle, said = self.recognizer.bundle, answers(logits)
        sure = softmax(logits, bundle.temperature)[np.arange(len(said)), said]
        if not np.isfinite(sure).all():
            raise BundleError("the net of this bundle answers with numbers that are not finite; export it again")
        inside = np.array([label in self.charset for label in batch.labels])
        self.outside += int((~inside).sum())
        answered = known & (sure >= bundle.refusal_threshold)
        self.outside_refused += int((~answered[~inside]).sum())
        rows = np.flatnonzero(inside)
        labels = self.charset.encode([batch.labels[row] for row in rows])
        above, tied = ranks(logits[rows], labels)
        nll = negative_log_likelihood(logits[rows], labels, bundle.temperature)
        self.scored.append(_Scored(labels, said[rows], above, tied, sure[rows], nll, answered[rows]))
        for row in rows[said[rows] != labels]:
            self._remember(batch, int(row), self.charset[said[row]], float(sure[row]))

    def _remember(self, batch: Batch, row: int, said: str, sure: float) -> None:
        order = -(self.pictures - len(batch.labels) + row)  # of equally confident mistakes the first stays
        if len(self.mistakes) == PICTURES_KEPT and (sure, order) < self.mistakes[0][:2]:
            return
        square, source = batch.squares[row].copy(), batch.sources[row]
        mistake = Mistake(true=batch.labels[row], said=said, probability=sure, square=square, source=source)
        heapq.heappush(self.mistakes, (sure, order, mistake))
        if len(self.mistakes) > PICTURES_KEPT:
            heapq.heappop(self.mistakes)

    def evaluation(self, *, file: str, pack: Pack | None, batch_size: int) -> Evaluation:
        """All of it as figures."""
        label, said, above, tied, sure, nll, answered = map(np.concatenate, zip(*self.scored, strict=True))
        standing = Ranks(above, tied)
        blank = np.zeros(len(self.blank))
        credit = {k: np.concatenate([standing.credit(k), blank]) for k in (1, 5, 10)}
        bins = reliability(sure, credit[1][: len(sure)])
        mistakes = [mistake for *_, mistake in sorted(self.mistakes, key=lambda item: item[:2], reverse=True)]
        return Evaluation(
            file=file,
            closed=self.allowed is not None,
            packed=pack is not None,
            left_out=sum(pack.skipped.values()) if pack is not None else 0,
            batch_size=batch_size,
            answers=len(self.charset) if self.allowed is None else len(self.allowed),
            n=len(credit[1]),
            blank=len(self.blank),
            outside=self.outside,
            top1=100 * _mean(credit[1]),
            top5=100 * _mean(credit[5]),
            top10=100 * _mean(credit[10]),
            refused=int((~answered).sum()),
            outside_refused=self.outside_refused,
            top1_answered=100 * _mean(credit[1][: len(sure)][answered]),
            ece=bins.error,
            nll=_mean(nll),
            ms_per_char=1000 * self.seconds / self.pictures if self.pictures else math.nan,
            per_class=self._per_class(np.concatenate([label, np.array(self.blank, int)]), credit[1], label, said),
            confusions=self._confusions(said, label, mistakes),
            confident_mistakes=tuple(mistakes[:CONFIDENT_MISTAKES]),
            reliability=bins,
        )

    def _per_class(
        self, every: NDArray[np.int64], credit: NDArray[np.float64], label: NDArray[np.int64], said: NDArray[np.int64]
    ) -> tuple[ClassScore, ...]:
        taken_for: dict[int, int] = {}
        for (true, to), _ in Counter(pair_counts(said, label)).most_common():
            taken_for.setdefault(true, to)
        shares = 100 * class_means(credit, every, len(self.charset))
        counts = np.bincount(every, minlength=len(self.charset))
        return tuple(
            ClassScore(
                character=self.charset[c],
                n=int(counts[c]),
                top1=float(shares[c]),
                taken_for=self.charset[taken_for[c]] if c in taken_for else "",
            )
            for c in np.flatnonzero(counts).tolist()
        )

    def _confusions(
        self, said: NDArray[np.int64], label: NDArray[np.int64], mistakes: list[Mistake]
    ) -> tuple[ConfusedPair, ...]:
        pictures: dict[tuple[str, str], list[Mistake]] = {}
        for mistake in mistakes:
            pictures.setdefault((mistake.true, mistake.said), []).append(mistake)
        named = [
            (self.charset[pair.true], self.charset[pair.said], pair) for pair in confused_pairs(said, label, CONFUSIONS)
        ]
        return tuple(
            ConfusedPair(
                true=true,
                said=to,
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


def _classes_present(samples: Iterable[Sample] | Pack, charset: Charset) -> NDArray[np.int64]:
    """The classes that occur, in order: what a closed test may answer."""
    if isinstance(samples, Pack):
        labels = {samples.charset[c] for c in np.unique(samples.labels)}
    else:
        labels = {sample.label for sample in samples}
    return np.array(sorted(charset.index(label) for label in labels if label in charset), np.int64)


def _source(source: str, writer: str) -> str:
    return f"{source}, writer {writer}" if writer else source


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else math.nan
