"""Methods that need no teacher: a virtual one, the student's own depth, or a peer."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.distill.layers import STAGES, Layered, above_zero, not_negative, pooled, total
from hanmo.distill.logits import kd_loss
from hanmo.distill.method import Method, register
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output


def virtual_teacher(labels: Tensor, classes: int, sure: float, temperature: float) -> Tensor:
    """Log-probabilities (N, C) of one who is ``sure`` of the label and to whom all others are alike, softened by T.

    ``labels`` are classes (N,) or shares (N, C).
    """
    shares = F.one_hot(labels, classes).float() if labels.ndim == 1 else labels.float()
    said = sure * shares + (1 - sure) / (classes - 1) * (1 - shares)
    return F.log_softmax(said.log() / temperature, -1)


@register("tf-kd")
class TeacherFreeKD(Method):
    """A teacher that is made, not trained: ``sure`` of the label, and soft.

    Yuan et al., "Revisiting Knowledge Distillation via Label Smoothing Regularization", CVPR 2020, Tf-KD_reg: sure
    0.99, temperature 20, weight 0.1 and 0.9 for the labels (``label_weight = 0.9``). As in their code the student is
    not softened; there the softmax is taken of the probabilities over T, here, as the paper defines it, of their
    logarithms.
    """

    weight = 0.1
    needs_teacher = False

    def __init__(self, *, sure: float = 0.99, temperature: float = 20.0) -> None:
        super().__init__()
        above_zero(self.name, temperature=temperature)
        if not 0 < sure < 1:
            raise ConfigError(f"{self.name}: sure {sure} is no probability between 0 and 1")
        self.sure, self.temperature = sure, temperature

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        truth = virtual_teacher(labels, student.logits.shape[1], self.sure, self.temperature)
        return kd_loss(student.logits, truth, 1.0)


class Exit(nn.Module):
    """A classifier of its own for a map (N, C, H, W): features (N, ``width``) and logits (N, ``classes``)."""

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = pooled(torch.relu(self.norm(self.conv(x))))
        return features, self.fc(features)


@register("self")
class SelfDistillation(Layered):
    """Each layer but the last gets a classifier, which learns from the labels and from what the whole net says.

    Zhang et al., "Be Your Own Teacher: Improve the Performance of Convolutional Neural Networks via Self
    Distillation", ICCV 2019: (1 - alpha) of the loss on labels, alpha of that on the net's logits, and ``hint`` of the
    squared distance to its last features, for every classifier. Theirs are several convolutions deep, one here; they
    teach the layers below and are not in the finished net. Give the recipe ``label_weight = 1``.
    """

    weight = 1.0
    needs_teacher = False

    def __init__(
        self,
        *,
        layers: tuple[str, ...] = ("layer1", *STAGES),
        alpha: float = 0.3,
        hint: float = 0.03,
        temperature: float = 3.0,
    ) -> None:
        super().__init__(layers=layers)
        if len(layers) < 2:
            raise ConfigError(f"{self.name}: layers needs at least two; the last teaches the others")
        not_negative(self.name, hint=hint)
        above_zero(self.name, temperature=temperature)
        if not 0 <= alpha <= 1:
            raise ConfigError(f"{self.name}: alpha {alpha} is not a share, 0 to 1")
        self.alpha, self.hint, self.temperature = alpha, hint, temperature
        self.teacher_layers = ()
        self.exits = nn.ModuleList()

    def connect(self, student: Output, teacher: Output) -> None:
        self.need_maps(student, teacher)
        *maps, last = (student.features[layer] for layer in self.student_layers)
        for features in maps:
            self.exits.append(Exit(features.shape[1], last.shape[1], student.logits.shape[1]))

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        *maps, last = (student.features[layer] for layer in self.student_layers)
        truth, deepest = student.logits.detach(), pooled(last.detach()).float()
        losses = []
        for leave, x in zip(self.exits, maps, strict=True):
            features, logits = leave(x)
            losses.append((1 - self.alpha) * F.cross_entropy(logits.float(), labels))
            losses.append(self.alpha * kd_loss(logits, truth, self.temperature))
            losses.append(self.hint * F.mse_loss(features.float(), deepest))
        return total(losses)


@register("mutual")
class MutualLearning(Method):
    """Two nets of the same make learn together, each from the labels and from what the other says.

    Zhang et al., "Deep Mutual Learning", CVPR 2018, with two nets. The peer starts from other weights and belongs to
    the method; the student alone is evaluated and kept (and averaged, and of few bits, where the recipe says so). They
    take their steps at once, in the paper one after the other. The value is the sum of the two KL divergences and of
    the peer's loss on the labels, unsmoothed; the student's own is the recipe's: ``label_weight = 1`` in the paper.
    """

    weight = 1.0
    needs_teacher = False

    def __init__(self, *, temperature: float = 1.0) -> None:
        super().__init__()
        above_zero(self.name, temperature=temperature)
        self.temperature = temperature

    def attach(self, student: nn.Module, teacher: nn.Module | None, build_student: Callable[[], nn.Module]) -> None:
        self.peer = build_student()

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        assert student.pictures is not None
        peer = self.peer(student.pictures).float()
        learnt = kd_loss(student.logits, peer.detach(), self.temperature)
        taught = kd_loss(peer, student.logits.detach(), self.temperature)
        return learnt + taught + F.cross_entropy(peer, labels)
