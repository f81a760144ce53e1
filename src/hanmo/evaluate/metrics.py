"""What is counted: top-k accuracy, accuracy by class, confusions. Pure functions on numpy arrays.

Every function reads ``logits`` (N, C), float16 or float32, in slices of rows, so 224,419 x 3,755 of them (the
ICDAR-2013 set) need no second copy. ``labels`` (N,) are classes 0 to C - 1.

Ties are broken as a fair coin would: when a label shares its logit with t - 1 other classes, its credit at k is the
chance that it lands among the first k. Quantised nets tie often, and a net that answers the same for every class
then scores 1 / C and not 100 %. NaN ranks above everything: a broken net is wrong.
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
"""Logits looked at together: 16 MB of float32."""


class Ranks(NamedTuple):
    """Where the label of each sample stands, int64 (N,): ``above`` classes beat it, ``tied`` share its logit (>= 1)."""

    above: NDArray[np.int64]
    tied: NDArray[np.int64]

    def credit(self, k: int) -> Floats:
        """Chance that the label is among the first ``k`` answers, float64 (N,) in [0, 1]: 0 or 1 without ties."""
        return np.clip((k - self.above) / self.tied, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """``true`` was taken for ``said`` in the ``samples`` (row numbers); ``both`` counts the two ways together."""

    true: int
    said: int
    count: int
    both: int
    samples: tuple[int, ...]


def ranks(logits: Logits, labels: Classes) -> Ranks:
    """Ranks of the labels. Raises :class:`ValueError` when shapes or labels do not fit."""
    check(logits, labels)
    above, tied = np.empty(len(labels), np.int64), np.empty(len(labels), np.int64)
    for rows in slices(logits):
        own = np.take_along_axis(logits[rows], labels[rows, None], axis=1)
        above[rows] = np.count_nonzero(~(logits[rows] <= own), axis=1)
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
        raise ValueError("no samples: an accuracy of nothing is not a number")
    standing = ranks(logits, labels)
    return {k: 100 * float(standing.credit(k).mean()) for k in ks}


def per_class_accuracy(logits: Logits, labels: Classes) -> Floats:
    """Top-1 accuracy of every class in per cent, float64 (C,); NaN for classes without samples."""
    return 100 * class_means(ranks(logits, labels).credit(1), labels, logits.shape[1])


def class_means(values: Floats, labels: Classes, classes: int) -> Floats:
    """Mean of ``values`` (N,) over the samples of each class, float64 (classes,); NaN for classes without samples."""
    count = np.bincount(labels, minlength=classes)
    total = np.bincount(labels, weights=values, minlength=classes)
    means = np.full(classes, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means


def confusions(logits: Logits, labels: Classes, top: int = 20) -> list[Confusion]:
    """The ``top`` most frequent (true, said) pairs, most frequent first."""
    check(logits, labels)
    return confused_pairs(answers(logits), labels, top)


def confused_pairs(said: Classes, labels: Classes, top: int = 20) -> list[Confusion]:
    """As :func:`confusions`, of answers (N,) already taken; equal counts go by the two-way count, then by class."""
    count = pair_counts(said, labels)
    both = {pair: n + count.get(pair[::-1], 0) for pair, n in count.items()}
    order = sorted(count, key=lambda pair: (-count[pair], -both[pair], pair))
    return [
        Confusion(
            true=true,
            said=to,
            count=count[true, to],
            both=both[true, to],
            samples=tuple(np.flatnonzero((labels == true) & (said == to)).tolist()),
        )
        for true, to in order[:top]
    ]


def pair_counts(said: Classes, labels: Classes) -> dict[tuple[int, int], int]:
    """How often each (true, said) pair of two different classes occurs, in the order of the classes."""
    wrong = said != labels
    width = 1 + max(int(labels.max(initial=0)), int(said.max(initial=0)))
    codes, counts = np.unique(labels[wrong].astype(np.int64) * width + said[wrong], return_counts=True)
    return {divmod(code, width): n for code, n in zip(codes.tolist(), counts.tolist(), strict=True)}


def restrict(logits: Logits, classes: Classes) -> Logits:
    """A copy in which only ``classes`` can be answered: the logits of all others are minus infinity.

    The width stays C, so class numbers keep their meaning. This is how a closed test is scored. Raises
    :class:`ValueError` when ``classes`` is empty or names a class beyond C.
    """
    if not len(classes) or classes.min() < 0 or classes.max() >= logits.shape[1]:
        raise ValueError(f"restrict needs classes from 0 to {logits.shape[1] - 1}, at least one")
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
