"""Methods that teach through the logits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.distill.layers import in_float32, not_negative
from hanmo.distill.method import Method, register
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output

NEVER = -1e4
"""A logit whose class has no probability, and still a finite gradient."""


def kd_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² KL(teacher ‖ student) of logits (N, C) softened by T, mean over pictures; zero when they agree."""
    said = F.log_softmax(student.float() / temperature, -1)
    truth = F.log_softmax(teacher.float() / temperature, -1)
    return F.kl_div(said, truth, reduction="batchmean", log_target=True) * temperature**2


def standardise(logits: Tensor) -> Tensor:
    """Each row (N, C) to zero mean and unit variance."""
    logits = logits.float()
    return (logits - logits.mean(-1, keepdim=True)) / (logits.std(-1, keepdim=True) + 1e-7)


def main_classes(labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Classes (N,) and what each counts (N,): the labels; of shares (N, C) the two largest, all that mixing leaves."""
    if labels.ndim == 1:
        return [(labels, torch.ones_like(labels, dtype=torch.float32))]
    shares, classes = labels.float().topk(min(2, labels.shape[1]), dim=1)
    return [(classes[:, i], shares[:, i]) for i in range(shares.shape[1])]


@in_float32
def decoupled(student: Tensor, teacher: Tensor, classes: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The two parts of KD for logits (N, C) softened by T and target ``classes`` (N,), each (N,), without T².

    The first is KL(teacher ‖ student) of target against all others, the second that among the others alone; KD is the
    first plus the second times the teacher's probability that it is another than the target.
    """
    target = F.one_hot(classes, student.shape[1]).bool()

    def parts(logits: Tensor) -> tuple[Tensor, Tensor]:
        logs = F.log_softmax(logits / temperature, -1)
        others = logs.masked_fill(target, NEVER)
        either = torch.stack([logs.gather(1, classes[:, None])[:, 0], others.logsumexp(-1)], 1)
        return either, F.log_softmax(others, -1)

    said, said_others = parts(student)
    truth, truth_others = parts(teacher)
    of_target = (truth.exp() * (truth - said)).sum(-1)
    of_others = (truth_others.exp() * (truth_others - said_others)).sum(-1)
    return of_target, of_others


def dkd_loss(
    student: Tensor, teacher: Tensor, labels: Tensor, *, alpha: float, beta: float, temperature: float
) -> Tensor:
    """T² (alpha · target part + beta · part of the others) of :func:`decoupled`, mean over pictures.

    Of mixed pictures, labels (N, C), it is the mean over their two classes weighted by the shares, as their loss on
    true labels is.
    """
    losses = []
    for classes, share in main_classes(labels):
        of_target, of_others = decoupled(student, teacher, classes, temperature)
        losses.append(share * (alpha * of_target + beta * of_others))
    return torch.stack(losses).sum(0).mean() * temperature**2


def unlikeness(one: Tensor, other: Tensor) -> Tensor:
    """1 - Pearson's correlation of the rows (N, C) of both, mean over rows; blind to each row's scale and offset."""
    one, other = (rows.float() - rows.float().mean(-1, keepdim=True) for rows in (one, other))
    return 1 - F.cosine_similarity(one, other, dim=-1, eps=1e-8).mean()


def dist_losses(student: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """T² times the unlikeness of softened probabilities: between the classes of a picture, and the reverse."""
    said, truth = (F.softmax(logits.float() / temperature, -1) for logits in (student, teacher))
    return unlikeness(said, truth) * temperature**2, unlikeness(said.T, truth.T) * temperature**2


@register("kd")
class KnowledgeDistillation(Method):
    """KD. Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015."""

    weight = 0.9
    takes_empty_pages = True

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


@register("dkd")
class DecoupledKD(Method):
    """KD in two parts of weights of their own: how sure the teacher is of the target, and what it says of the others.

    Zhao et al., "Decoupled Knowledge Distillation", CVPR 2022. Defaults are those of their CIFAR-100 pair ResNet32x4
    to 8x4 (on ImageNet beta is 0.5 and T 1); their warm-up of the weight over 20 epochs is not here.
    """

    weight = 1.0

    def __init__(self, *, alpha: float = 1.0, beta: float = 8.0, temperature: float = 4.0) -> None:
        super().__init__()
        not_negative(self.name, alpha=alpha, beta=beta)
        self.alpha, self.beta, self.temperature = alpha, beta, _positive(temperature)

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        options = {"alpha": self.alpha, "beta": self.beta, "temperature": self.temperature}
        return dkd_loss(student.logits, teacher.logits, labels, **options)


@register("dist")
class StrongerTeacher(Method):
    """DIST: correlations in place of KL, of each picture's classes (``inter``) and each class' pictures (``intra``).

    Huang et al., "Knowledge Distillation from A Stronger Teacher", NeurIPS 2022: both weigh 2; T is 4 on CIFAR-100 (the
    default here) and 1 on ImageNet. The pictures of a class are those of one process' share of the batch.
    """

    weight = 1.0

    def __init__(self, *, inter: float = 2.0, intra: float = 2.0, temperature: float = 4.0) -> None:
        super().__init__()
        not_negative(self.name, inter=inter, intra=intra)
        self.inter, self.intra, self.temperature = inter, intra, _positive(temperature)

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        inter, intra = dist_losses(student.logits, teacher.logits, self.temperature)
        return self.inter * inter + self.intra * intra


@register("label-refinery")
class LabelRefinery(Method):
    """The teacher's probabilities of this very crop, unsoftened, stand in for its label.

    Bagherinezhad et al., "Label Refinery: Improving ImageNet Classification through Label Progression", 2018. The
    paper uses no true labels: give the recipe ``label_weight = 0``. It chains several generations of one net; here one
    generation is one run, whose teacher is the run before.
    """

    weight = 1.0

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        return kd_loss(student.logits, teacher.logits, 1.0)


def _positive(temperature: float) -> float:
    if temperature <= 0:
        raise ConfigError(f"distillation temperature {temperature} must be above 0")
    return temperature
