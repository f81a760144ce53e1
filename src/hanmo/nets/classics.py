"""Published nets that papers on handwritten Chinese characters compare with, adapted to small grey pictures.

Each function returns a :class:`hanmo.nets.staged.Staged` for pictures of ``side`` S only. Stages 1 to 4 return maps of
S/2, S/4, S/8 and S/16 pixels a side, as a ResNet's do, unless the docstring says otherwise. ``width`` / 64 scales the
channels. ``dropout`` acts before the classifier and between fully connected layers. Docstrings give the number of
trainable parameters at 64 pixels and full width, for 3,755 and for 100 classes.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from hanmo.nets.planes import InputPlanes, Planes
from hanmo.nets.resnet import WeightedPooling
from hanmo.nets.staged import Staged, convolution, hidden, scaled
from hanmo.nets.stochastic_pooling import StochasticMaxPool


def alexnet(classes: int, *, width: int = 64, side: int = 64, dropout: float = 0.0) -> Staged:
    """AlexNet: five convolutions and three fully connected layers; 52.66 M parameters (3,755), 37.69 M (100).

    Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NeurIPS 2012. As
    in the paper: channels, pools (3x3, stride 2) and 4,096 hidden units. Differences: the first convolution is 5x5 with
    stride 2 and without a pool before it (for 224 pixels: 11x11, stride 4); one column instead of two; batch norm
    after every convolution instead of response normalisation. Stages 3 and 4 both return S/8. The paper's dropout is
    0.5.
    """
    c = [scaled(channels, width) for channels in (96, 256, 384, 384, 256)]
    stages = [
        convolution(1, c[0], 5, 2),
        nn.Sequential(nn.MaxPool2d(3, 2, 1), convolution(c[0], c[1], 5)),
        nn.Sequential(nn.MaxPool2d(3, 2, 1), convolution(c[1], c[2], 3), convolution(c[2], c[3], 3)),
        convolution(c[3], c[4], 3),
    ]
    # Side of the last map after four halvings: the first convolution and three pools.
    places, units = math.ceil(side / 16), scaled(4096, width)
    pool = _connected(nn.MaxPool2d(3, 2, 1), c[4] * places * places, units, dropout)
    return Staged(nn.Identity(), stages, pool, units, classes, dropout)


def vgg16_bn(
    classes: int, *, width: int = 64, side: int = 64, dropout: float = 0.0, stochastic: bool = False
) -> Staged:
    """VGG-16 with batch norm: 55.28 M parameters (3,755), 40.30 M (100).

    Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, configuration
    D. The stem is its first two convolutions; each stage is a pool and the two or three convolutions after it. The
    first hidden layer of 4,096 units gets 2x2 places at 64 pixels (7x7 at 224). The paper's dropout is 0.5. With
    ``stochastic`` the pools of the four stages are :class:`hanmo.nets.stochastic_pooling.StochasticMaxPool`.
    """

    def pool() -> nn.Module:
        # ceil_mode keeps the last row of a map with an odd side, so that sides are as in the other nets: S/2 rounded
        # up.
        return StochasticMaxPool() if stochastic else nn.MaxPool2d(2, ceil_mode=True)

    c = [scaled(channels, width) for channels in (64, 128, 256, 512, 512)]
    stages = [
        nn.Sequential(pool(), *_chain(before, *[after] * depth))
        for before, after, depth in zip(c[:-1], c[1:], (2, 3, 3, 3), strict=True)
    ]
    places, units = math.ceil(side / 32), scaled(4096, width)
    last = _connected(nn.MaxPool2d(2, ceil_mode=True), c[4] * places * places, units, dropout)
    return Staged(nn.Sequential(*_chain(1, c[0], c[0])), stages, last, units, classes, dropout)


class Inception(nn.Module):
    """1x1, 3x3 and 5x5 convolutions and a pool side by side: (N, C, H, W) -> (N, ``outputs``, H, W).

    Szegedy et al., "Going Deeper with Convolutions", CVPR 2015; ``channels`` in the order of its table 1.
    """

    def __init__(self, inputs: int, channels: tuple[int, int, int, int, int, int], width: int) -> None:
        super().__init__()
        one, before_three, three, before_five, five, pooled = (scaled(c, width) for c in channels)
        self.one = convolution(inputs, one, 1)
        # The 1x1 convolutions reduce the channels first; 3x3 and 5x5 on all of them would cost several times as much.
        self.three = nn.Sequential(convolution(inputs, before_three, 1), convolution(before_three, three, 3))
        self.five = nn.Sequential(convolution(inputs, before_five, 1), convolution(before_five, five, 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), convolution(inputs, pooled, 1))
        self.outputs = one + three + five + pooled

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.one(x), self.three(x), self.five(x), self.pool(x)), 1)


def googlenet(
    classes: int, *, width: int = 64, side: int = 64, dropout: float = 0.0, planes: Planes | None = None
) -> Staged:
    """HCCR-GoogLeNet, four Inception modules: 6,451,291 parameters (3,755), 2,704,916 (100).

    Zhong, Jin, Xie, "High Performance Offline Handwritten Chinese Character Recognition Using GoogLeNet and Directional
    Feature Maps", ICDAR 2015. The layers are those of the authors' published definition for a grey picture alone.
    That net has 6,448,163 parameters; ours has 3,128 more, because batch norm replaces biases and response
    normalisation. The paper states 7.26 M: its input has directional maps as well (25,088 parameters), and it has no
    table to recount the rest. ``planes = "gradient"`` adds such maps (:class:`hanmo.nets.planes.InputPlanes`). Its
    pictures have 120 pixels. Up to 96 pixels the stem's first pool is left out, so that the last map has 8x8 places at
    64 pixels (theirs 7x7). Stages return S/2, S/4, S/8 and S/8. The paper's dropout is 0.4.
    """
    first, second = scaled(64, width), scaled(192, width)
    one = Inception(second, (64, 96, 128, 16, 32, 32), width)
    two = Inception(one.outputs, (128, 128, 192, 32, 96, 64), width)
    three = Inception(two.outputs, (160, 112, 224, 24, 64, 64), width)
    four = Inception(three.outputs, (256, 160, 320, 32, 128, 128), width)
    made = [InputPlanes(planes)] if planes else []
    inputs = made[0].outputs if made else 1
    pool = nn.MaxPool2d(3, 2, 1) if side > 96 else nn.Identity()
    stem = nn.Sequential(*made, convolution(inputs, first, 7, 2), pool)
    stages = [
        nn.Sequential(convolution(first, first, 1), convolution(first, second, 3)),
        nn.Sequential(nn.MaxPool2d(3, 2, 1), one, two),
        nn.Sequential(nn.MaxPool2d(3, 2, 1), three),
        four,
    ]
    places = math.ceil(side / (16 if side > 96 else 8))
    # The fully connected layer gets 2x2 places of few channels: its weights grow with both.
    step, reduced, units = max(places // 2, 1), scaled(128, width), scaled(1024, width)
    corners = min(places, 2)  # the last map is averaged over 2x2 parts, which overlap if its side is odd
    last = nn.Sequential(
        nn.AvgPool2d(math.ceil(places / 2), step),
        convolution(four.outputs, reduced, 1),
        nn.Flatten(),
        hidden(reduced * corners * corners, units),
    )
    return Staged(stem, stages, last, units, classes, dropout)


def melnyk_net(classes: int, *, width: int = 64, side: int = 64, dropout: float = 0.0) -> Staged:
    """Melnyk-Net, 14 convolutions and weighted pooling: at 96 pixels 6,518,635 parameters (3,755), 4,877,540 (100).

    Melnyk, You, Li, "A high-performance CNN method for offline handwritten Chinese character recognition and
    visualization", Soft Computing 2020. The paper's 6,523,819 include the 5,184 running statistics of the norms. The
    pooling has a weight for each place, so there are 8,960 fewer at 64 pixels. Every stage has fewer channels in its
    middle (a 3x3 bottleneck); the stem is the first two convolutions. Differences: average pools are padded on both
    sides, where the authors' framework pads after; the weighted pooling starts as the average, theirs as the sum. The
    paper's dropout is 0.5.
    """
    table = ((64, 64), (96, 64, 96), (128, 96, 128), (256, 192, 256), (448, 256, 448))
    c = [[scaled(channels, width) for channels in stage] for stage in table]
    stages = [
        # Padding is left out of the averages: its zeros would make the border of every map weaker.
        nn.Sequential(nn.AvgPool2d(3, 2, 1, count_include_pad=False), *_chain(before[-1], *after))
        for before, after in pairwise(c)
    ]
    places, features = math.ceil(side / 16), c[-1][-1]
    pool = WeightedPooling(features, places, places)
    return Staged(nn.Sequential(*_chain(1, *c[0])), stages, pool, features, classes, dropout)


def _chain(*channels: int) -> list[nn.Sequential]:
    """3x3 convolutions in sequence, through these numbers of channels."""
    return [convolution(before, after, 3) for before, after in pairwise(channels)]


def _connected(last: nn.Module, inputs: int, units: int, dropout: float) -> nn.Sequential:
    """A last pool and two hidden layers: maps -> (N, units), the classifier's input."""
    return nn.Sequential(last, nn.Flatten(), hidden(inputs, units), nn.Dropout(dropout), hidden(units, units))
