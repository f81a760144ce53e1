"""Methods that compare relations between the pictures of a batch: distances, angles, similarities.

Widths and sizes of student and teacher need not agree, so no connectors are needed. With several processes, each
compares the pictures of its own share of the batch.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.distill.layers import Layered, above_zero, in_float32, not_negative, pooled, total
from hanmo.distill.method import register_method
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output

LAST = ("layer4",)
"""The layer compared by default: the last features before the classifier."""


NEAR = 0.1
"""Pairs nearer than this share of the mean distance have a direction of less than unit length, see :func:`directions`.

Our choice: pictures that a net tells apart are farther from each other, so the published loss is as it was for them.
"""
TINY = 1e-12
"""The least mean distance; only embeddings that are all the same have a smaller one."""


def distances_of(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C) -> the differences x_j - x_i of all pairs, (N, N, C), and their lengths, (N, N).

    Where two pictures have the same embedding the length is 0, and so is its gradient.
    """
    between = embeddings[None] - embeddings[:, None]
    squares = between.square().sum(-1)
    # The root has no finite slope at 0. A 1 takes the place of each 0 before the root, and a 0 that of the result: the
    # gradient then never passes through a root of 0.
    equal = squares == 0
    return between, squares.masked_fill(equal, 1).sqrt().masked_fill(equal, 0)


def directions(between: Tensor, distances: Tensor, mean: Tensor) -> Tensor:
    """The unit vectors (N, N, C) along the differences of pairs; shorter ones for pairs that are nearly alike.

    The slope of a unit vector grows as 1 / distance, without bound. One pair of pictures that the student embeds alike
    would outweigh all others in the gradient. Below :data:`NEAR` times the ``mean`` distance, the difference is divided
    by that length instead: the vector goes to 0 with the distance, and its slope stays bounded.
    """
    return between / torch.maximum(distances, NEAR * mean).unsqueeze(-1)


@in_float32
def rkd_losses(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """``(distance loss, angle loss)`` of embeddings (N, C) and (N, D), both Huber losses.

    The first compares the distances of all pairs, the second the cosines of the angles of all triples.
    """

    def relations(embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Distances (N, N) divided by their mean, and the cosine (N, N, N) of the angle at i between j and k."""
        between, distances = distances_of(embeddings)
        count = len(embeddings)
        # Over all pairs of two pictures, those that are embedded alike included; a picture and itself are no pair.
        mean = (distances.sum() / (count * (count - 1))).clamp(min=TINY)
        unit = directions(between, distances, mean)
        # Divided by their mean, because embeddings of two nets have different scales. The dot product of the unit
        # vectors from i to j and from i to k is the cosine of the angle at i.
        return distances / mean, torch.einsum("ijc,ikc->ijk", unit, unit)

    student_distances, student_angles = relations(student)
    teacher_distances, teacher_angles = relations(teacher)
    return F.smooth_l1_loss(student_distances, teacher_distances), F.smooth_l1_loss(student_angles, teacher_angles)


@in_float32
def sp_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared distance of the similarity matrices (N, N) of features (N, ...), rows scaled to unit length."""

    def similarities(features: Tensor) -> Tensor:
        # (N, N) whatever the features' shape, so nets of any size can be compared.
        rows = features.flatten(1)
        return F.normalize(rows @ rows.T, dim=1)

    return (similarities(student) - similarities(teacher)).square().mean()


@in_float32
def correlations(embeddings: Tensor, gamma: float, order: int) -> Tensor:
    """(N, C) -> (N, N): the Gaussian kernel exp(-gamma |x - y|²) of unit vectors, as a Taylor series in x·y."""
    # For unit vectors |x - y|² = 2 - 2 x·y, so the kernel is exp(-2 gamma) exp(2 gamma x·y); the series is the second.
    unit = F.normalize(embeddings, dim=1)
    dots = unit @ unit.T
    terms = [(2 * gamma) ** p / math.factorial(p) * dots**p for p in range(order + 1)]
    return math.exp(-2 * gamma) * torch.stack(terms).sum(0)


class _Relational(Layered):
    def connect(self, student: Output, teacher: Output) -> None:
        self.need_vectors(student, teacher)


@register_method("rkd")
class RelationalKD(_Relational):
    """RKD: distances of pairs and angles of triples of pictures match the teacher's.

    Loss: ``distance * Huber(d_s, d_t) + angle * Huber(a_s, a_t)``; d are the distances of all pairs of embeddings over
    their mean, a the cosines of the angles of all triples, in student and teacher.

    Park et al., "Relational Knowledge Distillation", CVPR 2019: ``distance`` weighs 25 and ``angle`` 50. The cost of
    the angles grows with the cube of the batch, so only its first ``pictures`` are used. Our addition: directions
    between pictures that are embedded nearly alike are shortened (:func:`directions`), which bounds their gradient.
    """

    weight = 1.0

    def __init__(
        self,
        *,
        layers: tuple[str, ...] = LAST,
        teacher_layers: tuple[str, ...] = (),
        distance: float = 25.0,
        angle: float = 50.0,
        pictures: int = 128,
    ) -> None:
        super().__init__(layers=layers, teacher_layers=teacher_layers)
        not_negative(self.name, distance=distance, angle=angle)
        if pictures < 3:
            raise ConfigError(f"{self.name}: pictures {pictures}: an angle needs at least 3")
        self.distance, self.angle, self.pictures = distance, angle, pictures

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        losses = []
        for s, t in self.pairs(student, teacher):
            distance, angle = rkd_losses(pooled(s[: self.pictures]), pooled(t[: self.pictures]))
            losses.append(self.distance * distance + self.angle * angle)
        return total(losses)


@register_method("sp")
class SimilarityPreserving(_Relational):
    """SP: pictures with similar features in the teacher have similar features in the student.

    Loss: ``mean((G_s - G_t)²)``; G = F Fᵀ with rows scaled to unit length, F the features (N, ...) flattened.

    Tung, Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019: weight 3000.
    """

    weight = 3000.0

    def __init__(self, *, layers: tuple[str, ...] = LAST, teacher_layers: tuple[str, ...] = ()) -> None:
        super().__init__(layers=layers, teacher_layers=teacher_layers)

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        return total([sp_loss(s, t) for s, t in self.pairs(student, teacher)])


@register_method("cc")
class CorrelationCongruence(_Relational):
    """CC: the correlations between pictures, measured with a Gaussian kernel, match the teacher's.

    Loss: ``mean((K_s - K_t)²)``; K is the kernel matrix (N, N) of the embeddings (:func:`correlations`).

    Peng et al., "Correlation Congruence for Knowledge Distillation", ICCV 2019: gamma 0.4, expanded to ``order`` 2.
    The paper also fills batches by class or cluster, which is not done here. The paper's weight is for features of
    another scale. The weight 100 is our choice: it brings the loss, of unit vectors here, to the size of that of
    ``rkd``.
    """

    weight = 100.0

    def __init__(
        self,
        *,
        layers: tuple[str, ...] = LAST,
        teacher_layers: tuple[str, ...] = (),
        gamma: float = 0.4,
        order: int = 2,
    ) -> None:
        super().__init__(layers=layers, teacher_layers=teacher_layers)
        above_zero(self.name, gamma=gamma, order=order)
        self.gamma, self.order = gamma, order

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        def kernel(features: Tensor) -> Tensor:
            return correlations(pooled(features), self.gamma, self.order)

        return total([F.mse_loss(kernel(s), kernel(t)) for s, t in self.pairs(student, teacher)])
