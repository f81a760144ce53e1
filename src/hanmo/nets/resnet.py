"""ResNets for small grey pictures.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016. Names and shapes of the state dict are
torchvision's wherever both have the layer; only the first convolution differs (one channel, smaller kernel),
because a 64-pixel character would be 2 pixels wide after the original stem and four stages.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from hanmo.nets.bag_of_features import WORDS, BagOfFeatures
from hanmo.nets.compiled import first_convolution
from hanmo.nets.planes import InputPlanes, Planes

Attention = Callable[[int], nn.Module]
Stem = Literal["stride2", "stride4", "imagenet"]
Pool = Literal["average", "weighted", "bag-of-features"]


class AveragePooling(nn.Module):
    """Global average pooling, (N, C, H, W) -> (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class WeightedPooling(nn.Module):
    """Global weighted average pooling, (N, C, H, W) -> (N, C), with a trained weight for every channel and place.

    It starts as the plain average. That average forgets where in the picture a stroke is; trained weights need not.

    Melnyk, You, Li, "A high-performance CNN method for offline handwritten Chinese character recognition and
    visualization", Soft Computing 2020.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, height, width), 1 / (height * width)))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight).sum((2, 3))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; (N, in, H, W) -> (N, width, H/stride, W/stride)."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, attention: Attention) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.attention = attention(width)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        branch = torch.relu(self.bn1(self.conv1(x)))
        branch = self.attention(self.bn2(self.conv2(branch)))
        return torch.relu(branch + self.downsample(x))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a shortcut; (N, in, H, W) -> (N, 4 width, H/stride, W/stride)."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, attention: Attention) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        # The stride is here and not in the first 1x1 convolution, which would skip three quarters of the places (as
        # torchvision has it, unlike the paper).
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.attention = attention(4 * width)
        self.downsample = _shortcut(inputs, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        branch = torch.relu(self.bn1(self.conv1(x)))
        branch = torch.relu(self.bn2(self.conv2(branch)))
        branch = self.attention(self.bn3(self.conv3(branch)))
        return torch.relu(branch + self.downsample(x))


class ResNet(nn.Module):
    """A ResNet for grey pictures: (N, 1, S, S) -> logits (N, classes).

    ``depths``: number of blocks in each of the four stages.
    ``width``: channels of the first stage; each further stage has twice as many.
    ``stem``: ``stride2`` is one 3x3 convolution (stage 1 gets S/2), ``stride4`` two of them (S/4, for 96 pixels and
    more), ``imagenet`` the original 7x7 convolution and max-pool (S/4).
    ``kernel``: another size of the first convolution.
    ``pool``: ``weighted`` is :class:`WeightedPooling`, ``bag-of-features`` is
    :class:`hanmo.nets.bag_of_features.BagOfFeatures` with so many ``words``; both are for pictures of ``side`` S only.
    ``dropout``: share of features dropped before the classifier.
    ``bottleneck``: so many features, a linear map of the pooled ones, go into the classifier (Sainath et al.,
    "Low-rank matrix factorization for deep neural network training with high-dimensional output targets", ICASSP 2013);
    0: the pooled features themselves.
    ``planes``: hand-made planes (:class:`hanmo.nets.planes.InputPlanes`) that the first convolution gets; None: the
    picture.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, ...],
        classes: int,
        *,
        width: int = 64,
        stem: Stem = "stride2",
        kernel: int | None = None,
        pool: Pool = "average",
        words: int = WORDS,
        side: int = 64,
        attention: Attention = lambda channels: nn.Identity(),
        dropout: float = 0.0,
        bottleneck: int = 0,
        planes: Planes | None = None,
    ) -> None:
        super().__init__()
        kernel = kernel or (7 if stem == "imagenet" else 3)
        # The stride-4 stem takes two steps and widens in the second: its first convolution works at the highest
        # resolution, where channels cost most.
        first = width // 2 if stem == "stride4" else width
        made = InputPlanes(planes) if planes else None
        # Convolutions here have no bias: the norm after each of them subtracts the mean and adds a bias of its own.
        self.conv1 = nn.Conv2d(made.outputs if made else 1, first, kernel, 2, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.planes = made or nn.Identity()
        self.reduce: nn.Module = nn.Identity()
        if stem == "stride4":
            self.reduce = nn.Sequential(
                nn.Conv2d(first, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
            )
        elif stem == "imagenet":
            self.reduce = nn.MaxPool2d(3, 2, 1)
        inputs = width
        self.layer1: nn.Sequential
        self.layer2: nn.Sequential
        self.layer3: nn.Sequential
        self.layer4: nn.Sequential
        for stage, depth in enumerate(depths):
            blocks = []
            for i in range(depth):
                # The first block of stages 2 to 4 halves the map, and the channels double: each stage costs about the
                # same.
                stride = 2 if stage > 0 and i == 0 else 1
                blocks.append(block(inputs, width << stage, stride, attention))
                inputs = (width << stage) * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        places = math.ceil(side / (16 if stem == "stride2" else 32))  # side of the last map
        self.pool: nn.Module = AveragePooling()
        if pool == "weighted":
            self.pool = WeightedPooling(inputs, places, places)
        elif pool == "bag-of-features":
            self.pool = bag = BagOfFeatures(inputs, places, words)
            inputs = bag.outputs
        # Without a bias and without an activation, so that both layers together are one linear map of low rank.
        self.bottleneck = nn.Linear(inputs, bottleneck, bias=False) if bottleneck else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(bottleneck or inputs, classes)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is None:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            # The last norm of a branch starts at zero, so every block starts as its shortcut: Goyal et al.,
            # "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017.
            if isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn2.weight)
            elif isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(torch.relu(self.bn1(first_convolution(self.conv1, self.planes(x)))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(self.dropout(self.bottleneck(self.pool(x))))
        return logits


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    # Only where the shape changes does the shortcut need weights; elsewhere the identity lets gradients pass unchanged.
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
