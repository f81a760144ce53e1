"""Methods that teach how the pictures of a batch stand to each other; of several processes each sees its own share.

Widths and sizes of student and teacher need not agree, so there are no connectors.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.distill.layers import Layered, above_zero, in_float32, not_negative, pooled, total
from hanmo.distill.method import register
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output

LAST = ("layer4",)


def differences(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C) -> distances (N, N), and the unit vectors (N, N, C) from the first picture of a pair to the second."""
    between = embeddings[None] - embeddings[:, None]
    distances = between.square().sum(-1).clamp(min=1e-12).sqrt()
    return distances, between / distances.unsqueeze(-1)


@in_float32
def rkd_losses(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Huber losses on what pairs and triples of embeddings (N, C), (N, D) say.

    The first is on distances over their mean, the second on cosines of the angles at each picture between two others.
    """

    def said(embeddings: Tensor) -> tuple[Tensor, Tensor]:
        distances, directions = differences(embeddings)
        count = len(embeddings)
        mean = distances.sum() / (count * (count - 1))
        return distances / mean, torch.einsum("ijc,ikc->ijk", directions, directions)

    own, given = said(student), said(teacher)
    return F.smooth_l1_loss(own[0], given[0]), F.smooth_l1_loss(own[1], given[1])


@in_float32
def sp_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared distance of the similarities (N, N) of pictures in features (N, ...), rows at unit length."""

    def similarities(features: Tensor) -> Tensor:
        rows = features.flatten(1)
        return F.normalize(rows @ rows.T, dim=1)

    return (similarities(student) - similarities(teacher)).square().mean()


@in_float32
def correlations(embeddings: Tensor, gamma: float, order: int) -> Tensor:
    """(N, C) -> (N, N): the Gaussian kernel exp(-gamma |x - y|²) of unit vectors, as a Taylor series of x·y."""
    unit = F.normalize(embeddings, dim=1)
    dots = unit @ unit.T
    terms = [(2 * gamma) ** p / math.factorial(p) * dots**p for p in range(order + 1)]
    return math.exp(-2 * gamma) * torch.stack(terms).sum(0)


class _Related(Layered):
    def connect(self, student: Output, teacher: Output) -> None:
        self.need_vectors(student, teacher)


@register("rkd")
class RelationalKD(_Related):
    """RKD: distances of pairs and angles of triples in the last features are to be the teacher's.

    Park et al., "Relational Knowledge Distillation", CVPR 2019: ``distance`` weighs 25 and ``angle`` 50. The cost of
    the angles grows with the cube of the batch, so only its first ``pictures`` are looked at.
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


@register("sp")
class SimilarityPreserving(_Related):
    """SP: pictures alike to the teacher's last map are to be alike to the student's.

    Tung, Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019: weight 3000.
    """

    weight = 3000.0

    def __init__(self, *, layers: tuple[str, ...] = LAST, teacher_layers: tuple[str, ...] = ()) -> None:
        super().__init__(layers=layers, teacher_layers=teacher_layers)

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        return total([sp_loss(s, t) for s, t in self.pairs(student, teacher)])


@register("cc")
class CorrelationCongruence(_Related):
    """CC: a kernel's correlations of pictures in the last features are to be the teacher's.

    Peng et al., "Correlation Congruence for Knowledge Distillation", ICCV 2019: a Gaussian kernel with gamma 0.4,
    expanded to order 2. The paper also fills batches by class or cluster, which is not done here. Its weight is for
    features of another scale; 100 is ours: it brings the loss, of unit vectors here, to the size of that of ``rkd``.
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
        def seen(features: Tensor) -> Tensor:
            return correlations(pooled(features), self.gamma, self.order)

        return total([F.mse_loss(seen(s), seen(t)) for s, t in self.pairs(student, teacher)])
