"""Logits -> probabilities and evidence. Reading and evaluation share these functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEW_CANDIDATES = 16
"""Up to so many candidates, searching the maximum once for each is faster than sorting all classes."""


def softmax(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities (N, C) of ``logits / temperature``, in float64; rows sum to one, minus infinity becomes 0.

    The largest logit of a row becomes exp(0), so none overflows.
    """
    powers = np.asarray(logits, np.float64) / temperature
    # Softmax does not change when a constant is taken from all logits of a row.
    powers -= powers.max(axis=1, keepdims=True)
    np.exp(powers, out=powers)
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def log_softmax(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """Natural logarithms of :func:`softmax`, (N, C), precise where a probability is too small to tell from 0."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    logarithms: NDArray[np.float64] = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return logarithms


def evidence(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """By how much each row's best logit exceeds the mean of its row, (N, C) -> (N,).

    For a picture of no character of the charset, all logits are low and none stands out. Probabilities, which must sum
    to one, show that much less clearly: benchmarks/full_scale.md has the comparison.
    """
    wide = np.asarray(logits, np.float64)
    above: NDArray[np.float64] = wide.max(axis=1) - wide.sum(axis=1) / wide.shape[1]
    return above


def best_classes(scores: NDArray[np.float64], top: int) -> NDArray[np.intp]:
    """Columns of the ``top`` highest scores, 0 or more, of each row, the highest first, (N, min(top, C))."""
    top = min(top, scores.shape[1])
    if top > FEW_CANDIDATES:
        # Stable, so that of equal scores the lower class comes first, as argmax has it below.
        return np.argsort(-scores, axis=1, kind="stable")[:, :top]
    rest, rows = scores.copy(), np.arange(len(scores))
    best = np.empty((len(scores), top), np.intp)
    for rank in range(top):
        best[:, rank] = rest.argmax(axis=1)
        # Scores are at least 0, so this one is not found again.
        rest[rows, best[:, rank]] = -1
    return best
