"""Minimum classification error (MCE): moves the means of a fitted MQDF so that fewer training samples are read wrongly.

Juang, Katagiri, "Discriminative Learning for Minimum Error Classification", IEEE Transactions on Signal Processing
40(12), 1992. A sample of class y whose strongest other class is r has the loss ``sigmoid(slope (s_r - s_y))``, with the
scores s of :class:`hanmo.classic.mqdf.MQDF`: nearly 1 if it is read wrongly, nearly 0 if not. Descent on the mean loss
moves m_y towards the sample and m_r away from it, most where the two scores are close.

For the MQDF: Liu, Sako, Fujisawa, "Discriminative learning quadratic discriminant function for handwriting
recognition", IEEE Transactions on Neural Networks 15(2), 2004. They train axes and variances as well, and hold all near
their first values. Here only the means are trained; that is our reading, simple and safe with few samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hanmo.classic.checks import Classes, Floats, class_sizes
from hanmo.classic.mqdf import MQDF
from hanmo.errors import ArgumentError

_STEEP = 5
"""Slope of the sigmoid, in units of 1 over the mean difference of the two scores. So nearly all samples lie where it is
flat, and only those near the border or read wrongly move means. Chosen on training writers of hwdb100 alone, as
``rate``; with 1, means of neighbouring classes are driven apart by all samples, and more are read wrongly."""

_BATCH, _OF_A_CLASS = 256, 2
"""Samples a step at most, and on average of one class: their moves are added, so many would overshoot."""


def refine(mqdf: MQDF, numbers: Floats, labels: Classes, *, epochs: int = 5, rate: float = 0.02, seed: int = 0) -> MQDF:
    """Train the means on (N, d) float32 ``numbers`` of classes (N,), ``epochs`` times through all samples.

    ``rate``: at its steepest, a sample moves a mean by this share of the way to it (less along axes of large variance);
    it falls evenly to 0. The same seed gives the same means. Raises :class:`DataError` and :class:`ArgumentError`.
    """
    sizes = class_sizes(numbers, labels)
    if len(sizes) != len(mqdf.means) or epochs < 0 or not 0 < rate <= 1:
        raise ArgumentError(
            f"{len(sizes)} classes for a function of {len(mqdf.means)}, epochs {epochs}, rate {rate:g}: as many "
            "classes, epochs from 0, rate above 0 and up to 1"
        )
    slope = _STEEP / max(float(np.abs(_measures(mqdf, numbers, labels)[0]).mean()), 1e-12)
    generator = np.random.default_rng(seed)
    parts = max(1, len(numbers) // min(_BATCH, _OF_A_CLASS * len(sizes)))
    steps = [part for _ in range(epochs) for part in np.array_split(generator.permutation(len(numbers)), parts)]
    for number, order in enumerate(steps):
        mqdf = _step(mqdf, numbers[order], labels[order], slope, rate * (1 - number / len(steps)))
    return mqdf


def _measures(mqdf: MQDF, numbers: Floats, labels: Classes) -> tuple[Floats, NDArray[np.intp]]:
    """The misclassification measure s_r - s_y of each sample, and its strongest other class r, both (N,)."""
    scores = mqdf.scores(numbers)
    rows = np.arange(len(numbers))
    own = scores[rows, labels]
    scores[rows, labels] = -np.inf
    rivals = scores.argmax(axis=1)
    return scores[rows, rivals] - own, rivals


def _step(mqdf: MQDF, numbers: Floats, labels: Classes, slope: float, rate: float) -> MQDF:
    """One step of gradient descent on the means."""
    measures, rivals = _measures(mqdf, numbers, labels)
    # Beyond 30 the sigmoid is 0 or 1 in float32, and its exponential could overflow.
    loss = 1 / (1 + np.exp(-np.clip(slope * measures, -30, 30)))
    # The derivative of the sigmoid, in units of its largest value: 1 on the border between two classes.
    steepness = (4 * loss * (1 - loss))[:, None]
    means = mqdf.means.copy()
    # np.add.at, because a class may be there several times.
    np.add.at(means, labels, rate * steepness * _towards(mqdf, numbers, labels))
    np.subtract.at(means, rivals, rate * steepness * _towards(mqdf, numbers, rivals))
    return mqdf.with_means(means)


def _towards(mqdf: MQDF, numbers: Floats, classes: NDArray[np.integer]) -> Floats:
    """The direction (N, d) in which moving the mean of its class raises a sample's score most.

    That is half the gradient of the score, times the minor variance, so that no axis is longer than the way itself.
    """
    apart = numbers - mqdf.means[classes]
    axes = mqdf.axes[classes]
    along = np.einsum("nd,ndk->nk", apart, axes)
    # The kept axes have larger variances: there the score rises more slowly.
    less = along * (1 - np.float32(mqdf.minor) / mqdf.variances[classes])
    return np.asarray(apart - np.einsum("ndk,nk->nd", axes, less), np.float32)
