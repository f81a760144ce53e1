"""Methods that compare logits. T is the temperature: logits are divided by it before the softmax."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.distill.layers import above_zero, in_float32, not_negative
from hanmo.distill.method import Method, register_method
from hanmo.nets.feature_hooks import Output

NEVER = -1e4
"""A logit so low that its class gets probability 0; minus infinity would make the gradient NaN."""


def kd_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``T² KL(teacher || student)`` of logits (N, C) softened by ``temperature`` T, mean over pictures.

    Zero when they agree. The factor T² keeps the gradient's size when T changes (Hinton et al., 2015, section 2).
    """
    student_log_probs = F.log_softmax(student.float() / temperature, -1)
    teacher_log_probs = F.log_softmax(teacher.float() / temperature, -1)
    # "batchmean" sums over classes and averages over pictures. "mean" would also divide by the number of classes, so
    # the loss would shrink with a larger charset. Both sides are logarithms: a tiny probability would underflow to 0.
    return F.kl_div(student_log_probs, teacher_log_probs, reduction="batchmean", log_target=True) * temperature**2


def standardise_logits(logits: Tensor) -> Tensor:
    """Logits (N, C), each row shifted and scaled to zero mean and unit variance."""
    logits = logits.float()
    # 1e-7, because the deviation of equal logits is 0.
    return (logits - logits.mean(-1, keepdim=True)) / (logits.std(-1, keepdim=True) + 1e-7)


def main_classes(labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The target classes of each picture as pairs of classes (N,) and weights (N,).

    For class labels (N,) one pair of weight 1; for probabilities (N, C) the two largest.
    """
    if labels.ndim == 1:
        return [(labels, torch.ones_like(labels, dtype=torch.float32))]
    # Mixup blends two pictures, so at most two classes have a weight.
    shares, classes = labels.float().topk(min(2, labels.shape[1]), dim=1)
    return [(classes[:, i], shares[:, i]) for i in range(shares.shape[1])]


@in_float32
def decoupled(student: Tensor, teacher: Tensor, classes: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The two parts of the KD loss (Zhao et al., 2022), each (N,), without the factor T².

    TCKD, of the target class: KL(teacher || student) of the two probabilities "target" and "any other class".
    NCKD, of the non-target classes: KL(teacher || student) among the other classes alone.
    KD = TCKD + (1 - p_t) NCKD, where p_t is the teacher's probability of the target. ``student`` and ``teacher`` are
    logits (N, C), ``classes`` (N,) the targets.
    """
    target = F.one_hot(classes, student.shape[1]).bool()

    def parts(logits: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities (N, 2) of target and rest, and (N, C) of the other classes among themselves."""
        log_probs = F.log_softmax(logits / temperature, -1)
        others = log_probs.masked_fill(target, NEVER)
        # The rest is summed from the other classes. log(1 - p_target) would lose all digits where p_target is near 1.
        binary = torch.stack([log_probs.gather(1, classes[:, None])[:, 0], others.logsumexp(-1)], 1)
        # A second softmax makes the other classes sum to 1 without the target, whose probability is now 0.
        return binary, F.log_softmax(others, -1)

    student_binary, student_others = parts(student)
    teacher_binary, teacher_others = parts(teacher)
    # KL = sum of p_teacher (log p_teacher - log p_student), over the two parts and over the C classes.
    target_loss = (teacher_binary.exp() * (teacher_binary - student_binary)).sum(-1)
    others_loss = (teacher_others.exp() * (teacher_others - student_others)).sum(-1)
    return target_loss, others_loss


def dkd_loss(
    student: Tensor, teacher: Tensor, labels: Tensor, *, alpha: float, beta: float, temperature: float
) -> Tensor:
    """``T² (alpha TCKD + beta NCKD)`` of :func:`decoupled`, mean over pictures.

    For mixed pictures, labels (N, C), it is the weighted mean over their two classes, as the loss on their labels is.
    """
    losses = []
    for classes, weight in main_classes(labels):
        target_loss, others_loss = decoupled(student, teacher, classes, temperature)
        losses.append(weight * (alpha * target_loss + beta * others_loss))
    return torch.stack(losses).sum(0).mean() * temperature**2


def pearson_distance(one: Tensor, other: Tensor) -> Tensor:
    """1 - Pearson's correlation of the rows of both (N, C), mean over rows; scale and offset of a row do not matter."""
    # Pearson's correlation is the cosine of the angle between the two rows, each less its mean.
    one, other = (rows.float() - rows.float().mean(-1, keepdim=True) for rows in (one, other))
    return 1 - F.cosine_similarity(one, other, dim=-1, eps=1e-8).mean()


def dist_losses(student: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """``(inter, intra)``: T² times the :func:`pearson_distance` of softened probabilities, along rows and columns.

    Rows (inter-class) are the classes of one picture, columns (intra-class) the pictures of the batch for one class.
    """
    student_probs, teacher_probs = (F.softmax(logits.float() / temperature, -1) for logits in (student, teacher))
    inter = pearson_distance(student_probs, teacher_probs)
    intra = pearson_distance(student_probs.T, teacher_probs.T)
    return inter * temperature**2, intra * temperature**2


@register_method("kd")
class KnowledgeDistillation(Method):
    """KD: the student matches the teacher's softened probabilities.

    Loss: ``T² KL(p_t^T || p_s^T)``; p_t^T and p_s^T are the probabilities of teacher and student at temperature T.

    Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.
    """

    weight = 0.9
    takes_empty_pages = True

    def __init__(self, *, temperature: float = 4.0) -> None:
        super().__init__()
        above_zero(self.name, temperature=temperature)
        self.temperature = temperature

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        return kd_loss(student.logits, teacher.logits, self.temperature)


@register_method("kd-standardised")
class LogitStandardisedKD(Method):
    """KD on standardised logits: the student need not copy the scale of the teacher's logits.

    Loss: ``T² KL(softmax(Z(t)/T) || softmax(Z(s)/T))``; Z shifts and scales logits to zero mean and unit variance
    (:func:`standardise_logits`), t and s are the logits of teacher and student, T the temperature.

    Sun et al., "Logit Standardization in Knowledge Distillation", CVPR 2024: base temperature 2, weight 9.
    """

    weight = 9.0

    def __init__(self, *, temperature: float = 2.0) -> None:
        super().__init__()
        above_zero(self.name, temperature=temperature)
        self.temperature = temperature

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        # Both are standardised before the temperature divides them, so T means the same for every pair of nets.
        return kd_loss(standardise_logits(student.logits), standardise_logits(teacher.logits), self.temperature)


@register_method("dkd")
class DecoupledKD(Method):
    """DKD: KD in two parts with separate weights, the target class and the non-target classes.

    Loss: ``T² (alpha TCKD + beta NCKD)``; TCKD and NCKD are the two parts (:func:`decoupled`), T is the temperature.

    Zhao et al., "Decoupled Knowledge Distillation", CVPR 2022. Defaults are those of their CIFAR-100 pair ResNet32x4
    to 8x4 (on ImageNet beta is 0.5 and T 1). Their warm-up of the weight over 20 epochs is not implemented.
    """

    weight = 1.0

    def __init__(self, *, alpha: float = 1.0, beta: float = 8.0, temperature: float = 4.0) -> None:
        super().__init__()
        not_negative(self.name, alpha=alpha, beta=beta)
        above_zero(self.name, temperature=temperature)
        self.alpha, self.beta, self.temperature = alpha, beta, temperature

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        options = {"alpha": self.alpha, "beta": self.beta, "temperature": self.temperature}
        return dkd_loss(student.logits, teacher.logits, labels, **options)


@register_method("dist")
class StrongerTeacher(Method):
    """DIST: Pearson correlation in place of KL, so that a strong teacher's exact probabilities need not be matched.

    Loss: ``T² (inter * mean_i (1 - r(S_i, T_i)) + intra * mean_c (1 - r(S^c, T^c)))``; r is Pearson's correlation,
    S_i and T_i the softened probabilities of picture i, S^c and T^c those of class c over the batch.

    Huang et al., "Knowledge Distillation from A Stronger Teacher", NeurIPS 2022: both weigh 2; T is 4 on CIFAR-100 (the
    default here) and 1 on ImageNet. With several processes, each uses its own share of the batch for ``intra``.
    """

    weight = 1.0

    def __init__(self, *, inter: float = 2.0, intra: float = 2.0, temperature: float = 4.0) -> None:
        super().__init__()
        not_negative(self.name, inter=inter, intra=intra)
        above_zero(self.name, temperature=temperature)
        self.inter, self.intra, self.temperature = inter, intra, temperature

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        inter, intra = dist_losses(student.logits, teacher.logits, self.temperature)
        return self.inter * inter + self.intra * intra


@register_method("label-refinery")
class LabelRefinery(Method):
    """Label refinery: the teacher's probabilities for the augmented picture replace its label.

    Loss: ``KL(p_t || p_s)``; p_t and p_s are the probabilities of teacher and student, not softened.

    Bagherinezhad et al., "Label Refinery: Improving ImageNet Classification through Label Progression", 2018. The
    paper uses no true labels: give the recipe ``label_weight = 0``. It trains several generations of one net; here one
    generation is one run, whose teacher is the run before.
    """

    weight = 1.0

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        return kd_loss(student.logits, teacher.logits, 1.0)
