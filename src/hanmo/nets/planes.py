"""Hand-made input planes: how ink grows in eight directions, computed inside the net from its picture.

They are part of the net, so that packs, bundles and readers stay as they are: the input remains one grey square.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.normalize import MEAN, STD

Planes = Literal["gradient", "directmap"]
DIRECTIONS = 8
"""As many as in the literature on handwritten Chinese characters, one for every 45 degrees."""


class InputPlanes(nn.Module):
    """Standardised pictures (N, 1, S, S) -> planes (N, ``outputs``, S, S); nothing here is trained.

    ``gradient``: the picture and eight direction planes, nine in all. So in HCCR-GoogLeNet (Zhong, Jin, Xie, ICDAR
    2015), and for hand-made features beside the picture Shen et al., "In Teacher We Trust", 2016.
    ``directmap``: the eight direction planes alone, as Zhang, Bengio, Liu, "Online and Offline Handwritten Chinese
    Character Recognition: A Comprehensive Study and New Benchmark", Pattern Recognition 2017.

    The planes are those of :func:`hanmo.classic.features.direction_planes`: the gradient of the ink by Sobel's kernels,
    split between the two nearest directions, in units of full ink a pixel. Differences from the papers: the gradient is
    that of the normalised square, since packs hold nothing else (the directMap takes it on the original picture), and
    planes have as many pixels as the square (the directMap 32 a side).
    """

    def __init__(self, kind: Planes) -> None:
        super().__init__()
        self.kind = kind
        # 1, 2, 1 over a distance of 2 pixels: divided by 8 it is a slope a pixel.
        across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
        angles = [2 * math.pi * k / DIRECTIONS for k in range(DIRECTIONS)]
        along = [math.cos(a) * across + math.sin(a) * across.T for a in angles]
        aside = [math.cos(a) * across.T - math.sin(a) * across for a in angles]
        # Of a gradient between two directions, each gets the length of a vector along itself (a parallelogram): the
        # component along it less that across it over the tangent of the angle between them.
        steep = 1 / math.tan(2 * math.pi / DIRECTIONS)
        self.along: Tensor
        self.aside: Tensor
        # Constants, which no weights file has to hold.
        self.register_buffer("along", torch.stack(along)[:, None], persistent=False)
        self.register_buffer("aside", steep * torch.stack(aside)[:, None], persistent=False)

    @property
    def outputs(self) -> int:
        """The number of planes."""
        return DIRECTIONS + (self.kind == "gradient")

    def forward(self, x: Tensor) -> Tensor:
        # Unstandardised: the convolution pads with 0, which has to be paper.
        ink = x * STD + MEAN
        planes = F.relu(F.conv2d(ink, self.along, padding=1) - F.conv2d(ink, self.aside, padding=1).abs())
        return torch.cat((x.to(planes.dtype), planes), 1) if self.kind == "gradient" else planes
