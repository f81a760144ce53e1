"""MobileNetV2: a net of few multiply-accumulates, for slow processors."""

from __future__ import annotations

from torch import Tensor, nn

from hanmo.nets.resnet import Attention, AveragePooling
from hanmo.nets.staged import Staged, scaled

_STAGES = (((16, 1, 1), (24, 1, 2)), ((32, 2, 3),), ((64, 2, 4), (96, 1, 3)), ((160, 2, 3), (320, 1, 1)))
"""For every stage its groups of blocks: (channels, stride of the first block, number of blocks)."""


class InvertedResidual(nn.Module):
    """A 1x1 convolution that widens, a depthwise 3x3 convolution, a 1x1 that narrows; a shortcut where shapes agree.

    (N, inputs, H, W) -> (N, outputs, ⌈H/stride⌉, ⌈W/stride⌉)
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, attention: Attention) -> None:
        super().__init__()
        inner = inputs * expansion
        self.widen = _convolution(inputs, inner, 1) if expansion > 1 else nn.Identity()
        self.depthwise = _convolution(inner, inner, 3, stride, groups=inner)
        # No ReLU after it: in so few channels it would lose information (the "linear bottleneck" of the paper).
        self.narrow = nn.Sequential(nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.attention = attention(outputs)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.attention(self.narrow(self.depthwise(self.widen(x))))
        return x + branch if self.shortcut else branch


class MobileNet(Staged):
    """MobileNetV2: (N, 1, S, S) -> logits (N, classes); 7,033,451 parameters (3,755), 2,351,396 (100).

    Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018. Its channels, expansions and
    depths; strides are for small pictures: stages 1 to 4 give S/2, S/4, S/8 and S/16 (of 224 pixels S/4 to S/32).
    ``pool`` has the last 1x1 convolution, of 1,280 channels (no fewer in narrower nets, as published), and the average.
    """

    def __init__(
        self,
        classes: int,
        *,
        width: int = 64,
        attention: Attention = lambda channels: nn.Identity(),
        dropout: float = 0.0,
    ) -> None:
        first = inputs = scaled(32, width)
        stages, expansion = [], 1
        for groups in _STAGES:
            blocks = []
            for channels, stride, depth in groups:
                for i in range(depth):
                    outputs = scaled(channels, width)
                    blocks.append(InvertedResidual(inputs, outputs, stride if i == 0 else 1, expansion, attention))
                    inputs, expansion = outputs, 6  # the first block alone does not widen
            stages.append(nn.Sequential(*blocks))
        features = max(1280, scaled(1280, width))
        pool = nn.Sequential(_convolution(inputs, features, 1), AveragePooling())
        super().__init__(_convolution(1, first, 3, 2), stages, pool, features, classes, dropout)
        for block in self.modules():  # every block starts as its shortcut alone, as in our ResNets
            if isinstance(block, InvertedResidual) and block.shortcut:
                norm = block.narrow[1]
                assert isinstance(norm, nn.BatchNorm2d)
                nn.init.zeros_(norm.weight)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        # As published: activations bounded by 6 lose less when they are rounded to few bits.
        nn.ReLU6(),
    )
