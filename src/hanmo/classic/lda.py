"""Fisher's linear discriminant analysis: many features -> the few numbers that tell classes apart.

Fisher, "The use of multiple measurements in taxonomic problems" (1936), for many classes as in Fukunaga, "Introduction
to statistical pattern recognition" (1990), ch. 10, with a ridge on the within-class covariance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hanmo.classic.checks import Classes, Floats, check_features, class_means, class_sizes
from hanmo.errors import ArgumentError


@dataclass(frozen=True, eq=False, kw_only=True)
class Projection:
    """``(features - mean) @ matrix``: D features -> d numbers in which classes spread by about 1 in every direction."""

    mean: Floats
    """(D,)"""
    matrix: Floats
    """(D, d)"""

    @property
    def dimensions(self) -> int:
        return len(self.matrix.T)

    @classmethod
    def fit(cls, features: Floats, labels: Classes, dimensions: int, ridge: float = 0.0) -> Self:
        """Find the projection of (N, D) float32 features with (N,) labels to ``dimensions`` numbers.

        ``ridge`` times the mean within-class variance is added to the variance of every direction, so that directions
        in which next to nothing varies are not blown up. C classes have C - 1 discriminant directions; those asked
        for beyond them are the directions of the rest along which samples of one class vary most: class means are
        equal there, but the spread still tells classes apart. Raises :class:`ArgumentError` and :class:`DataError`.
        """
        sizes = class_sizes(features, labels)
        width = features.shape[1]
        if not 1 <= dimensions <= width or not 0 <= ridge < np.inf:
            raise ArgumentError(f"{dimensions} dimensions of {width}, ridge {ridge:g}: 1 to {width}, ridge from 0")
        means = class_means(features, labels, sizes)
        mean = sizes @ means / len(features)
        # 1. Whitening: in the new coordinates the variance within classes is 1 in every direction.
        variances, whiten = _whitening(_within(features, labels, means), ridge)
        # 2. The class means there, (C, D), weighted so that spread.T @ spread is the covariance between classes.
        spread = np.sqrt(sizes / len(features))[:, None] * ((means - mean) @ whiten)
        kept = min(dimensions, len(sizes) - 1)
        # 3. Its principal axes, most discriminating first: the right singular vectors, as columns (D, D). The SVD is
        # more exact than eigenvectors of the product. full_matrices also returns directions without any spread of
        # means.
        directions = np.linalg.svd(spread, full_matrices=True)[2].T
        chosen = directions[:, :kept]
        if dimensions > kept:
            # 4. Whitened variances are all 1 and cannot rank the rest, so the original ones (D,) do. eigh sorts
            # upwards, hence the reversal.
            rest = directions[:, kept:]
            turn = np.linalg.eigh((rest.T * variances) @ rest)[1][:, ::-1]
            chosen = np.hstack((chosen, rest @ turn[:, : dimensions - kept]))
        return cls(mean=mean.astype(np.float32), matrix=(whiten @ chosen).astype(np.float32))

    def __call__(self, features: Floats) -> Floats:
        """(N, D) float32 -> (N, d) float32. Raises :class:`DataError`."""
        check_features(features, len(self.mean))
        return np.asarray((features - self.mean) @ self.matrix, np.float32)


def _within(features: Floats, labels: Classes, means: NDArray[np.float64]) -> NDArray[np.float64]:
    """The covariance within classes, (D, D)."""
    total = np.zeros((features.shape[1],) * 2)
    for c, mean in enumerate(means):
        # Class by class, so that no centred copy of all samples is held in memory.
        apart = features[labels == c] - mean.astype(np.float32)
        total += apart.T @ apart
    return total / len(features)


def _whitening(within: NDArray[np.float64], ridge: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The principal variances (D,), ridge included, and the matrix (D, D) that makes all of them 1."""
    variances, axes = np.linalg.eigh(within)
    variances += ridge * variances.mean()
    # A feature that never varies has no scale of its own; the floor keeps it from becoming infinite.
    variances = np.maximum(variances, max(variances[-1] * 1e-9, np.finfo(np.float64).tiny))
    return variances, axes / np.sqrt(variances)
