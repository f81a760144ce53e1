"""Features, projection and discriminant function as one reader of normalised squares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hanmo.charset import Charset
from hanmo.classic.checks import Classes, Floats
from hanmo.classic.features import GradientFeatures
from hanmo.classic.gabor import GaborFeatures
from hanmo.classic.lda import Projection
from hanmo.classic.mce import refine
from hanmo.classic.mqdf import MQDF
from hanmo.data.pack import Pack
from hanmo.errors import DataError
from hanmo.normalize import Normalization


@dataclass(frozen=True, kw_only=True)
class ClassicConfig:
    """Settings; the defaults were chosen by cross-validation on hwdb100-train, line-density 64 px."""

    features: GradientFeatures | GaborFeatures = field(default_factory=GradientFeatures)
    dimensions: int = 160
    """Dimensions after the projection; at most the number of features."""
    ridge: float = 0.3
    """See :meth:`Projection.fit`."""
    axes: int = 40
    minor: float = 1.5
    shrink: float = 0.5
    """For these three, see :meth:`MQDF.fit`."""
    mce: int = 0
    """Epochs of minimum classification error training (:func:`hanmo.classic.mce.refine`); 0: none."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassicReader:
    """A fitted reader of squares of one normalisation; class c is the c-th character of the charset."""

    charset: Charset
    normalization: Normalization
    features: GradientFeatures | GaborFeatures
    projection: Projection
    mqdf: MQDF

    @classmethod
    def fit(cls, train: Pack, config: ClassicConfig | None = None) -> Self:
        """Fit to every sample of ``train``. Raises :class:`DataError` and :class:`ArgumentError`.

        Every character of its charset needs at least two samples.
        """
        config = config or ClassicConfig()
        if missing := [c for c, n in zip(str(train.charset), _counts(train), strict=True) if n < 2]:
            raise DataError(
                f"{train.path}: {len(missing)} characters, {missing[0]} first, have fewer than 2 samples; "
                "pack them with a charset of those that have more"
            )
        features = config.features(train.images)
        projection, mqdf = fit_features(features, train.labels, config)
        return cls(
            charset=train.charset,
            normalization=train.normalization,
            features=config.features,
            projection=projection,
            mqdf=mqdf,
        )

    @property
    def parameters(self) -> int:
        """Numbers stored, those of the projection included."""
        return self.projection.mean.size + self.projection.matrix.size + self.mqdf.parameters

    def scores(self, squares: NDArray[np.uint8]) -> Floats:
        """(N, S, S) uint8 squares of ``normalization`` -> (N, C) float32, larger is likelier.

        Raises :class:`DataError` for squares of another side.
        """
        return self.mqdf.scores(self._numbers(squares))

    def answers(self, squares: NDArray[np.uint8], top: int = 1) -> list[str]:
        """The ``top`` likeliest characters of each of N squares, N strings, the likeliest character first."""
        # The scores have no names: class c is the c-th character of the charset.
        characters = str(self.charset)
        return ["".join(characters[c] for c in row) for row in self.mqdf.answers(self._numbers(squares), top)]

    def _numbers(self, squares: NDArray[np.uint8]) -> Floats:
        # Squares of another size would give features of the right shape but of other places, and so wrong answers
        # without any error.
        side = self.normalization.side
        if squares.shape[1:] != (side, side):
            raise DataError(f"squares of shape {squares.shape} do not fit {self.normalization}; (N, {side}, {side}) do")
        return self.projection(self.features(squares))


def fit_features(features: Floats, labels: Classes, config: ClassicConfig) -> tuple[Projection, MQDF]:
    """Fit both on (N, D) features of classes (N,). Raises :class:`DataError` and :class:`ArgumentError`."""
    projection = Projection.fit(features, labels, config.dimensions, config.ridge)
    # On the training samples' own projections: the MQDF must see numbers as they are when it reads.
    numbers = projection(features)
    mqdf = MQDF.fit(numbers, labels, config.axes, config.minor, config.shrink)
    return projection, refine(mqdf, numbers, labels, epochs=config.mce) if config.mce else mqdf


def _counts(pack: Pack) -> list[int]:
    # minlength, because characters without samples at the end of the charset have to be counted, too.
    counts: list[int] = np.bincount(pack.labels, minlength=len(pack.charset)).tolist()
    return counts
