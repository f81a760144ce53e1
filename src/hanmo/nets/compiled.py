"""A layer written for torch.compile on a GPU, where the plain one is slow.

Weights, state dicts and results are those of the plain layer, up to rounding. In eager mode, on CPUs and for export the
plain layer itself is used. benchmarks/training_speed.md has what is gained.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_ALIGNED = 16
"""Tensor cores take rows of so many bf16 numbers."""


def first_convolution(layer: nn.Module, x: Tensor) -> Tensor:
    """A 3x3 convolution of stride 2 of grey pictures (N, 1, S, S) with an even S, as a product of matrices.

    cuDNN has no fast kernel for one input channel, and rearranges the whole output in memory. Other layers and inputs
    are computed as they are.
    """
    if not (torch.compiler.is_compiling() and x.is_cuda and _is_plain_stem(layer, x)):
        return layer(x)  # type: ignore[no-any-return]
    return as_product(x, layer.weight)  # type: ignore[arg-type]


def as_product(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve (N, 1, S, S) with ``weight`` (C, 1, 3, 3), stride 2, padding 1: (N, C, S/2, S/2), channels last."""
    count, _, side, _ = x.shape
    patches = F.pad(x[:, 0], (1, 1, 1, 1)).unfold(1, 3, 2).unfold(2, 3, 2).reshape(count, -1, 9)
    spare = _ALIGNED - patches.shape[2]
    kernels = F.pad(weight.flatten(1), (0, spare)).T
    # A product for each picture: as one product, the gradient of the weights would be a sum over millions of places by
    # a single block of threads.
    product = torch.bmm(F.pad(patches, (0, spare)), kernels.expand(count, -1, -1))
    return product.view(count, side // 2, side // 2, -1).permute(0, 3, 1, 2)


def _is_plain_stem(layer: nn.Module, x: Tensor) -> bool:
    return (
        type(layer) is nn.Conv2d
        and not layer._forward_hooks
        and layer.in_channels == 1
        and (layer.kernel_size, layer.stride, layer.padding) == ((3, 3), (2, 2), (1, 1))
        and (layer.dilation, layer.padding_mode) == ((1, 1), "zeros")
        and layer.bias is None
        and x.shape[-2] == x.shape[-1]
        and x.shape[-1] % 2 == 0
    )
