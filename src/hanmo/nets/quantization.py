"""Quantization-aware training of weights: training with the few values that a small file can hold.

Weights are rounded in the forward pass, and the backward pass ignores the rounding (straight-through estimator; Jacob
et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018). The
levels are symmetric about zero, evenly spaced, and have one scale for every output channel.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

CLIP = 3.0
"""Weights beyond this many root mean squares of their channel are clipped, so that the others get finer steps."""

MIN_QUANTIZED_WEIGHTS = 4_096
"""Layers with fewer weights are not quantised, in training and in the file: they would save next to nothing."""

_ORIGINAL = ".parametrizations.weight.original"
"""End of the name under which torch's parametrize stores the full-precision weight."""


class FakeQuantize(nn.Module):
    """Weights (out, ...) -> the nearest of 2^bits - 1 levels; every output channel has a step of its own."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.max_level = 2 ** (bits - 1) - 1  # 7 for 4 bits: levels -7 to 7

    def forward(self, weight: Tensor) -> Tensor:
        channels = weight.detach().flatten(1).float()
        # (out,): the largest weight to represent. The step is (out, 1, ...), to divide the weight; its floor is for
        # channels whose weights are all 0.
        limit = torch.minimum(channels.abs().amax(1), CLIP * channels.square().mean(1).sqrt())
        step = (limit / self.max_level).clamp(min=1e-12).view(-1, *[1] * (weight.ndim - 1))
        clipped = weight.clamp(-self.max_level * step, self.max_level * step)
        rounded = torch.round(clipped / step) * step
        # The value is ``rounded``, the gradient that of ``clipped``: none for weights beyond the limit.
        straight_through: Tensor = clipped + (rounded - clipped).detach()
        return straight_through


def train_quantized(net: nn.Module, bits: int) -> None:
    """Make the convolutions and linear layers of ``net`` compute with weights of ``bits`` bits, in place.

    Small layers are left out (:data:`MIN_QUANTIZED_WEIGHTS`).
    """
    for module in _large_layers(net):
        parametrize.register_parametrization(module, "weight", FakeQuantize(bits))


@torch.no_grad()
def quantize_weights(net: nn.Module, bits: int) -> None:
    """Round the weights of the layers that :func:`train_quantized` takes, once and in place.

    The net computes as before.
    """
    for module in _large_layers(net):
        module.weight.copy_(FakeQuantize(bits)(module.weight))


def _large_layers(net: nn.Module) -> list[nn.Conv1d | nn.Conv2d | nn.Linear]:
    return [
        module
        for module in net.modules()
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear) and module.weight.numel() >= MIN_QUANTIZED_WEIGHTS
    ]


def quantized_state(state: Mapping[str, Tensor], bits: int) -> dict[str, Tensor]:
    """The state dict of a net after :func:`train_quantized` -> that of a plain net which computes the same."""
    quantize = FakeQuantize(bits)
    return {
        name.replace(_ORIGINAL, ".weight"): quantize(tensor) if name.endswith(_ORIGINAL) else tensor
        for name, tensor in state.items()
    }
