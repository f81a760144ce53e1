"""Attention modules: each maps (N, C, H, W) to the same shape and sits at the end of a residual branch.

Add one by writing a module with a ``channels`` argument and naming it in :data:`ATTENTION`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """SE: every channel is scaled by what all channels hold on average.

    Hu, Shen, Sun, "Squeeze-and-Excitation Networks", CVPR 2018. 2 C²/r weights and C/r + C biases.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.expand(torch.relu(self.reduce(squeezed))))

    def make_constant(self) -> float:
        """Scale all channels alike, whatever they hold, until training says otherwise; returns the factor."""
        for parameter in self.expand.parameters():
            nn.init.zeros_(parameter)
        return 0.5


class EfficientChannelAttention(nn.Module):
    """ECA: every channel is scaled by its neighbours' averages, a 1-D convolution of 3 to 7 weights.

    Wang et al., "ECA-Net", CVPR 2020; the kernel size follows its equation 12 (gamma 2, b 1).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        size = int(abs((math.log2(channels) + 1) / 2)) | 1
        self.conv = nn.Conv1d(1, 1, size, padding=size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        weights = torch.sigmoid(self.conv(x.mean((2, 3)).unsqueeze(1)))
        return x * weights.squeeze(1)[:, :, None, None]

    def make_constant(self) -> float:
        """As :meth:`SqueezeExcitation.make_constant`."""
        nn.init.zeros_(self.conv.weight)
        return 0.5


class ConvolutionalBlockAttention(nn.Module):
    """CBAM: channels scaled by their averages and maxima, then places by theirs.

    Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018.

    Maxima are taken with their places (``max``, not ``amax``): ``amax`` finds them again in the backward pass by
    comparing, and a compiled bf16 step, which rounds one side only, finds none and divides by zero.
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
        greatest = self.channel(x.flatten(2).max(2).values[:, :, None, None])
        x = x * torch.sigmoid(average + greatest)
        places = torch.cat((x.mean(1, keepdim=True), x.max(1, keepdim=True).values), 1)
        return x * torch.sigmoid(self.norm(self.place(places)))


class SimpleAttention(nn.Module):
    """SimAM: every neuron is scaled by how far it stands out of its channel; no parameters.

    Yang et al., "SimAM: A Simple, Parameter-Free Attention Module", ICML 2021; lambda as published.
    """

    def __init__(self, channels: int, smoothing: float = 1e-4) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(self, x: Tensor) -> Tensor:
        squared = (x - x.mean((2, 3), keepdim=True)).square()
        variance = squared.sum((2, 3), keepdim=True) / max(x.shape[2] * x.shape[3] - 1, 1)
        return x * torch.sigmoid(squared / (4 * (variance + self.smoothing)) + 0.5)


ATTENTION: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda channels: nn.Identity(),
    "se": SqueezeExcitation,
    "eca": EfficientChannelAttention,
    "cbam": ConvolutionalBlockAttention,
    "simam": SimpleAttention,
}
