"""The adaptation of a reader to one hand: a change of the features, from a few pictures, in closed form.

After Zhang, Bengio and Liu, "Online and offline handwritten Chinese character recognition: A comprehensive study and
new benchmark" (Pattern Recognition, 2017): the features x become A x + b, where A and b minimise ::

    sum_i f_i ||A x_i + b - t_i||^2  +  beta ||A - I||^2  +  gamma ||b||^2

over the pictures i of the writer; f_i is the confidence in the label and t_i the mean of the features of its class.
Two things differ. The means of the training features are not at hand where a bundle is used, so they are computed from
the rows of the last layer (:func:`class_means`). And the paper has hundreds of pictures of a writer; here there may be
ten. So A - I has no more columns than there are pictures, and cross-validation on the pictures decides how far the
features may move, or that they stay where they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.bundle import Bundle
from hanmo.charset.members import Members
from hanmo.errors import DataError
from hanmo.extension import Extension
from hanmo.own.reference import Floats, Reader, Reference, make_reference
from hanmo.probability import log_softmax, softmax

FEWEST = 5
"""Pictures below which nothing can be learned about a hand."""
CONFIDENT = 0.9
"""Probability from which the reader's own answer is taken for the label of an unlabelled picture."""
MAX_RANK = 64
"""Columns of U and V that are kept. A picture then costs less than a hundredth of the net."""
# Chosen with the writers of hwdb100-train. Both are relative: beta to the mean squared length of the features about
# their middle, as many pictures as this number weigh as much as the wish to change nothing.
_STRENGTHS: tuple[tuple[float, float], ...] = ((3.0, 1.0), (10.0, 3.0), (30.0, 3.0))
"""Pairs of beta and gamma among which cross-validation chooses, apart from no change at all."""
_FOLDS = 5
_CERTAINTY = 2.0
"""By how many standard errors left-out pictures must be read better. With 0, the writers of hwdb100-train make 2 %
fewer errors after 20 pictures, but one writer in seven makes more; with 2, few readers change and none is worse."""
_BATCH = 64
_RIDGE = 0.1
"""Ridge of the map from rows to class means, relative to the mean squared entry of a row."""


class Change(NamedTuple):
    """x -> x + U V^T x + b: ``up`` and ``down`` float32 (F, R), ``shift`` float32 (F,)."""

    up: Floats
    down: Floats
    shift: Floats

    def __call__(self, features: Floats) -> Floats:
        return np.asarray(features + (features @ self.down) @ self.up.T + self.shift, np.float32)


class Adapted(NamedTuple):
    """An adapted bundle, not stored yet. ``used`` pictures were learned from; of ``pictures`` that were ``given``.

    ``before`` and ``after`` are the mean log-probabilities of the labels in cross-validation; they are equal where the
    adaptation changes nothing, because no strength of it was better than none.
    """

    bundle: Bundle
    given: int
    used: int
    before: float
    after: float


def adapt(reader: Reader, squares: NDArray[np.uint8], labels: Sequence[str] | None) -> Adapted:
    """The bundle of ``reader`` adapted to the writer of ``squares`` uint8 (N, S, S).

    ``labels`` are their characters; None takes the reader's confident answers instead. An adaptation that the bundle
    has already is replaced. Raises :class:`CharsetError` for labels that the bundle does not know, :class:`DataError`
    for fewer than :data:`FEWEST` pictures that can be used, and the errors of
    :func:`hanmo.own.reference.make_reference`.
    """
    bundle = reader.bundle
    features, logits = _raw_answers(reader, squares)
    probabilities = softmax(logits, bundle.temperature)
    if labels is None:
        classes, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
        kept = confidence >= CONFIDENT
    else:
        classes, confidence = Members(bundle.charset, bundle.groups).encode(labels), np.ones(len(squares))
        kept = np.ones(len(squares), bool)
    if kept.sum() < FEWEST:
        raise DataError(
            f"{int(kept.sum())} of {len(squares)} pictures can be used, {FEWEST} are needed; give more, "
            + ("or label them" if labels is None else "of other characters as well")
        )
    layer = Layer.of(make_reference(reader), bundle)
    writer = Writer(features[kept], classes[kept], confidence[kept])
    change, before, after = choose(layer, writer, bundle.temperature)
    extension = bundle.extension or Extension.empty(bundle.model_classes, features.shape[1])
    adapted = replace(extension, up=change.up, down=change.down, shift=change.shift)
    return Adapted(replace(bundle, accuracy={}, extension=adapted), len(squares), int(kept.sum()), before, after)


class Layer(NamedTuple):
    """Rows ``weight`` (C, F), ``bias`` (C,) and class ``means`` (C, F); ``middle`` (F,) and mean squared ``size``."""

    weight: Floats
    bias: Floats
    means: Floats
    middle: Floats
    size: float

    @classmethod
    def of(cls, reference: Reference, bundle: Bundle) -> Layer:
        """The layer of a bundle; a class that only has prototypes gets the first of them as its row."""
        weight, bias = reference.classifier
        if bundle.extension is not None and len(bundle.charset) > bundle.model_classes:
            own = bundle.extension
            first = [int(np.flatnonzero(own.classes == c)[0]) for c in range(bundle.model_classes, len(bundle.charset))]
            weight, bias = np.concatenate([weight, own.weight[first]]), np.concatenate([bias, own.bias[first]])
        size = float(np.square(reference.features - reference.middle).sum(axis=1).mean())
        return cls(weight, bias, class_means(reference, weight), reference.middle, size)


class Writer(NamedTuple):
    """Pictures of a writer: ``features`` (N, F), ``classes`` int64 (N,) and the ``confidence`` (N,) in these."""

    features: Floats
    classes: NDArray[np.int64]
    confidence: NDArray[np.float64]

    def part(self, rows: NDArray[np.bool_]) -> Writer:
        return Writer(self.features[rows], self.classes[rows], self.confidence[rows])


def class_means(reference: Reference, weight: Floats) -> Floats:
    """The mean features (C, F) of the classes with the rows ``weight`` (C, F).

    Features and rows of a trained classifier are linked: a linear map, fitted by ridge regression to the drawings of
    the reference, leads from the row of a class to the mean of its features, also for classes that were not drawn.
    """
    classes, places = np.unique(reference.labels, return_inverse=True)
    means = np.zeros((len(classes), reference.features.shape[1]), np.float64)
    np.add.at(means, places, reference.features)
    means /= np.bincount(places)[:, None]
    rows = reference.classifier.weight
    centred = (rows[classes] - rows.mean(axis=0)).astype(np.float64)
    gram = centred.T @ centred
    ridge = _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    link = np.linalg.solve(gram + ridge, centred.T @ (means - means.mean(axis=0)))
    return np.asarray((weight - rows.mean(axis=0)) @ link + means.mean(axis=0), np.float32)


def choose(layer: Layer, writer: Writer, temperature: float) -> tuple[Change, float, float]:
    """The change that reads left-out pictures best, and their mean log-probability without and with it."""
    # By character: the adaptation must help with characters that it was not given.
    _, folds = np.unique(writer.classes, return_inverse=True)
    folds %= _FOLDS
    if not folds.any():
        return _nothing(len(layer.middle)), 0.0, 0.0
    before = _score(layer, writer, None, temperature)
    best, scores = None, before
    for strength in _STRENGTHS:
        left_out = np.empty_like(before)
        for fold in range(folds.max() + 1):
            out = folds == fold
            left_out[out] = _score(layer, writer.part(out), solve(layer, writer.part(~out), *strength), temperature)
        if left_out.mean() > scores.mean():
            best, scores = strength, left_out
    gain = scores - before
    if gain.mean() <= _CERTAINTY * gain.std() / math.sqrt(len(gain)):
        best, scores = None, before
    change = _truncated(solve(layer, writer, *best)) if best else _nothing(len(layer.middle))
    return change, float(before.mean()), float(scores.mean())


def solve(layer: Layer, writer: Writer, beta: float, gamma: float) -> Change:
    """The closed form, with one column for each picture: the ridge regression of t - x on x in its dual form."""
    centred = (writer.features - layer.middle).astype(np.float64)
    missing = layer.means[writer.classes] - writer.features
    down = centred.T / (beta * layer.size)
    # A confidence f weighs a picture's error by f, which divides its share of the diagonal.
    kernel = centred @ down + 1 / gamma + np.diag(1 / writer.confidence)
    up = np.linalg.solve(kernel, missing).T
    shift = up.sum(axis=1) / gamma - up @ (down.T @ layer.middle)
    return Change(up.astype(np.float32), down.astype(np.float32), shift.astype(np.float32))


def _score(layer: Layer, writer: Writer, change: Change | None, temperature: float) -> NDArray[np.float64]:
    """The log-probability of each picture's label."""
    features = change(writer.features) if change else writer.features
    logarithms = log_softmax(features @ layer.weight.T + layer.bias, temperature)
    return logarithms[np.arange(len(features)), writer.classes]


def _truncated(change: Change) -> Change:
    """The same with at most :data:`MAX_RANK` columns, by a singular value decomposition of U V^T."""
    if change.up.shape[1] <= MAX_RANK:
        return change
    # U V^T = Q R (P S)^T: only the small middle matrix R S^T must be decomposed.
    q, r = np.linalg.qr(change.up.astype(np.float64))
    p, s = np.linalg.qr(change.down.astype(np.float64))
    left, values, right = np.linalg.svd(r @ s.T)
    up = (q @ left[:, :MAX_RANK]) * values[:MAX_RANK]
    return Change(up.astype(np.float32), (p @ right[:MAX_RANK].T).astype(np.float32), change.shift)


def _nothing(features: int) -> Change:
    empty = np.zeros((features, 0), np.float32)
    return Change(empty, empty, np.zeros(features, np.float32))


def _raw_answers(reader: Reader, squares: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Features (N, F) before any adaptation, and logits (N, C), of many squares in batches."""
    reader.features(squares[:0])  # raises its error for a net that gives none
    parts = [reader.answers(squares[start : start + _BATCH]) for start in range(0, len(squares), _BATCH)]
    features = [found for _, found in parts if found is not None]
    return np.concatenate(features), np.concatenate([logits for logits, _ in parts])
