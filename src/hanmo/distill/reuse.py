"""SimKD: the student reuses the teacher's classifier and learns features that fit it."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.distill.layers import Layered, same_size
from hanmo.distill.method import register_method
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output


@register_method("simkd")
class SimKD(Layered):
    """SimKD: the student's classifier is a frozen copy of the teacher's; its last map matches the teacher's.

    Loss: ``mean((s - t)²)``; s and t are the last maps of student and teacher.

    Chen et al., "Knowledge Distillation with the Reused Teacher Classifier", CVPR 2022, with ``label_weight = 0``: the
    paper trains by this loss alone. The paper puts a projector of three convolutions between student and classifier
    and keeps it in the finished net. Here the finished student remains the net of its recipe: there is no projector,
    and the last maps must have the same channels (those of ResNet-18 and 34 have).

    ``head``: names of the student's modules after that map. Their weights are copied from ``teacher_head`` (the same
    names by default; for an ensemble ``members.0.pool`` and so on).
    """

    weight = 1.0

    def __init__(
        self,
        *,
        layer: str = "layer4",
        teacher_layer: str = "",
        head: tuple[str, ...] = ("pool", "fc"),
        teacher_head: tuple[str, ...] = (),
    ) -> None:
        super().__init__(layers=(layer,), teacher_layers=(teacher_layer,) if teacher_layer else ())
        self.head, self.teacher_head = head, teacher_head or head
        if not head or len(self.head) != len(self.teacher_head):
            raise ConfigError(
                f"{self.name}: {len(self.head)} layers of head but {len(self.teacher_head)} of teacher_head; at least "
                "one, and as many of each"
            )

    @torch.no_grad()
    def attach(self, student: nn.Module, teacher: nn.Module | None, build_student: Callable[[], nn.Module]) -> None:
        assert teacher is not None
        # Layer by layer: find it in both nets, compare shapes, copy, freeze. Shapes are compared before the copy,
        # because broadcasting could otherwise fill a larger tensor without any error.
        for name, teacher_name in zip(self.head, self.teacher_head, strict=True):
            student_weights = _weights(self._layer(student, "student", "head", name))
            teacher_weights = _weights(self._layer(teacher, "teacher", "teacher_head", teacher_name))
            shapes, wanted = (
                {k: tuple(v.shape) for k, v in weights.items()} for weights in (student_weights, teacher_weights)
            )
            if shapes != wanted:
                raise ConfigError(
                    f"{self.name}: the student's {name!r} has {shapes}, the teacher's {teacher_name!r} {wanted}; the "
                    "student takes it over, so net.width and net.pool must fit the teacher's: else take fitnet or "
                    "review"
                )
            for key, parameter in student_weights.items():
                # Frozen: the optimiser leaves the head out, so the features must adapt to it. That is the idea of the
                # method.
                parameter.copy_(teacher_weights[key])
                parameter.requires_grad_(False)

    def _layer(self, net: nn.Module, whose: str, option: str, name: str) -> nn.Module:
        try:
            return net.get_submodule(name)
        except AttributeError:
            known = ", ".join(child for child, _ in net.named_children())
            raise ConfigError(
                f"{self.name}: the {whose} has no layer {name!r} to reuse; it has: {known}; name others in {option}"
            ) from None

    def connect(self, student: Output, teacher: Output) -> None:
        self.need_vectors(student, teacher)
        ((s, t),) = self.pairs(student, teacher)
        if s.ndim != t.ndim or s.ndim == 3 or s.shape[1] != t.shape[1]:
            raise ConfigError(
                f"{self.name}: student layer {self.student_layers[0]!r} gives {tuple(s.shape)}, teacher layer "
                f"{self.teacher_layers[0]!r} {tuple(t.shape)}; both maps or both vectors of the same channels are "
                "needed: set net.width, or take fitnet or review"
            )

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        ((s, t),) = self.pairs(student, teacher)
        # Vectors have no places, so only maps can differ in size.
        if s.ndim == 4:
            s, t = same_size(s, t)
        return F.mse_loss(s.float(), t.float())


def _weights(layer: nn.Module) -> dict[str, nn.Parameter]:
    """A layer's parameters by their usual names.

    Quantization-aware training stores them as ``parametrizations.NAME.original``.
    """
    return {k.replace("parametrizations.", "").removesuffix(".original"): v for k, v in layer.named_parameters()}
