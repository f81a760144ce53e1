"""MUNGE: new feature vectors from those of the training samples; and a reader that learns from them alone.

Bucila, Caruana, Niculescu-Mizil, "Model Compression", KDD 2006: an ensemble is compressed into one small model. The
ensemble labels many made-up samples; the small model learns these labels and never sees the true ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hanmo.classic.checks import Floats, check_features
from hanmo.classic.lda import Projection
from hanmo.classic.mqdf import MQDF
from hanmo.classic.reader import ClassicConfig, fit_features
from hanmo.errors import ArgumentError, DataError

_ROWS = 512
"""Samples whose distances to all others are computed at a time; of 24,000 samples these take 50 MB."""


def nearest_others(features: Floats) -> NDArray[np.intp]:
    """For each of (N, D) features the number of the nearest other sample, (N,), by Euclidean distance.

    Raises :class:`DataError` for fewer than two samples, and for numbers that are not finite.
    """
    check_features(features)
    if len(features) < 2:
        raise DataError(f"{len(features)} samples: a nearest other one needs at least 2")
    lengths = (features**2).sum(axis=1)
    nearest = np.empty(len(features), np.intp)
    for start in range(0, len(features), _ROWS):
        part = features[start : start + _ROWS]
        # |x - y|² without |x|², which is the same for all y.
        distances = lengths - 2 * (part @ features.T)
        distances[np.arange(len(part)), start + np.arange(len(part))] = np.inf  # not the sample itself
        nearest[start : start + _ROWS] = distances.argmin(axis=1)
    return nearest


def munge(features: Floats, times: int, *, swap: float = 0.5, spread: float = 1.0, seed: int = 0) -> Floats:
    """(N, D) float32 -> ``times`` N made-up vectors, (``times`` N, D) float32. The same seed gives the same vectors.

    One after another, each sample e meets its nearest other sample e'. With the probability ``swap`` a feature a of
    both is drawn anew, as if the two were exchanged: ``e_a ~ N(e'_a, |e_a - e'_a| / spread)`` and the other way round.
    So a large ``spread`` stays near values that occur. All values of one round are changed in place; each round starts
    from the samples. That neighbours are those of the unchanged samples is our reading: the paper leaves it open.

    Raises :class:`ArgumentError` for impossible values and :class:`DataError` as :func:`nearest_others`.
    """
    if times < 1 or not 0 <= swap <= 1 or not 0 < spread < np.inf:
        raise ArgumentError(f"times {times}, swap {swap:g}, spread {spread:g}: from 1, 0 to 1, above 0")
    nearest = nearest_others(features)
    random = np.random.default_rng(seed)
    return np.concatenate([_round(features, nearest, swap, spread, random) for _ in range(times)])


def _round(
    features: Floats, nearest: NDArray[np.intp], swap: float, spread: float, random: np.random.Generator
) -> Floats:
    made = features.astype(np.float32, copy=True)
    width = features.shape[1]
    # Not vectorised over samples: several may have the same neighbour, which every one of them changes.
    for one, other in enumerate(nearest):
        chosen = random.random(width, np.float32) < swap
        deviation = np.abs(made[one] - made[other]) / np.float32(spread)
        noise = random.standard_normal((2, width), np.float32) * deviation
        exchanged = made[other] + noise[0], made[one] + noise[1]
        made[one] = np.where(chosen, exchanged[0], made[one])
        made[other] = np.where(chosen, exchanged[1], made[other])
    return made


def compress(
    teachers: Sequence[tuple[Projection, MQDF]],
    features: Floats,
    config: ClassicConfig,
    *,
    times: int = 4,
    swap: float = 0.5,
    spread: float = 1.0,
    seed: int = 0,
) -> tuple[Projection, MQDF]:
    """A small reader fitted to made-up features, (``times`` N, D) of :func:`munge`, which the ``teachers`` label.

    The label is the class with the largest mean score; scores are logarithms of likelihoods, so that is the geometric
    mean of the teachers' likelihoods. An MQDF takes classes, not probabilities, so only the best class is learnt: the
    paper's student learns probabilities. ``times``, ``swap`` and ``spread`` are our choice; the paper chooses them for
    each problem. Raises :class:`ArgumentError` without teachers, for teachers of different classes and for impossible
    values; :class:`DataError` where the teachers give a class to fewer than two of the samples.
    """
    if not teachers or len({len(mqdf.means) for _, mqdf in teachers}) > 1:
        raise ArgumentError("teachers: at least one is needed, and all must have the same classes")
    made = munge(features, times, swap=swap, spread=spread, seed=seed)
    scores = np.mean([mqdf.scores(projection(made)) for projection, mqdf in teachers], axis=0)
    labels = scores.argmax(axis=1)
    # Without this check a class that is never named, the last one for example, would be missing without any error.
    counts = np.bincount(labels, minlength=scores.shape[1])
    if counts.min() < 2:
        raise DataError(f"the teachers name class {int(counts.argmin())} less than twice; raise times, or lower swap")
    return fit_features(made, labels, config)
