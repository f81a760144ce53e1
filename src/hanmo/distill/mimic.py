"""Methods in which a student mimics a teacher's outputs by squared distance, as before knowledge distillation.

They need no labels: give the recipe ``label_weight = 0``. Any pictures will do that look like those to be read, for
example drawn ones, which the teacher labels.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from hanmo.distill.method import Method, register_method
from hanmo.nets.feature_hooks import Output


def centred(logits: Tensor) -> Tensor:
    """Logits (N, C) as float32, each row less its mean."""
    logits = logits.float()
    return logits - logits.mean(-1, keepdim=True)


def logit_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Half the squared distance of the centred logits (N, C): summed over classes, mean over pictures."""
    return (centred(student) - centred(teacher)).square().sum(-1).mean() / 2


def probability_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of the probabilities behind logits (N, C): summed over classes, mean over pictures."""
    return (F.softmax(student.float(), -1) - F.softmax(teacher.float(), -1)).square().sum(-1).mean()


@register_method("logit-regression")
class LogitRegression(Method):
    """Logit regression: the student's logits match the teacher's.

    Loss: ``1/2 |z_s - z_t|²``, mean over pictures; z are the logits of student and teacher, each less its mean.

    Ba and Caruana, "Do Deep Nets Really Need to be Deep?", NeurIPS 2014, with ``label_weight = 0``. Differences: the
    mean is subtracted for each picture, because an ensemble here answers with log-probabilities, which are logits up to
    a number for each picture. Their student is one wide hidden layer, with a linear bottleneck before it; for a ResNet
    ``net.bottleneck`` puts a linear bottleneck before the classifier.
    """

    weight = 1.0

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        return logit_distance(student.logits, teacher.logits)


@register_method("model-compression")
class ModelCompression(Method):
    """Model compression: an ensemble labels pictures with probabilities, and the student learns these alone.

    Loss: ``|p_s - p_t|²``, mean over pictures; p are the probabilities of student and teacher.

    Bucila, Caruana, Niculescu-Mizil, "Model Compression", KDD 2006, with ``label_weight = 0`` and several ``teachers``.
    Their ensembles are of many kinds of classifiers. Their pictures without labels are made from the training data by
    MUNGE (:func:`hanmo.classic.munge.munge`, for features); here they are drawn (``data.train = "synth:..."``). They
    measure the student by its squared error; that this is the loss on probabilities of many classes is our reading.
    """

    weight = 1.0

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        return probability_distance(student.logits, teacher.logits)
