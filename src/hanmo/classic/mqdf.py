"""The modified quadratic discriminant function: a Gaussian for every class, its small variances made equal.

Kimura, Takashina, Tsuruoka, Miyake, "Modified quadratic discriminant functions and the application to Chinese character
recognition", TPAMI 9(1), 1987 (their MQDF2). With a class's mean m, its k largest variances l_j along the axes a_j and
one minor variance t for the other d - k axes of all classes, the score of x is

    -( sum_j (a_j . (x - m))^2 / l_j  +  (|x - m|^2 - sum_j (a_j . (x - m))^2) / t  +  sum_j log l_j  +  (d - k) log t )

which is twice the logarithm of the Gaussian's density, without a constant. Before that, variances are shrunk towards a
common one (Friedman, "Regularized discriminant analysis", 1989), and none is smaller than t.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hanmo.classic.checks import Classes, Floats, check_features, class_means, class_sizes
from hanmo.errors import ArgumentError, DataError

_PROJECTED = 1 << 21
"""Projections on the axes of classes that are held at a time: 8 MB of float32."""


@dataclass(frozen=True, eq=False, kw_only=True)
class MQDF:
    """A fitted discriminant function of C classes over d numbers."""

    means: Floats
    """(C, d)"""
    axes: Floats
    """(C, d, k): the principal axes of each class as columns, the one of the largest variance first."""
    variances: Floats
    """(C, k): the variances along the axes, after shrinking."""
    minor: float
    """The variance along every other axis."""

    @property
    def parameters(self) -> int:
        """Numbers stored."""
        return self.means.size + self.axes.size + self.variances.size + 1

    @classmethod
    def fit(cls, numbers: Floats, labels: Classes, axes: int, minor: float = 1.0, shrink: float = 0.0) -> Self:
        """Fit (N, d) float32 ``numbers`` of classes (N,), keeping ``axes`` principal axes a class.

        ``minor`` is the minor variance in units of the mean of all variances left out (of the smallest one kept if
        none is left out); ``shrink`` from 0 to 1 is how far variances are drawn towards the mean of all. Classes with
        fewer samples than axes are no problem: their missing variances count as minor ones. Raises
        :class:`ArgumentError` and :class:`DataError`.
        """
        sizes = class_sizes(numbers, labels)
        width = numbers.shape[1]
        if not 1 <= axes <= width or not 0 < minor < np.inf or not 0 <= shrink <= 1:
            raise ArgumentError(
                f"{axes} axes of {width}, minor variance x {minor:g}, shrink {shrink:g}: 1 to {width}, > 0 and 0 to 1"
            )
        means = class_means(numbers, labels, sizes)
        variances = np.empty((len(sizes), width))
        principal = np.empty((len(sizes), width, axes), np.float32)
        for c, mean in enumerate(means):
            apart = numbers[labels == c] - mean
            # eigh sorts upwards, and principal axes are wanted largest first. Rounding can make a variance of 0
            # negative.
            values, vectors = np.linalg.eigh(apart.T @ apart / len(apart))
            variances[c], principal[c] = values[::-1].clip(0), vectors[:, ::-1][:, :axes]
        # A class with few samples has variances that are far too small in many directions; the mean of all is safer.
        variances = (1 - shrink) * variances + shrink * variances.mean()
        # One value for the minor axes of all classes: variances this small are mostly noise of the estimate. The floor,
        # a millionth of the mean, keeps the score finite.
        left = variances[:, axes:].mean() if axes < width else variances.min()
        if not (common := minor * max(float(left), 1e-6 * float(variances.mean()))):
            raise DataError("no class has any spread: all samples of a class are the same")
        kept = np.maximum(variances[:, :axes], common)
        # No kept variance is below the minor one, or the square root in :attr:`_scaled` would not exist.
        floats = (means.astype(np.float32), kept.astype(np.float32))
        return cls(means=floats[0], axes=principal, variances=floats[1], minor=common)

    def scores(self, numbers: Floats) -> Floats:
        """(N, d) float32 -> (N, C) float32, larger is likelier. Raises :class:`DataError`."""
        classes, width, axes = self.axes.shape
        check_features(numbers, width)
        weighted, offsets, lengths, constants = self._tables
        scores = np.empty((len(numbers), classes), np.float32)
        rows = max(1, _PROJECTED // (classes * axes))
        for start in range(0, len(numbers), rows):
            part = numbers[start : start + rows]
            # Scaled projections on the axes of all classes by one matrix product: (n, d) @ (d, C k) -> (n, C, k).
            along = (part @ weighted).reshape(-1, classes, axes)
            along -= offsets
            # |x - m|² / t as expanded squares; ``inside`` takes back what the kept axes have too much in it.
            inside = np.einsum("nck,nck->nc", along, along)
            distance = (part * part).sum(axis=1)[:, None] - 2 * (part @ self.means.T) + lengths
            scores[start : start + rows] = inside - distance / np.float32(self.minor) - constants
        return scores

    def answers(self, numbers: Floats, top: int = 1) -> NDArray[np.intp]:
        """(N, d) float32 -> the ``top`` likeliest classes, (N, top), the likeliest first; all C if ``top`` is more."""
        scores = self.scores(numbers)
        top = min(max(top, 1), scores.shape[1])
        # First the best ``top`` in any order, then these alone are sorted: faster than sorting all C.
        best = np.argpartition(-scores, top - 1, axis=1)[:, :top]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        return np.take_along_axis(best, order, axis=1)

    def with_means(self, means: Floats) -> Self:
        """The same function with other ``means`` (C, d)."""
        moved = replace(self, means=means)
        # Scaling the axes takes longer than a step of training, which changes the means alone.
        moved.__dict__["_scaled"] = self._scaled
        return moved

    @cached_property
    def _tables(self) -> tuple[Floats, Floats, Floats, Floats]:
        """What scores need of all classes at once: axes (d, C k) scaled, means on them (C, k), |m|^2 and logs (C,)."""
        table, constants = self._scaled
        classes, width, axes = self.axes.shape
        offsets = np.einsum("cd,cdk->ck", self.means, table.reshape(width, classes, axes).transpose(1, 0, 2))
        lengths: Floats = (self.means**2).sum(axis=1)
        return table, offsets, lengths, constants

    @cached_property
    def _scaled(self) -> tuple[Floats, Floats]:
        """The part of :attr:`_tables` that does not depend on the means: scaled axes (d, C k) and logs (C,).

        No kept variance is below the minor one, so 1 / minor - 1 / variance is a square, and the axes can bear it.
        """
        classes, width, axes = self.axes.shape
        # The formula rearranged: the score is -|x - m|^2 / t, plus p^2 (1 / t - 1 / l) for the projection p on each
        # kept axis, less the logarithms. With p scaled by the root of that factor, the gain is a plain sum of squares.
        weight = np.sqrt(np.maximum(1 / self.minor - 1 / self.variances.astype(np.float64), 0))
        scaled = (self.axes * weight[:, None, :]).astype(np.float32)
        logs = np.log(self.variances).sum(axis=1) + (width - axes) * np.log(self.minor)
        table = np.ascontiguousarray(scaled.transpose(1, 0, 2).reshape(width, classes * axes))
        return table, logs.astype(np.float32)
