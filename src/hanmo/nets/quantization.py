"""Weights that take few values: what a small file can hold is what training has to get used to.

Rounded in the forward pass, untouched in the backward one (straight-through; Jacob et al., "Quantization and Training
of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018), evenly spaced about zero and scaled
for every output channel.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

CLIP = 3.0
"""Weights beyond so many root mean squares of their channel are clipped: the rest then has finer steps."""

MIN_QUANTIZED_WEIGHTS = 4_096
"""Layers of fewer weights stay as they are, here and on disk; they would save next to nothing."""

_ORIGINAL = ".parametrizations.weight.original"


class FakeQuantize(nn.Module):
    """Weights (out, ...) -> the nearest of 2^bits - 1 multiples of a step that each output channel has of its own."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.most = 2 ** (bits - 1) - 1

    def forward(self, weight: Tensor) -> Tensor:
        channels = weight.detach().flatten(1).float()
        reach = torch.minimum(channels.abs().amax(1), CLIP * channels.square().mean(1).sqrt())
        step = (reach / self.most).clamp(min=1e-12).view(-1, *[1] * (weight.ndim - 1))
        clipped = weight.clamp(-self.most * step, self.most * step)
        rounded = torch.round(clipped / step) * step
        straight: Tensor = clipped + (rounded - clipped).detach()
        return straight


def train_quantized(net: nn.Module, bits: int) -> None:
    """Let the convolutions and linear layers of ``net`` compute with weights of ``bits`` bits, in place."""
    for module in _large_layers(net):
        parametrize.register_parametrization(module, "weight", FakeQuantize(bits))


@torch.no_grad()
def quantize_weights(net: nn.Module, bits: int) -> None:
    """Round the weights of the same layers for good, in place."""
    for module in _large_layers(net):
        module.weight.copy_(FakeQuantize(bits)(module.weight))


def _large_layers(net: nn.Module) -> list[nn.Conv1d | nn.Conv2d | nn.Linear]:
    return [
        module
        for module in net.modules()
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear) and module.weight.numel() >= MIN_QUANTIZED_WEIGHTS
    ]


def quantized_state(state: Mapping[str, Tensor], bits: int) -> dict[str, Tensor]:
    """The state of a net after :func:`train_quantized` -> that of a plain one which computes the same."""
    few = FakeQuantize(bits)
    return {
        name.replace(_ORIGINAL, ".weight"): few(tensor) if name.endswith(_ORIGINAL) else tensor
        for name, tensor in state.items()
    }
