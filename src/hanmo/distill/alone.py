"""Methods that need no trained teacher: a virtual teacher, self-distillation, and mutual learning with a peer."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.distill.layers import STAGES, Layered, above_zero, not_negative, pooled, total
from hanmo.distill.logits import kd_loss
from hanmo.distill.method import Method, register_method
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output


def virtual_teacher(labels: Tensor, classes: int, sure: float, temperature: float) -> Tensor:
    """Log-probabilities (N, C) of a virtual teacher, softened by ``temperature``.

    It gives the label the probability ``sure`` and all other classes the same share of the rest. ``labels`` are
    classes (N,) or probabilities (N, C).
    """
    # Each row sums to 1, for mixed labels too: targets sum to 1, and so 1 - targets to C - 1.
    targets = F.one_hot(labels, classes).float() if labels.ndim == 1 else labels.float()
    probabilities = sure * targets + (1 - sure) / (classes - 1) * (1 - targets)
    # ``sure`` is between 0 and 1, so no probability is 0 and every logarithm is finite.
    return F.log_softmax(probabilities.log() / temperature, -1)


@register_method("tf-kd")
class TeacherFreeKD(Method):
    """Teacher-free KD (Tf-KD_reg) with a virtual teacher.

    Loss: ``KL(p_v^T || p_s)``; p_v^T are the virtual teacher's probabilities softened by the temperature T
    (:func:`virtual_teacher`), p_s the student's.

    Yuan et al., "Revisiting Knowledge Distillation via Label Smoothing Regularization", CVPR 2020: ``sure`` 0.99,
    temperature 20, weight 0.1 and ``label_weight = 0.9``. As in their code the student is not softened. Their code
    takes the softmax of the probabilities over T; here it is of their logarithms, as the paper defines it.
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
        teacher_logits = virtual_teacher(labels, student.logits.shape[1], self.sure, self.temperature)
        return kd_loss(student.logits, teacher_logits, 1.0)  # softened above already


class Exit(nn.Module):
    """An auxiliary classifier on a map (N, C, H, W): features (N, ``width``) and logits (N, ``classes``)."""

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        # Early features are too local to be classified directly; the convolution combines them first. With stride 2 it
        # computes a quarter of the places, because the exit should cost little.
        self.conv = nn.Conv2d(channels, width, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = pooled(torch.relu(self.norm(self.conv(x))))
        return features, self.fc(features)


@register_method("self")
class SelfDistillation(Layered):
    """Self-distillation: every layer but the last gets an auxiliary classifier, taught by the net's own last layer.

    Loss: ``sum over i of (1 - alpha) CE(z_i, y) + alpha T² KL(p^T || p_i^T) + hint |f_i - f|²``; z_i, p_i and f_i are
    logits, probabilities and features of classifier i, p and f those of the whole net, y the label, T the temperature.

    Zhang et al., "Be Your Own Teacher: Improve the Performance of Convolutional Neural Networks via Self
    Distillation", ICCV 2019. Their auxiliary classifiers have several convolutions, ours one. The classifiers are not
    part of the finished net. Give the recipe ``label_weight = 1``.
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
        # The net teaches itself, so no layers of a teacher are read.
        self.teacher_layers = ()
        self.exits = nn.ModuleList()

    def connect(self, student: Output, teacher: Output) -> None:
        self.need_maps(student, teacher)
        *maps, last = (student.features[layer] for layer in self.student_layers)
        for features in maps:
            self.exits.append(Exit(features.shape[1], last.shape[1], student.logits.shape[1]))

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        *maps, last = (student.features[layer] for layer in self.student_layers)
        # Detached: the deep layers teach the shallow ones, and are not pulled towards them.
        teacher_logits, teacher_features = student.logits.detach(), pooled(last.detach()).float()
        losses = []
        # Each exit learns from three sources: the label, the last layer's probabilities and the last layer's features.
        for classifier, x in zip(self.exits, maps, strict=True):
            features, logits = classifier(x)
            losses.append((1 - self.alpha) * F.cross_entropy(logits.float(), labels))
            losses.append(self.alpha * kd_loss(logits, teacher_logits, self.temperature))
            losses.append(self.hint * F.mse_loss(features.float(), teacher_features))
        return total(losses)


@register_method("mutual")
class MutualLearning(Method):
    """Deep mutual learning: the student and an untrained peer of the same architecture teach each other.

    Loss: ``T² KL(p_peer || p_s) + T² KL(p_s || p_peer) + CE(z_peer, y)``; p are probabilities softened by the
    temperature T, z_peer the peer's logits, y the label. The left side of each KL is taken as a constant.

    Zhang et al., "Deep Mutual Learning", CVPR 2018, with two nets and ``label_weight = 1``. The peer starts from other
    weights and belongs to the method: only the student is evaluated, averaged, quantised and kept. Both nets take
    their steps at the same time, in the paper in turn.
    """

    weight = 1.0
    needs_teacher = False

    def __init__(self, *, temperature: float = 1.0) -> None:
        super().__init__()
        above_zero(self.name, temperature=temperature)
        self.temperature = temperature

    def attach(self, student: nn.Module, teacher: nn.Module | None, build_student: Callable[[], nn.Module]) -> None:
        # The same architecture with other random weights: two equal nets would have nothing to teach each other.
        self.peer = build_student()

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        assert student.pictures is not None
        # The peer sees the very pictures of the student (augmented and mixed), or its answers would not be comparable.
        peer_logits = self.peer(student.pictures).float()
        # Detached: each net moves towards the other's answer. Otherwise a net would also learn to be easy to imitate.
        student_loss = kd_loss(student.logits, peer_logits.detach(), self.temperature)
        peer_loss = kd_loss(peer_logits, student.logits.detach(), self.temperature)
        return student_loss + peer_loss + F.cross_entropy(peer_logits, labels)
