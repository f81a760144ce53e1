"""The student takes over the teacher's classifier and learns to feed it."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.distill.layers import Layered, same_size
from hanmo.distill.method import register
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output


@register("simkd")
class SimKD(Layered):
    """The student's ``head`` is the teacher's, frozen; its last map is to be the teacher's (mean squared distance).

    Chen et al., "Knowledge Distillation with the Reused Teacher Classifier", CVPR 2022. The paper puts a projector of
    three convolutions between student and head and keeps it for good; here the finished student stays a net of its
    recipe, so there is no projector, and the last maps must have the same channels (those of ResNet-18 and 34 do). The
    paper trains by this loss alone: give the recipe ``label_weight = 0``.

    ``head`` names what follows the map: its weights are copied from ``teacher_head`` (the same names by default; of an
    ensemble ``members.0.pool`` and so on).
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
        for name, teacher_name in zip(self.head, self.teacher_head, strict=True):
            own = _weights(self._layer(student, "student", "head", name))
            given = _weights(self._layer(teacher, "teacher", "teacher_head", teacher_name))
            shapes, wanted = ({k: tuple(v.shape) for k, v in weights.items()} for weights in (own, given))
            if shapes != wanted:
                raise ConfigError(
                    f"{self.name}: the student's {name!r} has {shapes}, the teacher's {teacher_name!r} {wanted}; the "
                    "student takes it over, so net.width and net.pool must fit the teacher's: else take fitnet or "
                    "review"
                )
            for key, parameter in own.items():
                parameter.copy_(given[key])
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
        ((own, given),) = self.pairs(student, teacher)
        if own.ndim != given.ndim or own.ndim == 3 or own.shape[1] != given.shape[1]:
            raise ConfigError(
                f"{self.name}: student layer {self.student_layers[0]!r} gives {tuple(own.shape)}, teacher layer "
                f"{self.teacher_layers[0]!r} {tuple(given.shape)}; both maps or both vectors of the same channels are "
                "needed: set net.width, or take fitnet or review"
            )

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        ((own, given),) = self.pairs(student, teacher)
        if own.ndim == 4:
            own, given = same_size(own, given)
        return F.mse_loss(own.float(), given.float())


def _weights(layer: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters by the names they have where none is parametrised (weights of few bits are)."""
    return {k.replace("parametrizations.", "").removesuffix(".original"): v for k, v in layer.named_parameters()}
