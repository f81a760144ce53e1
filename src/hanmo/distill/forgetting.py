"""Learning without forgetting: a net that is trained on remembers what it answered before."""

from __future__ import annotations

import copy
from collections.abc import Callable

from torch import Tensor, nn

from hanmo.distill.layers import above_zero
from hanmo.distill.logits import kd_loss
from hanmo.distill.method import Method, register_method
from hanmo.nets.feature_hooks import Output


@register_method("lwf")
class LearningWithoutForgetting(Method):
    """LwF: the net that is trained on answers nearly as it did before the first step.

    Loss: ``T² KL(p_before || p_s)``; p are probabilities softened by the temperature T, of the net before the first
    step and of the net now. The loss on the labels is added to it (``label_weight = 1``).

    Li and Hoiem, "Learning without Forgetting", ECCV 2016, with T = 2. In the paper the old and the new task have a
    classifier each, and only the old one is compared; here it is one classifier, whose new classes were imprinted
    (``train.fine_tune``). The net before must know something: give the recipe a ``train.start``. It is a frozen copy
    that belongs to the method.
    """

    weight = 1.0
    needs_teacher = False

    def __init__(self, *, temperature: float = 2.0) -> None:
        super().__init__()
        above_zero(self.name, temperature=temperature)
        self.temperature = temperature

    def attach(self, student: nn.Module, teacher: nn.Module | None, build_student: Callable[[], nn.Module]) -> None:
        before = copy.deepcopy(student)
        for module in before.modules():
            # Hooks are copied, too; those of the copy would write into the features of the student.
            module._forward_hooks.clear()
        self.before = before.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> LearningWithoutForgetting:
        super().train(mode)
        self.before.eval()  # its norms and dropout must not change
        return self

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        assert student.pictures is not None
        return kd_loss(student.logits, self.before(student.pictures), self.temperature)
