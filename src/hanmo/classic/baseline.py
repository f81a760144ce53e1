"""Fit the classic reader on one pack, measure it on another; choose settings by cross-validation on the first."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hanmo.classic.checks import Classes, Floats
from hanmo.classic.lda import Projection
from hanmo.classic.mce import refine
from hanmo.classic.mqdf import MQDF
from hanmo.classic.reader import ClassicConfig, ClassicReader
from hanmo.data.pack import Pack
from hanmo.errors import ArgumentError

TIMED = 300
"""Squares read one by one to measure the time."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassicResult:
    """The result of :func:`run_classic`; accuracies are in per cent of all N test samples."""

    reader: ClassicReader
    scores: Floats
    """(N, C), larger is likelier; usable as logits of hanmo.evaluate.metrics."""
    n: int
    top1: float
    top5: float
    parameters: int
    """Numbers stored."""
    ms_per_char: float
    """Median milliseconds for one square, read alone: features, projection, scores; normalising not included."""
    fit_seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The figures, for JSON."""
        names = ("n", "top1", "top5", "parameters", "ms_per_char", "fit_seconds")
        return {name: getattr(self, name) for name in names}


def run_classic(train: Pack, test: Pack, config: ClassicConfig | None = None) -> ClassicResult:
    """Fit on ``train``, read ``test``. Only the times differ from one call to the next.

    Both packs need one normalisation and one charset: raises :class:`PackError` and :class:`CharsetError` otherwise,
    :class:`DataError` and :class:`ArgumentError` for what :meth:`ClassicReader.fit` refuses.
    """
    test.require(normalization=train.normalization, charset=train.charset)
    start = time.perf_counter()
    reader = ClassicReader.fit(train, config)
    fitted = time.perf_counter() - start
    scores = reader.scores(test.images)
    return ClassicResult(
        reader=reader,
        scores=scores,
        n=len(test),
        top1=top_accuracy(scores, test.labels, 1),
        top5=top_accuracy(scores, test.labels, 5),
        parameters=reader.parameters,
        ms_per_char=_milliseconds(reader, test.images[:TIMED]),
        fit_seconds=fitted,
    )


def cross_validate(train: Pack, configs: Sequence[ClassicConfig], folds: int = 3) -> list[float]:
    """Mean top-1 in per cent of every config over ``folds`` parts of ``train``, each read by a reader of the others.

    Features and projections that several configs share are computed once. For the parts see :func:`writer_folds`.
    """
    parts = writer_folds(train, folds)
    total = np.zeros(len(configs))
    features_of: dict[Any, Floats] = {}
    for config in configs:
        if config.features not in features_of:
            # Features have nothing that is fitted, so computing them for all samples at once leaks nothing between
            # folds.
            features_of[config.features] = config.features(train.images)
    for fold in range(folds):
        held, labels = parts == fold, train.labels
        numbers: dict[ClassicConfig, tuple[Floats, Floats]] = {}
        for i, config in enumerate(configs):
            key = replace(config, axes=1, minor=1.0, shrink=0.0, mce=0)  # the projection does not depend on these
            if key not in numbers:
                features = features_of[config.features]
                # The projection is fitted on the other parts alone: fitted on all, it would have seen the labels of the
                # held-out part.
                projection = Projection.fit(features[~held], labels[~held], config.dimensions, config.ridge)
                numbers[key] = projection(features[~held]), projection(features[held])
            fitted, held_out = numbers[key]
            mqdf = MQDF.fit(fitted, labels[~held], config.axes, config.minor, config.shrink)
            if config.mce:
                mqdf = refine(mqdf, fitted, labels[~held], epochs=config.mce)
            total[i] += top_accuracy(mqdf.scores(held_out), labels[held], 1) / folds
    return total.tolist()


def writer_folds(pack: Pack, folds: int) -> NDArray[np.int64]:
    """The part, 0 to ``folds`` - 1, that every sample belongs to, (N,): no writer is in two of them.

    If writers are unknown, every class is cut into ``folds`` consecutive parts. In files that list the writers of every
    class in the same order, this separates writers too, except a few at the boundaries. Raises
    :class:`ArgumentError` for fewer than 2 folds, or more than there are writers or samples of a class.
    """
    known = len(pack.writers) > 1
    # Within each group the distinct values of ``order`` are cut into equal parts. With known writers, all samples are
    # one group and writers are cut. Without, each class is a group and its samples are cut in the order of the file.
    groups = np.zeros(len(pack), np.int64) if known else pack.labels
    order = pack.writer_ids.astype(np.int64) if known else np.arange(len(pack))
    parts = np.empty(len(pack), np.int64)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        # ``place`` numbers the distinct values from 0; ``place * folds // number`` is then the number of a fold.
        distinct, place = np.unique(order[members], return_inverse=True)
        if not 2 <= folds <= len(distinct):
            raise ArgumentError(f"{pack.path}: {folds} folds cannot be; from 2 to {len(distinct)} can")
        parts[members] = place * folds // len(distinct)
    return parts


def top_accuracy(scores: Floats, labels: Classes, k: int) -> float:
    """Per cent of N labels that are among the ``k`` best of (N, C) scores; ties count as wrong."""
    # The rank of the label is the number of scores at least as high as its own, (N, 1), which counts itself.
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    return 100 * float((np.count_nonzero(scores >= own, axis=1) <= k).mean())


def _milliseconds(reader: ClassicReader, squares: NDArray[np.uint8]) -> float:
    reader.scores(squares[:1])  # fills the cached tables, which should not be timed
    times = []
    for i in range(len(squares)):
        start = time.perf_counter()
        reader.scores(squares[i : i + 1])
        times.append(1000 * (time.perf_counter() - start))
    # The median, because other programs on the machine make single readings slower.
    return float(np.median(times))
