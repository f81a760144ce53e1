"""Metrics: top-k accuracy, accuracy by class, confusions. Pure functions on numpy arrays.

Every function reads ``logits`` (N, C), float16 or float32, in slices of rows, so that the 224,419 x 3,755 logits of the
ICDAR-2013 test set need no second copy. ``labels`` (N,) are classes 0 to C - 1.

Ties count by chance: when a label shares its logit with t - 1 other classes, its credit at k is the probability that it
is among the first k in random order. Quantised nets have many ties, and a net with the same logit for every class
scores 1 / C, not 100 %. NaN ranks above everything, so that a broken net is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.floating]
Classes = NDArray[np.integer]
Floats = NDArray[np.float64]

_SLICE = 4_000_000
"""Logits processed at a time: 16 MB of float32."""


class Ranks(NamedTuple):
    """Rank of each sample's label, int64 (N,): ``above`` classes have a larger logit, ``tied`` (>= 1) the same."""

    above: NDArray[np.int64]
    tied: NDArray[np.int64]

    def credit(self, k: int) -> Floats:
        """Probability that the label is among the first ``k`` answers, float64 (N,); without ties it is 0 or 1."""
        return np.clip((k - self.above) / self.tied, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Class ``true`` was read as ``predicted`` in ``count`` samples; ``both`` counts both directions."""

    true: int
    predicted: int
    count: int
    both: int


def ranks(logits: Logits, labels: Classes) -> Ranks:
    """Ranks of the labels. Raises :class:`ValueError` when shapes or labels do not fit."""
    check(logits, labels)
    above, tied = np.empty(len(labels), np.int64), np.empty(len(labels), np.int64)
    for rows in slices(logits):
        own = np.take_along_axis(logits[rows], labels[rows, None], axis=1)
        # ~(a <= b) instead of a > b, because it is also true where a or b is NaN: NaN ranks above everything.
        above[rows] = np.count_nonzero(~(logits[rows] <= own), axis=1)
        # A label with a NaN logit equals nothing, not even itself; at least 1 avoids a division by zero in credit().
        tied[rows] = np.maximum(np.count_nonzero(logits[rows] == own, axis=1), 1)
    return Ranks(above, tied)


def answers(logits: Logits) -> NDArray[np.int64]:
    """The class of the largest logit, int64 (N,); of several the first, as the recogniser answers."""
    return np.concatenate([np.argmax(logits[rows], axis=1) for rows in slices(logits)] or [np.empty(0, np.int64)])


def topk_accuracy(logits: Logits, labels: Classes, ks: Sequence[int] = (1, 5, 10)) -> dict[int, float]:
    """Top-k accuracy in per cent for every k asked for; a k beyond C counts as C. No samples: :class:`ValueError`."""
    if any(k < 1 for k in ks):
        raise ValueError(f"top-k needs k >= 1, not {min(ks)}")
    if not len(labels):
        raise ValueError("no samples: the accuracy of no samples is not defined")
    label_ranks = ranks(logits, labels)
    return {k: 100 * float(label_ranks.credit(k).mean()) for k in ks}


def class_means(values: Floats, labels: Classes, classes: int) -> Floats:
    """Mean of ``values`` (N,) over the samples of each class, float64 (classes,); NaN for classes without samples."""
    count = np.bincount(labels, minlength=classes)
    total = np.bincount(labels, weights=values, minlength=classes)
    means = np.full(classes, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means


def confused_pairs(predicted: Classes, labels: Classes, top: int = 20) -> list[Confusion]:
    """The ``top`` most frequent (true, predicted) pairs of classes (N,), most frequent first.

    Equal counts are ordered by ``both``, then by class.
    """
    count = pair_counts(predicted, labels)
    both = {pair: n + count.get(pair[::-1], 0) for pair, n in count.items()}
    order = sorted(count, key=lambda pair: (-count[pair], -both[pair], pair))
    return [Confusion(true=true, predicted=to, count=count[true, to], both=both[true, to]) for true, to in order[:top]]


def pair_counts(predicted: Classes, labels: Classes) -> dict[tuple[int, int], int]:
    """How often each (true, predicted) pair of two different classes occurs, in the order of the classes."""
    wrong = predicted != labels
    width = 1 + max(int(labels.max(initial=0)), int(predicted.max(initial=0)))
    # One number for a pair, true * width + predicted, makes counting pairs a single sort; divmod takes it apart again.
    codes, counts = np.unique(labels[wrong].astype(np.int64) * width + predicted[wrong], return_counts=True)
    return {divmod(code, width): n for code, n in zip(codes.tolist(), counts.tolist(), strict=True)}


def restrict(logits: Logits, classes: Classes) -> Logits:
    """A copy for a closed test: the logits of all classes but ``classes`` are minus infinity.

    The width stays C, so class numbers keep their meaning. Raises
    :class:`ValueError` when ``classes`` is empty or names a class beyond C.
    """
    if not len(classes) or classes.min() < 0 or classes.max() >= logits.shape[1]:
        raise ValueError(f"restrict needs classes from 0 to {logits.shape[1] - 1}, at least one")
    # Minus infinity, because softmax turns it into a probability of exactly 0.
    closed = np.full_like(logits, -np.inf)
    closed[:, classes] = logits[:, classes]
    return closed


def slices(logits: Logits) -> Iterator[slice]:
    """Row ranges that cover (N, C) logits, each holding about 16 MB or one row."""
    rows = max(1, _SLICE // max(1, logits.shape[1]))
    return (slice(start, min(start + rows, len(logits))) for start in range(0, len(logits), rows))


def check(logits: Logits, labels: Classes) -> None:
    """Raise :class:`ValueError` unless ``logits`` is (N, C) and ``labels`` N classes below C."""
    if logits.ndim != 2 or labels.shape != (len(logits),):
        raise ValueError(f"logits {logits.shape} and labels {labels.shape} do not fit: expected (N, C) and (N,)")
    if len(labels) and not (labels.min() >= 0 and labels.max() < logits.shape[1]):
        raise ValueError(f"labels reach from {labels.min()} to {labels.max()}; the net has {logits.shape[1]} classes")
