"""New classes from a few pictures each: their rows of the last layer are computed from features, not trained.

A net that was trained on many characters maps pictures of any character to features that lie near each other for one
character. So the mean of a few features is a prototype of a new class, and a row of weights follows from it: weight
imprinting (Qi, Brown and Lowe, "Low-shot learning with imprinted weights", 2018); deep matching (Li, Xiao, Xu and Jin,
"Deep matching network for handwritten Chinese character recognition", 2020) does so with template characters.

Here the row is that of a linear discriminant: the prototype's distance from the middle of all features, multiplied with
the inverse of the covariance within characters, so that directions in which handwriting varies count less. Then length
and bias are set to those of the reader's own rows (:func:`fit_rows`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.own.reference import Floats, Reference

# The following were chosen with samples of hwdb100-train as new characters.
_SHRINKAGE = 0.5
"""Share of a multiple of the identity in the covariance, which is estimated from about as many drawings as features."""
_LENGTH = 0.7
"""Length of a new row, in lengths of the reader's own rows. A prototype is less certain than a trained row;
lengths of 0.6 to 0.8 do nearly the same, with a bias that fits them."""
_REACH = 1.0
"""The logit that new classes have on their own prototypes, as a multiple of the largest logit of a drawing; both are
counted from the mean of all logits. 1.03 reads 3 of 100 further new characters and takes 0.1 to 0.2 of 100 old ones,
where a hundred characters are added at once."""


class Rows(NamedTuple):
    """Rows of the last layer: ``weight`` float32 (K, F) and ``bias`` float32 (K,)."""

    weight: Floats
    bias: Floats


def fit_rows(reference: Reference, prototypes: Floats) -> Rows:
    """Rows for ``prototypes`` float32 (K, F), each the mean of the features of one new class."""
    middle, classifier = reference.middle, reference.classifier
    mean_row = classifier.weight.mean(axis=0)
    usual = float(np.linalg.norm(classifier.weight - mean_row, axis=1).mean())
    covariance = _shrunk(reference.spread, _SHRINKAGE)
    directions = np.linalg.solve(covariance, (prototypes - middle).T.astype(np.float64)).T
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    weight = (_LENGTH * usual * directions + mean_row).astype(np.float32)
    # One bias for all new classes: prototypes of rare shapes lie far out, and biases of their own would hold them back.
    own = (prototypes * weight).sum(axis=1).mean()
    usual_logit, best_logit = reference.logits.mean(), reference.logits.max(axis=1).mean()
    bias = np.full(len(weight), usual_logit + _REACH * (best_logit - usual_logit) - own)
    return Rows(weight, _held_back(reference, weight, bias.astype(np.float32)))


def prototypes_of(features: Floats, labels: Sequence[str]) -> tuple[list[str], Floats]:
    """The characters of ``labels`` (N,) in the order of their first samples, and their mean features (K, F)."""
    characters = list(dict.fromkeys(labels))
    place = {character: number for number, character in enumerate(characters)}
    places = np.array([place[label] for label in labels])
    sums = np.zeros((len(characters), features.shape[1]), np.float64)
    np.add.at(sums, places, features)
    return characters, (sums / np.bincount(places)[:, None]).astype(np.float32)


def _held_back(reference: Reference, weight: Floats, bias: Floats) -> Floats:
    """The biases, lowered where a new class would take a drawing from the class that reads it rightly."""
    best = reference.logits.argmax(axis=1) == reference.labels
    features, top = reference.features[best], reference.logits[best].max(axis=1)
    excess = (features @ weight.T + bias - top[:, None]).max(axis=0, initial=0.0)
    held: Floats = bias - excess
    return held


def _shrunk(covariance: Floats, share: float) -> NDArray[np.float64]:
    size = len(covariance)
    even = np.trace(covariance, dtype=np.float64) / size + 1e-9
    shrunk: NDArray[np.float64] = (1 - share) * covariance.astype(np.float64) + share * even * np.eye(size)
    return shrunk
