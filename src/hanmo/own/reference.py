"""What the features of a reader's own characters look like: the reference by which new classes are calibrated.

The training data of a bundle are not at hand where it is used. So some of its characters are drawn from the packaged
strokes (:mod:`hanmo.own.hand`), once for each call; the features of these drawings show where the middle of all
features is, how far features of one character spread, and how high the logits of classes are that are not shown.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hanmo.bundle import Bundle
from hanmo.charset import Charset
from hanmo.classifier import Classifier, read_classifier
from hanmo.errors import BlankImageError, BundleError
from hanmo.medians import load_medians
from hanmo.own.hand import drawings

Floats = NDArray[np.float32]

CHARACTERS, DRAWINGS = 500, 2
"""Characters drawn and drawings of each, of which the first is plain: some seconds of a processor."""
FEWEST = 50
"""Fewer characters than these say too little about how features spread."""
_BATCH = 64


class Reader(Protocol):
    """What is needed of a :class:`hanmo.recognizer.Recognizer`, which uses this package."""

    @property
    def bundle(self) -> Bundle: ...

    def answers(self, squares: NDArray[np.uint8]) -> tuple[Floats, Floats | None]: ...

    def features(self, squares: NDArray[np.uint8]) -> Floats: ...


class Reference(NamedTuple):
    """Features of drawn handwriting and what follows from them.

    ``features`` float32 (N, F) after the bundle's adaptation, ``labels`` int64 (N,) and ``logits`` float32 (N, C) of
    the drawings; ``middle`` (F,) is the mean of all features, ``spread`` (F, F) their covariance within a character.
    """

    classifier: Classifier
    features: Floats
    labels: NDArray[np.int64]
    logits: Floats
    middle: Floats
    spread: Floats


def make_reference(reader: Reader) -> Reference:
    """Draw characters of the reader and compute their features.

    Raises :class:`BundleError` for a bundle whose net gives no features, and for one with fewer than :data:`FEWEST`
    characters that can be drawn.
    """
    charset = reader.bundle.charset
    drawn = _some_characters(charset)
    if len(drawn) < FEWEST:
        raise BundleError(
            f"bundle {reader.bundle.name}: strokes are packaged for {len(drawn)} of its characters, {FEWEST} are "
            "needed to see how its features spread; use another bundle"
        )
    squares, labels = [], []
    for character, picture in drawings(drawn, DRAWINGS):
        try:
            squares.append(reader.bundle.normalization(picture))
        except BlankImageError:  # no drawing is blank, but another normalisation may see no ink in a thin one
            continue
        labels.append(charset.index(character))
    features, logits = features_and_logits(reader, np.stack(squares))
    classes = np.array(labels, np.int64)
    return Reference(
        read_classifier(reader.bundle.model),
        features,
        classes,
        logits,
        features.mean(axis=0),
        _within(features, classes),
    )


def features_and_logits(reader: Reader, squares: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Features (N, F), adapted where the bundle is, and logits (N, C) of squares (N, S, S)."""
    reader.features(squares[:0])  # raises its error for a net that gives none
    features, logits = [], []
    for start in range(0, len(squares), _BATCH):
        answers, found = reader.answers(squares[start : start + _BATCH])
        assert found is not None
        logits.append(answers)
        features.append(found if reader.bundle.extension is None else reader.bundle.extension.adapted(found))
    return np.concatenate(features), np.concatenate(logits)


def _some_characters(charset: Charset) -> list[str]:
    """Up to :data:`CHARACTERS` of the charset that can be drawn, spread evenly over it."""
    first = load_medians()
    # The table of level 1 is read much faster than the full one, and nearly every bundle knows enough of it.
    known = [c for c in charset if c in first]
    if len(known) < CHARACTERS:
        full = load_medians(everything=True)
        known = [c for c in charset if c in full]
    places = np.linspace(0, len(known) - 1, min(CHARACTERS, len(known))).astype(int)
    return [known[place] for place in places]


def _within(features: Floats, labels: NDArray[np.int64]) -> Floats:
    """The covariance (F, F) of features about the mean of their own class."""
    classes, places = np.unique(labels, return_inverse=True)
    means = np.zeros((len(classes), features.shape[1]), np.float64)
    np.add.at(means, places, features)
    means /= np.bincount(places)[:, None]
    rest = features - means[places]
    # Each class has used up one of its samples for its mean.
    return np.asarray(rest.T @ rest / max(len(features) - len(classes), 1), np.float32)
