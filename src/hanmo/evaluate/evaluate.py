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

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import NDArray

from hanmo.charset import Members, all_named, list_characters
from hanmo.data.pack import Pack
from hanmo.data.sample import Sample
from hanmo.errors import ArgumentError, BlankImageError, DataError
from hanmo.evaluate.result import Evaluation
from hanmo.evaluate.tally import Batch, Tally
from hanmo.evaluate.tally import Unknown as Unknown

if TYPE_CHECKING:
    from hanmo.normalize import Normalization
    from hanmo.recognizer import Recognizer


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
    tally = Tally(recognizer, members, allowed, unknown)
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
        among=name_of(among),
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
                blank.append(sample)
        stacked = np.stack(squares) if squares else np.empty((0, normalization.side, normalization.side), np.uint8)
        seconds = time.perf_counter() - start
        yield Batch(
            squares=stacked,
            labels=[s.label for s in kept],
            sources=[_source(s.source, s.writer) for s in kept],
            writers=[s.writer for s in kept],
            blank=[s.label for s in blank],
            blank_writers=[s.writer for s in blank],
            seconds=seconds,
        )


def _from_pack(pack: Pack, size: int) -> Iterator[Batch]:
    for start in range(0, len(pack), size):
        rows = range(start, min(start + size, len(pack)))
        labels = [pack.charset[c] for c in pack.labels[start : rows.stop]]
        writers = [pack.writer_of(row) for row in rows]
        sources = [_source(pack.source_of(row), writer) for row, writer in zip(rows, writers, strict=True)]
        yield Batch(np.array(pack.images[start : rows.stop]), labels, sources, writers, [], [], 0.0)


def _classes_present(samples: Iterable[Sample] | Pack, members: Members) -> NDArray[np.int64]:
    """The classes that occur, in order: the possible answers of a closed test."""
    if isinstance(samples, Pack):
        labels = {samples.charset[c] for c in np.unique(samples.labels)}
    else:
        labels = {sample.label for sample in samples}
    return np.unique(members.encode([label for label in labels if label in members.known]))


def _source(source: str, writer: str) -> str:
    return f"{source}, writer {writer}" if writer else source
