"""Knowledge review: the student's deep features help its shallow ones to match the teacher's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.distill.layers import STAGES, Layered, same_size, total
from hanmo.distill.method import register_method
from hanmo.nets.feature_hooks import Output

WIDEST = 512
"""Most channels of the maps that are fused; a limit on cost for wide students, as in the authors' code."""


def hierarchical_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """HCL, the hierarchical context loss of maps (N, C, H, W).

    The weighted mean of the squared distances of the maps and of their averages over 4x4, 2x2 and 1x1 parts. Each
    level has half the weight of the one before.
    """
    student, teacher = student.float(), teacher.float()
    losses, weights = [F.mse_loss(student, teacher)], [1.0]
    for parts in (4, 2, 1):
        # A map of this size or smaller is not averaged: its average would equal the map, or would even enlarge it.
        if parts < min(student.shape[2:]):
            losses.append(F.mse_loss(F.adaptive_avg_pool2d(student, parts), F.adaptive_avg_pool2d(teacher, parts)))
            weights.append(weights[-1] / 2)
    return total([weight / sum(weights) * loss for weight, loss in zip(weights, losses, strict=True)])


class Fusion(nn.Module):
    """ABF, attention-based fusion of a map with the fused map of the next deeper level.

    (N, inputs, H, W) and the deeper map -> a prediction of the teacher's map (N, outputs, H, W), and the fused map
    (N, middle, H, W) for the next level. Both maps get a weight at every place, a sigmoid of a 1x1 convolution of
    both. The ``deepest`` level has no deeper map.
    """

    def __init__(self, inputs: int, middle: int, outputs: int, *, deepest: bool) -> None:
        super().__init__()
        # All levels get the same number of channels, so that a map can be added to the fused map of the deeper level.
        self.reduce = nn.Sequential(nn.Conv2d(inputs, middle, 1, bias=False), nn.BatchNorm2d(middle))
        self.attend = None if deepest else nn.Conv2d(2 * middle, 2, 1)
        self.expand = nn.Sequential(nn.Conv2d(middle, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor, deeper: Tensor | None) -> tuple[Tensor, Tensor]:
        x = self.reduce(x)
        if self.attend is not None and deeper is not None:
            deeper = F.interpolate(deeper, size=x.shape[2:], mode="nearest")
            # Two weights at every place, (N, 2, H, W): the first for this level, the second for the deeper one.
            weights = torch.sigmoid(self.attend(torch.cat([x, deeper], 1)))
            x = x * weights[:, :1] + deeper * weights[:, 1:]
        # The fused map goes on to the next level, not the prediction, which only has to look like the teacher's map.
        return self.expand(x), x


@register_method("review")
class KnowledgeReview(Layered):
    """ReviewKD: each layer of the student is fused with all deeper ones, then compared with the teacher's layer.

    Loss: ``sum_i HCL(ABF(s_i, s_{i+1}, ...), t_i)``; s_i and t_i are the maps of layer i of student and teacher, ABF is
    the fusion (:class:`Fusion`), HCL the distance (:func:`hierarchical_loss`).

    Chen et al., "Distilling Knowledge via Knowledge Review", CVPR 2021. The weight is 1 for ResNet-34 to 18 on
    ImageNet and 0.6 to 8 on CIFAR-100. Their warm-up of the weight over 20 epochs and their fifth level, the pooled
    features, are not implemented.
    """

    weight = 1.0

    def __init__(self, *, layers: tuple[str, ...] = ("layer1", *STAGES), teacher_layers: tuple[str, ...] = ()) -> None:
        super().__init__(layers=layers, teacher_layers=teacher_layers)
        self.fusions = nn.ModuleList()

    def connect(self, student: Output, teacher: Output) -> None:
        self.need_maps(student, teacher)
        pairs = self.pairs(student, teacher)[::-1]
        middle = min(WIDEST, pairs[0][0].shape[1])
        for level, (s, t) in enumerate(pairs):
            self.fusions.append(Fusion(s.shape[1], middle, t.shape[1], deepest=level == 0))

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        losses: list[Tensor] = []
        deeper = None
        # From the deepest layer to the shallowest, so that each level gets the fusion of all deeper ones.
        for fusion, (s, t) in zip(self.fusions, self.pairs(student, teacher)[::-1], strict=True):
            predicted, deeper = fusion(s, deeper)
            losses.append(hierarchical_loss(*same_size(predicted, t)))
        return total(losses)
