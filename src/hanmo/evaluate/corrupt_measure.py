"""HWDB-C: a reader and labelled samples in, a :class:`CorruptionReport` out.

Any reader can be measured: it is a function from pages to readings, and every reader gets exactly the same pages. A
page depends only on the file, the sample's number in it, the corruption and the severity.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from hanmo.charset import Members
from hanmo.data.sample import Sample
from hanmo.errors import ArgumentError, DataError, HanmoError
from hanmo.evaluate.calibration import expected_calibration_error
from hanmo.evaluate.corrupt_page import Grey, clean_page
from hanmo.evaluate.corrupt_result import CorruptionReport, Score
from hanmo.evaluate.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from hanmo.evaluate.evaluate import Unknown, check_closed, name_of

if TYPE_CHECKING:
    from hanmo.recognizer import Recognizer

LIMIT = 300
"""Samples of a file that are read by default."""
PAGES = 1 + len(CORRUPTIONS) * len(SEVERITIES)
"""Pages of a sample: a clean one, and one of each corruption at each severity."""
NEIGHBOURS = 4
"""Other samples that may appear beside each sample, as many as a page has sides."""
SURE = 0.9
"""Probability above which a wrong answer counts as a confident mistake, which a user would have trusted."""


class Reading(NamedTuple):
    """A reader's answer for a page: the best candidate (None: no candidate) and its probability.

    A reader without probabilities gives NaN. ``refused``: the reader refused to answer.
    """

    character: str | None
    probability: float = math.nan
    refused: bool = False


Reader: TypeAlias = Callable[[Sequence[Grey]], Sequence[Reading]]
"""Pages, each uint8 (112, 112), 255 = white -> a reading for each, in their order."""


class Chosen(NamedTuple):
    """A sample to read: its number in the file, its label and picture, and pictures of its neighbours on the page."""

    number: int
    label: str
    image: Grey
    neighbours: tuple[Grey, ...]


@dataclass(frozen=True, kw_only=True)
class Subset:
    """The samples of a file that are read. ``characters`` are the known labels of the whole file, in code order."""

    file: str
    seed: int
    total: int
    outside: int
    characters: tuple[str, ...]
    samples: tuple[Chosen, ...]


def evaluate_corruptions(
    recognizer: Recognizer,
    samples: Iterable[Sample],
    *,
    limit: int = LIMIT,
    seed: int = 0,
    closed: bool = False,
    among: Collection[str] | None = None,
    unknown: Unknown = "skip",
    batch_size: int = 64,
    file: str = "",
    on_progress: Callable[[int], None] | None = None,
) -> CorruptionReport:
    """Measure a recogniser on the clean and the corrupted pages of ``limit`` random samples (0: of all).

    ``samples`` are read twice, so an iterator is first read into memory. With ``closed`` the recogniser answers
    only with characters that occur in the file, with ``among`` only with these (as in :meth:`Recognizer.recognize`).
    ``unknown`` is as in :func:`hanmo.evaluate.evaluate.evaluate_recognizer`. ``file`` names the samples in the result.
    ``on_progress`` is called with the number of pages read so far, of 101 a sample.

    Raises :class:`DataError` when no sample has a label that the recogniser knows, and :class:`ArgumentError`
    for a negative limit or seed and for a batch size below 1.
    """
    check_closed(closed=closed, among=among)
    bundle, members = recognizer.bundle, Members(recognizer.bundle.charset, recognizer.bundle.groups)
    choice = members.all if among is None else members.among(among)
    # By class: members of a group look the same, so an answer with another member of the label's class is right.
    answerable = range(len(bundle.charset)) if choice.classes is None else frozenset(choice.classes.tolist())
    known = [c for c in members.known if members.class_of(c) in answerable]
    subset = choose_samples(samples, known=known, limit=limit, seed=seed, file=file)
    if unknown == "error" and subset.outside:
        raise DataError(
            f"{file or 'input'}: {subset.outside:,} labels that the reader cannot answer with; leave these samples "
            "out, or read only the others (--unknown skip)"
        )
    names = {c: bundle.charset[members.class_of(c)] for c in members.known}
    by_class = replace(subset, samples=tuple(s._replace(label=names[s.label]) for s in subset.samples))
    read = reader_of(recognizer, batch_size=batch_size, among=subset.characters if closed else among)

    def reader(pages: Sequence[Grey]) -> list[Reading]:
        return [r._replace(character=names.get(r.character or "")) for r in read(pages)]

    report = measure(reader, by_class, name=bundle.name, closed=closed, on_progress=on_progress)
    return replace(report, among=name_of(among))


def choose_samples(
    samples: Iterable[Sample], *, known: Collection[str], limit: int = LIMIT, seed: int = 0, file: str = ""
) -> Subset:
    """A random subset of the samples with a label in ``known``, spread over the whole file, in the file's order.

    Four neighbours go with each sample, whatever their labels; they depend on its number and on the file's length
    alone. Arguments and errors as of :func:`evaluate_corruptions`.
    """
    if limit < 0 or seed < 0:
        raise ArgumentError(f"limit is {limit}, seed {seed}; neither may be negative")
    # Two passes are needed, first for the labels, then for the pictures of the chosen few. An iterator gives only one.
    if iter(samples) is samples:
        samples = list(samples)
    labels, characters = [sample.label for sample in samples], frozenset(known)
    inside = [index for index, label in enumerate(labels) if label in characters]
    if not inside:
        raise DataError(f"{file or 'input'}: no sample with a character that the reader knows; nothing to evaluate")
    # The first places of a random permutation: with the same seed a larger limit only adds samples. 0 takes all.
    order = np.random.default_rng(seed).permutation(len(inside))[: limit or None]
    # Sorted, so that the samples come in the file's order, whatever the order in which they were drawn.
    chosen = {inside[place]: _around(inside[place], len(labels)) for place in sorted(order.tolist())}
    # Only pictures that some page shows are kept in memory, not those of the whole file.
    needed = {*chosen, *(number for numbers in chosen.values() for number in numbers)}
    images = {index: sample.image for index, sample in enumerate(samples) if index in needed}
    return Subset(
        file=file,
        seed=seed,
        total=len(labels),
        outside=len(labels) - len(inside),
        characters=tuple(sorted({labels[index] for index in inside})),
        samples=tuple(
            Chosen(index, labels[index], images[index], tuple(images[number] for number in numbers))
            for index, numbers in chosen.items()
        ),
    )


def reader_of(recognizer: Recognizer, *, batch_size: int = 64, among: Collection[str] | None = None) -> Reader:
    """A recogniser as a :data:`Reader`. A page that it cannot read, for example a blank one, counts as refused."""

    def read(pages: Sequence[Grey]) -> list[Reading]:
        results = recognizer.recognize_batch(pages, 1, batch_size, among=among, errors="collect")
        readings = []
        for result in results:
            if isinstance(result, HanmoError) or not result.candidates:
                readings.append(Reading(None, refused=True))
            else:
                best = result.candidates[0]
                readings.append(Reading(best.character, best.probability, result.refused))
        return readings

    return read


def pages_of(subset: Subset, corruption: str | None = None, severity: int = 1) -> list[Grey]:
    """The pages of a subset, uint8 (112, 112) each: corrupted by a corruption, or clean without one."""
    if corruption is None:
        return [clean_page(sample.image) for sample in subset.samples]
    return [corrupt(corruption, severity, s.image, s.number, s.neighbours) for s in subset.samples]


def measure(
    reader: Reader,
    subset: Subset,
    *,
    name: str,
    closed: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> CorruptionReport:
    """Let a reader read the clean and all corrupted pages of a subset. ``name`` and ``closed`` go into the report.

    ``on_progress`` is called with the number of pages read so far. Raises the errors of the reader, and
    :class:`ArgumentError` when it does not answer every page.
    """
    labels = [sample.label for sample in subset.samples]
    done = 0

    def read(corruption: str | None = None, severity: int = 1) -> list[Reading]:
        nonlocal done
        readings = list(reader(pages_of(subset, corruption, severity)))
        if len(readings) != len(labels):
            raise ArgumentError(f"{name} gave {len(readings)} readings of {len(labels)} pages; one for each is needed")
        done += len(labels)
        if on_progress:
            on_progress(done)
        return readings

    clean = _score(read(), labels)
    cells = {corruption: [read(corruption, severity) for severity in SEVERITIES] for corruption in CORRUPTIONS}
    # All readings of one severity, corruption after corruption. labels * len(cells) below repeats the labels likewise.
    pooled = [[reading for row in cells.values() for reading in row[severity - 1]] for severity in SEVERITIES]
    return CorruptionReport(
        file=subset.file,
        reader=name,
        seed=subset.seed,
        n=len(labels),
        total=subset.total,
        outside=subset.outside,
        closed=closed,
        clean=clean,
        corruptions={
            corruption: tuple(_score(readings, labels) for readings in row) for corruption, row in cells.items()
        },
        severities=tuple(_score(readings, labels * len(cells)) for readings in pooled),
    )


def _around(index: int, total: int) -> tuple[int, ...]:
    """Numbers of four other samples of the file; the sample's own where there is no other."""
    if total == 1:
        return (index,) * NEIGHBOURS
    # A shift of 1 to total - 1 is never the sample itself. The crc32 keeps these numbers apart from other generators'.
    rng = np.random.default_rng([zlib.crc32(b"around"), index])
    return tuple((index + shift) % total for shift in rng.integers(1, total, NEIGHBOURS).tolist())


def _score(readings: Sequence[Reading], labels: Sequence[str]) -> Score:
    right = np.array([reading.character == label for reading, label in zip(readings, labels, strict=True)])
    refused = np.array([reading.refused for reading in readings])
    probability = np.array([reading.probability for reading in readings], np.float64)
    named = np.array([reading.character is not None for reading in readings])
    # Blank pages have no probability, nor has a reader that gives none: they cannot count for calibration.
    rated = named & np.isfinite(probability)
    return Score(
        accuracy=100 * float((right & ~refused).mean()),
        refused=100 * float(refused.mean()),
        sure_wrong=100 * float((rated & ~right & ~refused & (probability > SURE)).mean()),
        ece=expected_calibration_error(probability[rated], right[rated]),
    )
