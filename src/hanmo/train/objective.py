"""The loss of one step, from uint8 squares on: one pure function, so that torch.compile takes it as a whole."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.distill.method import Distillation
from hanmo.nets.feature_hooks import FeatureHooks, name_in_view
from hanmo.nets.tta import VIEWS, transform
from hanmo.normalize import standardise
from hanmo.train.augment import Randomness, apply, unchanged
from hanmo.train.config import AugmentConfig


class Objective(nn.Module):
    """(squares, labels, randomness, share, teacher_squares, empty) -> ``(loss, parts)``.

    ``squares`` are uint8 (N, S, S), ``labels`` int64 (N,). ``randomness`` augments the squares; None leaves them as
    they are. Student and teacher see the same pictures, unless there are ``teacher_squares``, uint8 (N, S, S).

    With mixup (Zhang et al., ICLR 2018) each picture becomes ``share`` of itself and 1 - ``share`` of another one: the
    first is mixed with the last of the batch, the second with the last but one. ``share`` is a 0-d tensor, ignored
    without mixup.

    Where ``empty``, bool (N,), is set there is no character on the picture. There labels and teacher give the same
    probability to every class. ``empty`` cannot be combined with mixup.

    Where ``untaught``, bool (C,), is set the teacher's answer is not used: the samples of these classes are learnt from
    their labels alone. It cannot be combined with mixup either.
    """

    def __init__(
        self,
        student: FeatureHooks,
        teacher: FeatureHooks | None,
        distillation: Distillation | None,
        *,
        augment: AugmentConfig,
        classes: int,
        label_smoothing: float,
        mixup: bool,
        precision: torch.dtype,
        untaught: Tensor | None = None,
    ) -> None:
        super().__init__()
        assert teacher is None or distillation is not None
        self.student, self.teacher, self.distillation = student, teacher, distillation
        # The last view is the picture itself, for which the teacher answers in any case.
        self.views = VIEWS[distillation.teacher_views][:-1] if distillation else ()
        self.augment = augment
        self.classes, self.label_smoothing, self.mixup, self.precision = classes, label_smoothing, mixup, precision
        self.untaught: Tensor | None
        self.register_buffer("untaught", untaught)

    def forward(
        self,
        squares: Tensor,
        labels: Tensor,
        randomness: Randomness | None,
        share: Tensor,
        teacher_squares: Tensor | None = None,
        empty: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x = self._mixed(unchanged(squares) if randomness is None else apply(squares, randomness, self.augment), share)
        # The teacher's pictures are mixed with the same share and partners, so both nets answer for the same blend.
        teacher_x = x if teacher_squares is None else self._mixed(unchanged(teacher_squares), share)
        alone = None if self.untaught is None else self.untaught[labels]
        if self.mixup:
            one_hot = F.one_hot(labels, self.classes).float()
            labels = share * one_hot + (1 - share) * one_hot.flip(0)
        elif empty is not None:
            one_hot = F.one_hot(labels, self.classes).float()
            labels = torch.where(empty[:, None], 1 / self.classes, one_hot)
        with torch.autocast(x.device.type, self.precision, enabled=self.precision != torch.float32):
            student = self.student(x)
            # In float32: in bf16 the logarithms of thousands of classes would be too coarse.
            label_loss = F.cross_entropy(student.logits.float(), labels, label_smoothing=self.label_smoothing)
            if self.distillation is None:
                return label_loss, {"label": label_loss.detach()}
            # No gradient to the teacher, which saves the memory of its activations. Methods without a teacher get the
            # student's output in its place.
            with torch.no_grad():
                teacher = self.teacher(teacher_x) if self.teacher else student
                if self.teacher:
                    for number, view in enumerate(self.views):
                        seen = self.teacher(transform(teacher_x, view)).features.items()
                        teacher.features.update({name_in_view(layer, number): feature for layer, feature in seen})
                if alone is not None:  # the student's own answer in place of the teacher's: nothing to learn from it
                    own = student.logits.to(teacher.logits.dtype)
                    teacher = teacher._replace(logits=torch.where(alone[:, None], own, teacher.logits))
                if empty is not None:  # equal logits are equal probabilities
                    teacher = teacher._replace(logits=teacher.logits.masked_fill(empty[:, None], 0))
            loss, parts = self.distillation(student, teacher, labels, label_loss)
            return loss, {name: value.detach() for name, value in parts.items()}

    def _mixed(self, pictures: Tensor, share: Tensor) -> Tensor:
        """Pictures in [0, 1] -> the nets' input, mixed with each other where the recipe asks for mixup."""
        x = standardise(pictures)
        if self.mixup:
            x = share * x + (1 - share) * x.flip(0)
        return x.to(memory_format=torch.channels_last)
