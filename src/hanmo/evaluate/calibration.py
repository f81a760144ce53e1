"""Calibration: expected calibration error, temperature scaling, refusal threshold.

A reader is calibrated when nine in ten of its answers with a probability of 90 % are right. Guo et al., "On Calibration
of Modern Neural Networks", ICML 2017, measure the gap as expected calibration error (ECE). They close most of it with
one number, a temperature that divides all logits; it changes probabilities but never the order of the answers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hanmo.evaluate.metrics import Classes, Floats, Logits, check, slices

TEMPERATURES = (0.05, 20.0)
"""Range of the fit. For a net that is never wrong the best temperature is 0, for one that knows nothing infinity."""


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Reliability diagram: answers sorted into equal bins of probability, with accuracy and confidence of each bin.

    ``edges`` is (bins + 1,). ``confidence`` (mean probability) and ``accuracy`` are in [0, 1], NaN in empty bins.
    """

    edges: Floats
    count: NDArray[np.int64]
    confidence: Floats
    accuracy: Floats

    @property
    def error(self) -> float:
        """ECE in [0, 1]: the mean of ``|confidence - accuracy|``, weighted by the counts; NaN if all bins are empty."""
        total = int(self.count.sum())
        if not total:
            return math.nan
        # The gap of an empty bin is NaN; nansum leaves it out, and its count of 0 adds nothing to the total.
        gaps = np.abs(self.confidence - self.accuracy)
        return float(np.nansum(gaps * self.count) / total)


def reliability(probability: NDArray[np.floating], correct: NDArray[np.generic], bins: int = 15) -> Reliability:
    """Bins of the answers' ``probability`` (N,) in [0, 1] against ``correct`` (N,): bool, or a share in [0, 1] on ties.

    Raises :class:`ValueError` for other shapes and for probabilities outside [0, 1] or NaN.
    """
    confidence, right = np.asarray(probability, np.float64), np.asarray(correct, np.float64)
    if confidence.ndim != 1 or confidence.shape != right.shape or bins < 1:
        raise ValueError(
            f"probabilities {confidence.shape}, correct {right.shape}, {bins} bins: expected (N,), (N,), >= 1"
        )
    # Rounding may make a probability slightly larger than one.
    if not np.all((confidence >= 0) & (confidence <= 1 + 1e-6)):
        raise ValueError("probabilities must lie in [0, 1]; apply softmax first")
    # A probability of exactly 1 would open a bin of its own behind the last one.
    index = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    count = np.bincount(index, minlength=bins)

    def mean(values: Floats) -> Floats:
        total = np.bincount(index, weights=values, minlength=bins)
        means = np.full(bins, np.nan)
        # Empty bins stay NaN: an accuracy of 0 there would look like a measured one.
        np.divide(total, count, out=means, where=count > 0)
        return means

    edges = np.linspace(0.0, 1.0, bins + 1)
    return Reliability(edges=edges, count=count, confidence=mean(np.minimum(confidence, 1.0)), accuracy=mean(right))


def expected_calibration_error(
    probability: NDArray[np.floating], correct: NDArray[np.generic], bins: int = 15
) -> float:
    """ECE in [0, 1] of the best answers (:func:`reliability` describes the arguments); NaN for no answers."""
    return reliability(probability, correct, bins).error


def negative_log_likelihood(logits: Logits, labels: Classes, temperature: float = 1.0) -> Floats:
    """``-log p(label)`` in nats, float64 (N,), computed from logits, because small probabilities underflow."""
    check(logits, labels)
    loss = np.empty(len(labels), np.float64)
    for rows in slices(logits):
        scaled = np.asarray(logits[rows], np.float64) / temperature
        # log(sum(exp(z))) with the largest z taken out: exp() of a large logit would overflow to infinity.
        best = scaled.max(axis=1)
        own = np.take_along_axis(scaled, labels[rows, None], axis=1)[:, 0]
        loss[rows] = np.log(np.exp(scaled - best[:, None]).sum(axis=1)) - (own - best)
    return loss


def fit_temperature(logits: Logits, labels: Classes) -> float:
    """The temperature that minimises the mean negative log-likelihood, within :data:`TEMPERATURES`.

    The loss is convex in ``b = 1 / T``; its slope is ``mean(E_p[z] - z_label)``, its curvature ``mean(Var_p[z])``. It
    is minimised by Newton's method within a bracket; where Newton's steps do not shrink, the bracket is halved. A net
    that is never wrong gets the lowest temperature.

    Raises :class:`ValueError` when there are no samples or a logit of a label is not finite.
    """
    check(logits, labels)
    if not len(labels):
        raise ValueError("no samples: a temperature cannot be fitted to nothing")
    if not np.isfinite(np.take_along_axis(logits, labels[:, None], axis=1)).all():
        raise ValueError("the logits of some labels are not finite: no temperature can fit them")
    # The search runs over b = 1 / T, because the loss is convex in b but not in T.
    low, high, b = 1 / TEMPERATURES[1], 1 / TEMPERATURES[0], 1.0
    if _slope(logits, labels, high)[0] < 0:
        return TEMPERATURES[0]  # the loss still falls at the end of the range
    last = math.inf
    for _ in range(100):
        slope, curvature = _slope(logits, labels, b)
        if slope == 0:
            break
        # The sign of the slope says on which side of b the minimum lies: the bracket shrinks to that side.
        low, high = (b, high) if slope < 0 else (low, b)
        # Take Newton's step if it stays in the bracket and is at most half the last step. Otherwise go to the middle of
        # the bracket on a logarithmic scale (the geometric mean), because temperatures range over a factor of 400.
        newton = b - slope / curvature if curvature > 0 else math.inf
        fast = low < newton < high and abs(newton - b) <= last / 2
        step = (newton if fast else math.sqrt(low * high)) - b
        b, last = b + step, abs(step)
        if last < 1e-6 * b:
            break
    return 1 / b


def _slope(logits: Logits, labels: Classes, b: float) -> tuple[float, float]:
    """First and second derivative of the mean loss by ``b``, the inverse temperature."""
    slope = curvature = 0.0
    for rows in slices(logits):
        z = np.asarray(logits[rows], np.float64)
        # Slope and curvature do not change when a constant is added to all logits of a picture; exp() then stays <= 1.
        z = z - z.max(axis=1, keepdims=True)
        own = np.take_along_axis(z, labels[rows, None], axis=1)[:, 0]
        p = np.exp(b * z)
        p /= p.sum(axis=1, keepdims=True)
        z = np.where(p > 0, z, 0.0)  # a class that is no possible answer: 0 * -inf counts as 0
        mean = (p * z).sum(axis=1)
        slope += float((mean - own).sum())
        curvature += float(((p * z * z).sum(axis=1) - mean**2).sum())
    return slope / len(labels), curvature / len(labels)


def refusal_threshold(score: NDArray[np.floating], keep: float = 0.95) -> float:
    """The score below which to refuse, so that at least a share ``keep`` of the answers (N,) is kept.

    A score is the best probability or the evidence (:func:`hanmo.probability.evidence`). With ``keep=0.95`` one good
    picture in twenty is refused. Raises :class:`ValueError` when there are no answers or ``keep`` is outside (0, 1].
    """
    if not len(score) or not 0 < keep <= 1:
        raise ValueError(f"{len(score)} answers, keep {keep}: needs answers and a share in (0, 1]")
    # 1e-9 absorbs the rounding error of the product: 0.07 * 100 is 7.000000000000001, which ceil() would make 8.
    kept = max(1, math.ceil(keep * len(score) - 1e-9))
    return float(np.sort(score)[len(score) - kept])
