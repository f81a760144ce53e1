"""Methods that teach through the logits."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from hanmo.distill.method import Method, register
from hanmo.errors import ConfigError
from hanmo.nets.taps import Output


def kd_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² KL(teacher ‖ student) of logits (N, C) softened by T, mean over pictures; zero when they agree."""
    said = F.log_softmax(student.float() / temperature, -1)
    truth = F.log_softmax(teacher.float() / temperature, -1)
    return F.kl_div(said, truth, reduction="batchmean", log_target=True) * temperature**2


def standardise(logits: Tensor) -> Tensor:
    """Each row (N, C) to zero mean and unit variance."""
    logits = logits.float()
    return (logits - logits.mean(-1, keepdim=True)) / (logits.std(-1, keepdim=True) + 1e-7)


@register("kd")
class KnowledgeDistillation(Method):
    """KD. Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015."""

    weight = 0.9

    def __init__(self, *, temperature: float = 4.0) -> None:
        super().__init__()
        self.temperature = _positive(temperature)

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        return kd_loss(student.logits, teacher.logits, self.temperature)


@register("kd-standardised")
class LogitStandardisedKD(Method):
    """KD on standardised logits: the student need not copy the teacher's scale, only its order and shape.

    Sun et al., "Logit Standardization in Knowledge Distillation", CVPR 2024: base temperature 2, weight 9.
    """

    weight = 9.0

    def __init__(self, *, temperature: float = 2.0) -> None:
        super().__init__()
        self.temperature = _positive(temperature)

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        return kd_loss(standardise(student.logits), standardise(teacher.logits), self.temperature)


def _positive(temperature: float) -> float:
    if temperature <= 0:
        raise ConfigError(f"distillation temperature {temperature} must be above 0")
    return temperature
