"""Knowledge review: deep layers of the student help its shallow ones to imitate the teacher's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.distill.layers import STAGES, Layered, same_size, total
from hanmo.distill.method import register
from hanmo.nets.feature_hooks import Output

WIDEST = 512
"""The most channels in which levels are fused."""


def hierarchical_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared distance of maps (N, C, H, W), and of their averages over 4x4, 2x2 and 1x1 parts, each half as
    heavy as the one before; the weights sum to one."""
    student, teacher = student.float(), teacher.float()
    losses, weights = [F.mse_loss(student, teacher)], [1.0]
    for parts in (4, 2, 1):
        if parts < min(student.shape[2:]):
            losses.append(F.mse_loss(F.adaptive_avg_pool2d(student, parts), F.adaptive_avg_pool2d(teacher, parts)))
            weights.append(weights[-1] / 2)
    return total([weight / sum(weights) * loss for weight, loss in zip(weights, losses, strict=True)])


class Fusion(nn.Module):
    """A map (N, inputs, H, W) and what came from deeper -> a guess (N, outputs, H, W), and what goes on to the next.

    Each place weighs the two by a sigmoid of both; the ``deepest`` level has nothing to fuse with.
    """

    def __init__(self, inputs: int, middle: int, outputs: int, *, deepest: bool) -> None:
        super().__init__()
        self.reduce = nn.Sequential(nn.Conv2d(inputs, middle, 1, bias=False), nn.BatchNorm2d(middle))
        self.attend = None if deepest else nn.Conv2d(2 * middle, 2, 1)
        self.expand = nn.Sequential(nn.Conv2d(middle, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor, deeper: Tensor | None) -> tuple[Tensor, Tensor]:
        x = self.reduce(x)
        if self.attend is not None and deeper is not None:
            deeper = F.interpolate(deeper, size=x.shape[2:], mode="nearest")
            shares = torch.sigmoid(self.attend(torch.cat([x, deeper], 1)))
            x = x * shares[:, :1] + deeper * shares[:, 1:]
        return self.expand(x), x


@register("review")
class KnowledgeReview(Layered):
    """From the deepest layer up, each is fused with all deeper ones before it is compared with the teacher's.

    Chen et al., "Distilling Knowledge via Knowledge Review", CVPR 2021. The weight is 1 for ResNet-34 to 18 on
    ImageNet and 0.6 to 8 on CIFAR-100; their warm-up of it over 20 epochs and their fifth level, the pooled features,
    are not here.
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
        for fusion, (s, t) in zip(self.fusions, self.pairs(student, teacher)[::-1], strict=True):
            guess, deeper = fusion(s, deeper)
            losses.append(hierarchical_loss(*same_size(guess, t)))
        return total(losses)
