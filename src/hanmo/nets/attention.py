"""Attention modules: each maps (N, C, H, W) to the same shape and sits at the end of a residual branch.

To add one, write a module and register it; recipes then know it as ``net.attention``, once its module is imported::

    @register_attention("mine")
    class Mine(nn.Module):
        def __init__(self, channels: int) -> None: ...
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

ATTENTION: dict[str, Callable[..., nn.Module]] = {"none": lambda channels: nn.Identity()}
"""Name in recipes -> function of the number of channels that builds the module."""
REDUCING = ("se", "cbam")
"""Modules that reduce the channels by ``net.reduction`` and expand them again."""
A = TypeVar("A", bound=Callable[[int], nn.Module])


def register_attention(name: str) -> Callable[[A], A]:
    """Make an attention module known to recipes as ``name``; a later registration of the same name replaces it."""

    def add(make: A) -> A:
        ATTENTION[name] = make
        return make

    return add


def attention_maker(name: str, reduction: int | None = None) -> Callable[[int], nn.Module]:
    """A key of :data:`ATTENTION` -> function of the number of channels that builds the module.

    ``reduction``: for those of :data:`REDUCING`. None: as published.
    """
    make = ATTENTION[name]
    return make if reduction is None else partial(make, reduction=reduction)


@register_attention("se")
class SqueezeExcitation(nn.Module):
    """SE: every channel is scaled by a weight computed from the averages of all channels.

    ``x * sigmoid(W2 relu(W1 mean(x)))``; W1 reduces C channels to C / ``reduction``, W2 expands them again.

    Hu, Shen, Sun, "Squeeze-and-Excitation Networks", CVPR 2018. 2 C²/r weights and C/r + C biases.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)  # narrow nets keep enough hidden units to tell channels apart
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.expand(torch.relu(self.reduce(squeezed))))

    def make_constant(self) -> float:
        """Make the module scale every channel by the same factor, whatever the input; returns the factor.

        Training can change it from there. A net that gets new attention can so start as the net without
        (:mod:`hanmo.nets.pruning`).
        """
        # With zero weights and biases the sigmoid's input is 0, and sigmoid(0) = 0.5.
        for parameter in self.expand.parameters():
            nn.init.zeros_(parameter)
        return 0.5


@register_attention("eca")
class EfficientChannelAttention(nn.Module):
    """ECA: every channel is scaled by a weight computed from the averages of its neighbouring channels.

    ``x * sigmoid(conv1d(mean(x)))``, where the convolution runs over channels.

    Wang et al., "ECA-Net", CVPR 2020; the kernel size follows its equation 12 (gamma 2, b 1).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        size = int(abs((math.log2(channels) + 1) / 2)) | 1  # | 1: the next odd number
        self.conv = nn.Conv1d(1, 1, size, padding=size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # The C averages are one sequence (N, 1, C), so that the convolution slides over channels.
        weights = torch.sigmoid(self.conv(x.mean((2, 3)).unsqueeze(1)))
        return x * weights.squeeze(1)[:, :, None, None]

    def make_constant(self) -> float:
        """See :meth:`SqueezeExcitation.make_constant`."""
        nn.init.zeros_(self.conv.weight)
        return 0.5


@register_attention("cbam")
class ConvolutionalBlockAttention(nn.Module):
    """CBAM: channels are scaled by weights from their averages and maxima, then places by weights from theirs.

    Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018.

    """

    def __init__(self, channels: int, reduction: int = 16, kernel: int = 7) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.channel = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False), nn.ReLU(), nn.Conv2d(hidden, channels, 1, bias=False)
        )
        self.place = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        average = self.channel(x.mean((2, 3), keepdim=True))
        # max, not amax: amax finds the maxima again in the backward pass by comparing values. A compiled bf16 step
        # rounds only one side of that comparison, finds no maximum and divides by zero.
        greatest = self.channel(x.flatten(2).max(2).values[:, :, None, None])
        x = x * torch.sigmoid(average + greatest)
        places = torch.cat((x.mean(1, keepdim=True), x.max(1, keepdim=True).values), 1)
        return x * torch.sigmoid(self.norm(self.place(places)))


@register_attention("simam")
class SimpleAttention(nn.Module):
    """SimAM: every neuron is scaled by how far it deviates from the mean of its channel; no parameters.

    ``x * sigmoid((x - m)² / (4 (v + lambda)) + 0.5)``; m and v are mean and variance of the channel.

    Yang et al., "SimAM: A Simple, Parameter-Free Attention Module", ICML 2021; ``smoothing`` is the published lambda.
    """

    def __init__(self, channels: int, smoothing: float = 1e-4) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(self, x: Tensor) -> Tensor:
        # n - 1 places, as in the published code; max() for maps of a single place.
        squared = (x - x.mean((2, 3), keepdim=True)).square()
        variance = squared.sum((2, 3), keepdim=True) / max(x.shape[2] * x.shape[3] - 1, 1)
        return x * torch.sigmoid(squared / (4 * (variance + self.smoothing)) + 0.5)
