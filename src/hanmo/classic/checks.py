"""Checks of features and labels before fitting."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hanmo.errors import DataError

Floats = NDArray[np.float32]
Classes = NDArray[np.integer[Any]]


def check_features(features: Floats, width: int | None = None) -> None:
    """Raise :class:`DataError` unless ``features`` is (N, D) of finite numbers, D = ``width`` where given."""
    if features.ndim != 2 or not features.shape[1] or width not in (None, features.shape[1]):
        wanted = "D" if width is None else width
        raise DataError(f"features of shape {features.shape} do not fit; expected (N, {wanted})")
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise DataError(f"the features of sample {int(finite.argmin())} hold a number that is not finite; leave it out")


def class_sizes(features: Floats, labels: Classes) -> NDArray[np.intp]:
    """Samples of every class from 0 to the largest label, (C,).

    Raises :class:`DataError` for what :func:`check_features` finds, for labels that do not fit, for fewer than two
    classes and for a class of fewer than two samples, whose variance is unknown.
    """
    check_features(features)
    if labels.shape != (len(features),) or not np.issubdtype(labels.dtype, np.integer) or (labels < 0).any():
        raise DataError(f"labels {labels.dtype} {labels.shape} do not fit {len(features)} samples; one class >= 0 each")
    sizes = np.bincount(labels)
    if len(sizes) < 2:
        raise DataError(f"{len(sizes)} classes: there is nothing to tell apart; give at least 2")
    if sizes.min() < 2:
        raise DataError(f"class {int(sizes.argmin())} has {sizes.min()} samples; give at least 2, or leave it out")
    return sizes


def class_means(features: Floats, labels: Classes, sizes: NDArray[np.intp]) -> NDArray[np.float64]:
    """(N, D) features and (N,) labels -> the mean of every class, (C, D)."""
    # Summed in float64: float32 sums of many samples lose the last digits.
    return np.stack([features[labels == c].mean(axis=0, dtype=np.float64) for c in range(len(sizes))])
