"""Made-up outputs of nets, and methods connected to them."""

from __future__ import annotations

from typing import Any, Protocol

import pytest
import torch

from hanmo.distill import Distillation, build_method
from hanmo.nets.feature_hooks import Output
from hanmo.nets.registry import NetConfig, build_net

LAYERS = ("layer1", "layer2", "layer3", "layer4")
PICTURES, CLASSES, SIDE = 4, 6, 16
CHARACTERS = "湖话树语村明"


class MakeOutput(Protocol):
    def __call__(
        self, seed: int, *, channels: int = 4, size: int = 8, grad: bool = False, dtype: torch.dtype = torch.float32
    ) -> Output: ...


class Connect(Protocol):
    def __call__(self, name: str, student: Output, teacher: Output, **options: Any) -> Distillation: ...


@pytest.fixture(scope="session")
def output() -> MakeOutput:
    """Logits of four pictures and their maps of four layers, drawn from ``seed``; each layer's are half as large."""

    def make(
        seed: int, *, channels: int = 4, size: int = 8, grad: bool = False, dtype: torch.dtype = torch.float32
    ) -> Output:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator).to(dtype).requires_grad_(grad)

        logits = draw(PICTURES, CLASSES)
        maps = {layer: draw(PICTURES, channels + i, size >> i, size >> i) for i, layer in enumerate(LAYERS)}
        return Output(logits, maps, torch.randn(PICTURES, 1, SIDE, SIDE, generator=generator))

    return make


@pytest.fixture(scope="session")
def connected() -> Connect:
    """One method, connected and alone in a sum that ignores the labels: its loss is that of the sum."""

    def make(name: str, student: Output, teacher: Output, **options: Any) -> Distillation:
        torch.manual_seed(0)
        both = Distillation([(name, 1.0, build_method(name, options))], label_weight=0.0)
        nets = [build_net(NetConfig(width=8), CLASSES, SIDE) for _ in range(2)]
        both.name_classes(CHARACTERS)
        both.attach(nets[0], nets[1], lambda: build_net(NetConfig(width=8), CLASSES, SIDE))
        both.connect(student, teacher)
        return both

    return make
