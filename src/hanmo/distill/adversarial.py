"""Adversarial distillation: a discriminator learns to tell the student's logits from the teacher's."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.distill.layers import not_negative
from hanmo.distill.method import Method, register_method
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output


def reverse_gradient(x: Tensor) -> Tensor:
    """``x`` itself; in the backward pass the gradient changes its sign.

    Ganin, Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", ICML 2015. One backward pass then trains the
    layers after it to lower a loss and the layers before it to raise the same loss.
    """
    # Forward: 2x - x = x. Backward: the detached 2x counts as a constant, so the gradient is that of -x.
    return 2 * x.detach() - x


class Discriminator(nn.Module):
    """Logits (N, C) -> ``(source, classes)``, both logits again.

    ``source``, (N,), is high where the input seems to come from a teacher. ``classes``, (N, C), tell which class the
    input shows.
    """

    def __init__(self, classes: int, hidden: int) -> None:
        super().__init__()
        # LeakyReLU passes some gradient for negative inputs too. The student learns through this net, so a unit that is
        # off must not cut its gradient. The slope 0.2 is the usual one of discriminators.
        self.body = nn.Sequential(
            nn.Linear(classes, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, hidden), nn.LeakyReLU(0.2)
        )
        # Checkpoints hold these names: whose net the logits come from, and which class they show.
        self.whose = nn.Linear(hidden, 1)
        self.which = nn.Linear(hidden, classes)

    def forward(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.body(logits)
        return self.whose(hidden).squeeze(1).float(), self.which(hidden).float()


@register_method("adversarial")
class Adversarial(Method):
    """Conditional adversarial distillation: the student tries to give logits that pass for the teacher's.

    Loss: ``-log(1 - D(s)) - log D(t) + classify * (CE(A(s), y) + CE(A(t), y))``; D is the discriminator's probability
    that logits are a teacher's, A its classes, s and t the logits of student and teacher less their mean, y the label.
    The discriminator lowers all of it; the student raises the first term through a reversed gradient.

    Xu, Hsu, Huang, "Training Shallow and Thin Networks for Acceleration via Knowledge Distillation with Conditional
    Adversarial Networks", 2017. Differences from the paper: it trains student and discriminator in turn, here one step
    trains both; it adds a distance of the logits, here name ``kd`` as well. The width ``hidden`` of the discriminator,
    a perceptron of three layers, is our choice. The loss is not zero when student and teacher agree. The weight is our
    choice too: with 1 a small student of 100 characters reached 48 to 80 % instead of 97.
    """

    weight = 0.1

    def __init__(self, *, hidden: int = 128, classify: float = 1.0) -> None:
        super().__init__()
        if hidden < 1:
            raise ConfigError(f"{self.name}: hidden {hidden}: at least 1")
        not_negative(self.name, classify=classify)
        self.hidden, self.classify = hidden, classify

    def connect(self, student: Output, teacher: Output) -> None:
        self.discriminator = Discriminator(student.logits.shape[1], self.hidden)

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        # Probabilities do not change when the same number is added to all logits, so the offset carries no knowledge.
        student_logits, teacher_logits = (
            logits - logits.mean(1, keepdim=True) for logits in (student.logits, teacher.logits)
        )
        student_score, _ = self.discriminator(reverse_gradient(student_logits))
        teacher_score, teacher_classes = self.discriminator(teacher_logits)
        # softplus(x) = -log(1 - sigmoid(x)) and softplus(-x) = -log sigmoid(x): binary cross-entropy, stable.
        loss = F.softplus(student_score).mean() + F.softplus(-teacher_score).mean()
        if self.classify:
            # A second pass without the reversal: student and discriminator both want the class to be readable.
            _, student_classes = self.discriminator(student_logits)
            loss = loss + self.classify * (
                F.cross_entropy(student_classes, labels) + F.cross_entropy(teacher_classes, labels)
            )
        return loss
