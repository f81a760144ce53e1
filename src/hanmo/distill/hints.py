"""Hints that are chosen or weighted: the best neurons of the teacher, its most certain ones, and classes by number.

In the formulas s and t are the features of a layer of student and teacher, pooled to vectors where nothing else is
stated, and r is a learned connector, trained with the student and not part of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.distill.layers import Layered, not_negative, pooled, same_size, total
from hanmo.distill.method import register_method
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output, name_in_view

TOP = ("layer4",)
"""The last features before the classifier."""


class ClassSums:
    """Sums over samples from which class means and variances of F features follow; kept in float64.

    The squares of many samples are summed before the mean is known, and float32 would lose the difference of both.
    """

    def __init__(self, classes: int) -> None:
        self.counts = torch.zeros(classes, dtype=torch.float64)
        self.sums = torch.zeros(classes, 1, dtype=torch.float64)
        self.squares = torch.zeros(classes, 1, dtype=torch.float64)

    def add(self, features: Tensor, labels: Tensor) -> None:
        """Add features (N, F) of classes (N,)."""
        members = F.one_hot(labels.cpu(), len(self.counts)).double()
        features = features.cpu().double()
        self.counts = self.counts + members.sum(0)
        self.sums = self.sums + members.T @ features
        self.squares = self.squares + members.T @ features.square()


def fisher_scores(sums: ClassSums) -> Tensor:
    """The Fisher score of each of F features, (F,): the variance between classes over that within classes.

    ``sum_c n_c (m_c - m)² / sum_c n_c v_c``; n_c, m_c and v_c are the number of samples, mean and variance of class c,
    m is the mean of all. 0 for a feature that never varies: it says nothing about the class.
    """
    counts = sums.counts.clamp(min=1)[:, None]  # a class without samples has sums of 0 and so adds nothing
    means = sums.sums / counts
    mean = sums.sums.sum(0) / sums.counts.sum()
    between = (sums.counts[:, None] * (means - mean).square()).sum(0)
    within = (sums.squares - sums.counts[:, None] * means.square()).sum(0)
    # Rounding can leave a variance of 0 a little above or below it; 1e-12 of the whole is no spread.
    floor = 1e-12 * sums.squares.sum(0).clamp(min=torch.finfo(torch.float64).tiny)
    return torch.where(between > floor, between / torch.maximum(within, floor), 0)


@register_method("neurons")
class SelectedNeurons(Layered):
    """Neuron selection: the student predicts those neurons of the teacher's top layer that tell classes apart best.

    Loss: ``sum_i 1/2 |r_i(s_i) - t_i[chosen]|²``, summed over neurons, mean over pictures; r_i is a linear layer.

    Luo et al., "Face Model Compression by Distilling Knowledge from Neurons", AAAI 2016. They choose neurons that
    respond to attributes of a person's identity, and few that are alike. Characters have no such attributes. Here
    ``share`` of the neurons is chosen, those of the largest Fisher score (:func:`fisher_scores`) over the training
    samples, before the first step; the score and the share are our reading. In the paper the loss trains the student
    alone; here it is added to the loss on the labels (``label_weight = 1``), as the student classifies.
    """

    weight = 1.0
    needs_survey = True

    def __init__(
        self, *, layers: tuple[str, ...] = TOP, teacher_layers: tuple[str, ...] = (), share: float = 0.5
    ) -> None:
        super().__init__(layers=layers, teacher_layers=teacher_layers)
        if not 0 < share <= 1:
            raise ConfigError(f"{self.name}: share {share} is none of the neurons, or more than all: above 0, up to 1")
        self.share = share
        self.connectors = nn.ModuleList()

    def connect(self, student: Output, teacher: Output) -> None:
        self.need_vectors(student, teacher)
        self.classes = teacher.logits.shape[1]
        for number, (s, t) in enumerate(self.pairs(student, teacher)):
            kept = max(1, round(self.share * pooled(t).shape[1]))
            # Buffers, so that a resumed run predicts the same neurons. Until the survey these are the first ones.
            self.register_buffer(f"chosen_{number}", torch.arange(kept))
            self.connectors.append(nn.Linear(pooled(s).shape[1], kept))

    def survey(self, answers: Iterable[tuple[Output, Tensor]]) -> None:
        sums = [ClassSums(self.classes) for _ in self.teacher_layers]
        for output, labels in answers:
            for layer, of_layer in zip(self.teacher_layers, sums, strict=True):
                of_layer.add(pooled(output.features[layer]), labels)
        for number, of_layer in enumerate(sums):
            chosen = self.get_buffer(f"chosen_{number}")
            # In ascending order, which needs no explanation in a checkpoint; the order makes no difference.
            best = fisher_scores(of_layer).topk(len(chosen)).indices.sort().values
            chosen.copy_(best)

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        losses = []
        for number, (s, t) in enumerate(self.pairs(student, teacher)):
            wanted = pooled(t).float()[:, self.get_buffer(f"chosen_{number}")]
            predicted = self.connectors[number](pooled(s)).float()
            losses.append((predicted - wanted).square().sum(1).mean() / 2)
        return total(losses)


def certainties(views: list[Tensor]) -> tuple[Tensor, Tensor]:
    """``(mean, weight)`` of a teacher's features for several views of the same pictures, each (N, F).

    The weight of a feature of a picture is ``m / (v + m)``: v is its variance over the views, m the mean of all
    variances. So it is 1 where all views agree, and a half where they differ as much as usual.
    """
    stacked = torch.stack([view.float() for view in views])
    variance, mean = torch.var_mean(stacked, 0, correction=0)
    # The tiny number decides where no feature varies, as with one view alone: all weights are then 1.
    usual = variance.mean() + 1e-12
    return mean, usual / (variance + usual)


@register_method("trusted-hint")
class TrustedHint(Layered):
    """A hint that counts where the teacher is certain: features that stay the same for other views of a picture.

    Loss: ``sum_i mean(w_i (r_i(s_i) - t_i)²)``; t_i is the mean of the teacher's features over ``views`` of the picture
    (:data:`hanmo.nets.tta.VIEWS`), w_i their certainty (:func:`certainties`), r_i a linear layer.

    Shen, Vesdapunt, Boddeti, Kitani, "In Teacher We Trust: Learning Compressed Models for Pedestrian Detection", 2016,
    with ``label_weight = 1``. They weigh by the covariance of the outputs of a hint layer. Here it is the variance of
    each feature alone, over slanted and scaled views; this, the form of the weight (bounded, where an inverse variance
    is not) and the weight 100 (that of ``fitnet``) are our reading. The paper gives the student hand-made features as
    input too: see ``net.planes``.
    """

    weight = 100.0

    def __init__(
        self, *, layers: tuple[str, ...] = TOP, teacher_layers: tuple[str, ...] = (), views: Literal[3, 5] = 3
    ) -> None:
        super().__init__(layers=layers, teacher_layers=teacher_layers)
        self.teacher_views = views
        self.connectors = nn.ModuleList()

    def connect(self, student: Output, teacher: Output) -> None:
        self.need_vectors(student, teacher)
        for s, t in self.pairs(student, teacher):
            self.connectors.append(nn.Linear(pooled(s).shape[1], pooled(t).shape[1]))

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        losses = []
        for connector, layer, (s, t) in zip(
            self.connectors, self.teacher_layers, self.pairs(student, teacher), strict=True
        ):
            names = (name_in_view(layer, view) for view in range(self.teacher_views - 1))
            others = [pooled(teacher.features[name]) for name in names if name in teacher.features]
            wanted, weight = certainties([*others, pooled(t)])
            losses.append((weight * (connector(pooled(s)).float() - wanted).square()).mean())
        return total(losses)


def weighted_cross_entropy(student: Tensor, teacher: Tensor, class_weights: Tensor) -> Tensor:
    """``-sum_c w_c p_t,c log p_s,c`` of logits (N, C), mean over pictures; w are ``class_weights`` (C,)."""
    return -(class_weights * teacher.float().softmax(-1) * student.float().log_softmax(-1)).sum(-1).mean()


@register_method("weighted-kd")
class ClassWeightedKD(Layered):
    """Class-weighted soft cross-entropy and a hint, as for object detection.

    Loss: ``-sum_c w_c p_t,c log p_s,c + hint * sum_i mean((r_i(s_i) - t_i)²)``; p are the probabilities of student and
    teacher, not softened, w_c the weights of the classes, s_i and t_i maps, r_i a 1x1 convolution with batch norm.

    Chen et al., "Learning Efficient Object Detection Models with Knowledge Distillation", NeurIPS 2017: ``hint`` 0.5,
    weight 0.5 and ``label_weight = 0.5``. They give the background a larger weight than the classes of objects, because
    the two are not equally frequent. Characters have no background. Here a class with n of the training samples weighs
    ``n ** -balance``, scaled to a mean of 1 over all classes; that is our reading. Their loss on boxes has no
    counterpart. The loss is not zero when student and teacher agree.
    """

    weight = 0.5
    needs_survey = True

    def __init__(
        self,
        *,
        layers: tuple[str, ...] = ("layer2",),
        teacher_layers: tuple[str, ...] = (),
        hint: float = 0.5,
        balance: float = 1.0,
    ) -> None:
        super().__init__(layers=layers, teacher_layers=teacher_layers)
        not_negative(self.name, hint=hint, balance=balance)
        self.hint, self.balance = hint, balance
        self.connectors = nn.ModuleList()

    def connect(self, student: Output, teacher: Output) -> None:
        self.need_maps(student, teacher)
        self.class_weights: Tensor
        self.register_buffer("class_weights", torch.ones(teacher.logits.shape[1]))
        for s, t in self.pairs(student, teacher):
            conv = nn.Conv2d(s.shape[1], t.shape[1], 1, bias=False)
            self.connectors.append(nn.Sequential(conv, nn.BatchNorm2d(t.shape[1])))

    def survey(self, answers: Iterable[tuple[Output, Tensor]]) -> None:
        counts = torch.zeros(len(self.class_weights))
        for _, labels in answers:
            counts += torch.bincount(labels.cpu(), minlength=len(counts))
        # A class that was not met counts as met once: it would weigh without bound otherwise.
        weights = counts.clamp(min=1) ** -self.balance
        self.class_weights.copy_(weights / weights.mean())

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        losses = [weighted_cross_entropy(student.logits, teacher.logits, self.class_weights)]
        for connector, pair in zip(self.connectors, self.pairs(student, teacher), strict=True):
            s, t = same_size(*pair)
            losses.append(self.hint * F.mse_loss(connector(s).float(), t.float()))
        return total(losses)
