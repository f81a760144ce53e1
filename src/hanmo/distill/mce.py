"""Minimum classification error (MCE): a smooth count of the pictures that are read wrongly."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.distill.layers import above_zero, in_float32
from hanmo.distill.method import Method, register_method
from hanmo.nets.feature_hooks import Output


@in_float32
def mce_loss(logits: Tensor, labels: Tensor, slope: float, eta: float) -> Tensor:
    """Mean over pictures of ``sigmoid(slope d)`` of logits g (N, C) and classes y (N,).

    The misclassification measure ``d = -g_y + 1/eta log(mean_{j != y} exp(eta g_j))`` is above 0 where the picture is
    read wrongly. With a large ``eta`` only the strongest other class counts.
    """
    own = F.one_hot(labels, logits.shape[1]).bool()
    others = torch.logsumexp((eta * logits).masked_fill(own, -math.inf), 1) - math.log(logits.shape[1] - 1)
    return torch.sigmoid(slope * (others / eta - logits[own])).mean()


@register_method("mce")
class MinimumClassificationError(Method):
    """Minimum classification error: the loss is nearly the share of pictures that are read wrongly; no teacher.

    Loss: :func:`mce_loss`, mean over pictures.

    Juang, Katagiri, "Discriminative Learning for Minimum Error Classification", IEEE Transactions on Signal Processing
    40(12), 1992. They train with this loss alone; a net at random weights hardly learns from it, as far from the border
    between classes its gradient vanishes. So it is added to the cross-entropy (``label_weight = 1``); this, ``slope`` 1
    and ``eta`` 1 are our reading. Where pictures were mixed, the class with the larger share counts. For the reader
    without a net see :mod:`hanmo.classic.mce`.
    """

    weight = 1.0
    needs_teacher = False

    def __init__(self, *, slope: float = 1.0, eta: float = 1.0) -> None:
        super().__init__()
        above_zero(self.name, slope=slope, eta=eta)
        self.slope, self.eta = slope, eta

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        classes = labels.argmax(1) if labels.is_floating_point() else labels
        return mce_loss(student.logits, classes, self.slope, self.eta)
