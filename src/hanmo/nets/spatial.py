"""A ResNet behind a spatial transformer, which moves, turns and scales the character first.

Jaderberg et al., "Spatial Transformer Networks", NeurIPS 2015; for this task Zhong, Zhang, Yin, Liu, "Handwritten
Chinese character recognition with spatial transformer and deep residual networks", ICPR 2016.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from hanmo.nets.resnet import BasicBlock, ResNet
from hanmo.nets.staged import convolution, hidden, scaled
from hanmo.nets.tta import sampled


class SpatialTransformer(nn.Module):
    """(N, 1, S, S) -> the same pictures, each under an affine map of its own; places from outside are paper.

    A small localisation net (``localise``) predicts the six numbers of the map, for pictures of ``side`` S only. It
    starts at the identity. Coordinates are computed in 32 bits, because the 8-bit precision of bf16 would miss by a
    fraction of a pixel.
    """

    def __init__(self, side: int, width: int = 64) -> None:
        super().__init__()
        channels = [1, *(scaled(c, width) for c in (16, 32, 32, 32))]
        places, features = math.ceil(side / 16), scaled(64, width)
        self.localise = nn.Sequential(
            *(convolution(before, after, 3, 2) for before, after in pairwise(channels)),
            nn.Flatten(),
            hidden(channels[-1] * places * places, features),
        )
        self.affine = nn.Linear(features, 6)
        # The identity for every picture: a random map at the start would show the net arbitrary parts of pictures.
        nn.init.zeros_(self.affine.weight)
        with torch.no_grad():
            self.affine.bias.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]))

    def forward(self, x: Tensor) -> Tensor:
        side = x.shape[-1]
        (a, b, right), (c, d, down) = (row.unbind(1) for row in self.map(x).unbind(1))
        centres = (torch.arange(side, device=x.device, dtype=torch.float32) * 2 + 1) / side - 1  # of the pixels
        rows, columns = centres.view(1, side, 1), centres.view(1, 1, side)
        x_from = _for_each_picture(a) * columns + _for_each_picture(b) * rows + _for_each_picture(right)
        y_from = _for_each_picture(c) * columns + _for_each_picture(d) * rows + _for_each_picture(down)
        return sampled(x.float(), torch.stack((x_from, y_from), -1)).to(x.dtype)

    def map(self, x: Tensor) -> Tensor:
        """The affine maps (N, 2, 3) from places in the result to places in the pictures; both range from -1 to 1."""
        features = self.localise(x).float()
        # The linear layer is written out, because autocast would compute it in bf16.
        numbers: Tensor = (features.unsqueeze(1) * self.affine.weight).sum(-1) + self.affine.bias
        return numbers.view(-1, 2, 3)


class SpatialResNet(ResNet):
    """ResNet-18 behind a spatial transformer: (N, 1, S, S) -> logits (N, classes); options as :class:`ResNet`.

    13,150,625 parameters (3,755 classes), 11,275,610 (100) at 64 pixels; 56,630 of them are the ``transformer``'s. The
    paper uses another residual net and does not describe its localisation net; ours has four small convolutions and
    a hidden layer.
    """

    def __init__(
        self, classes: int, *, width: int = 64, side: int = 64, depths: tuple[int, ...] = (2, 2, 2, 2), **options: Any
    ) -> None:
        super().__init__(BasicBlock, depths, classes, width=width, side=side, **options)
        self.transformer = SpatialTransformer(side, width)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.transformer(x))


def _for_each_picture(numbers: Tensor) -> Tensor:
    """(N,) -> (N, 1, 1), to multiply with rows and columns."""
    return numbers.view(-1, 1, 1)
