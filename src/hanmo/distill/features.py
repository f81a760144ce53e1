"""Methods that teach through inner features."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from hanmo.distill.method import Method, register
from hanmo.errors import ConfigError
from hanmo.nets.taps import Output

STAGES = ("layer2", "layer3", "layer4")


def attention_map(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H·W): where the layer is active, mean of squares over channels, unit length."""
    return F.normalize(features.float().square().mean(1).flatten(1), dim=-1)


def at_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared distance of two attention maps (N, C, H, W; channels may differ, the larger map is averaged)."""
    if student.shape[2:] != teacher.shape[2:]:
        height, width = (min(s, t) for s, t in zip(student.shape[2:], teacher.shape[2:], strict=True))
        student, teacher = (F.adaptive_avg_pool2d(f.float(), (height, width)) for f in (student, teacher))
    return (attention_map(student) - attention_map(teacher)).square().mean()


@register("at")
class AttentionTransfer(Method):
    """AT. Zagoruyko, Komodakis, "Paying More Attention to Attention", ICLR 2017: sum over stages, weight 1000."""

    weight = 1000.0

    def __init__(self, *, layers: tuple[str, ...] = STAGES, teacher_layers: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.student_layers = layers
        self.teacher_layers = teacher_layers or layers
        if len(self.student_layers) != len(self.teacher_layers):
            raise ConfigError(
                f"at: {len(self.student_layers)} student layers but {len(self.teacher_layers)} teacher layers"
            )

    def connect(self, student: Output, teacher: Output) -> None:
        for side, output, layers in (
            ("student", student, self.student_layers),
            ("teacher", teacher, self.teacher_layers),
        ):
            for layer in layers:
                if output.features[layer].ndim != 4:
                    shape = tuple(output.features[layer].shape)
                    raise ConfigError(f"at: {side} layer {layer!r} gives {shape}, no map (N, C, H, W) to attend to")

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        pairs = zip(self.student_layers, self.teacher_layers, strict=True)
        losses = [at_loss(student.features[s], teacher.features[t]) for s, t in pairs]
        return sum(losses[1:], losses[0])
