"""Shared by the convolutional nets: four stages with the names of a ResNet's, so feature hooks fit all nets."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

MIN_CHANNELS = 8
"""Fewest channels of a layer. With fewer, torch 2.13 writes beyond its memory on CPUs without AVX-512."""


def scaled(channels: int, width: int) -> int:
    """``channels`` of the published net, multiplied by ``width`` / 64."""
    return max(MIN_CHANNELS, round(channels * width / 64))


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU: (N, inputs, H, W) -> (N, outputs, ⌈H/stride⌉, ⌈W/stride⌉)."""
    # Padding of kernel // 2 keeps the size where the stride is 1 (kernels are odd). The norm has a bias already.
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def hidden(inputs: int, outputs: int) -> nn.Sequential:
    """A fully connected layer and ReLU: (N, inputs) -> (N, outputs)."""
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU())


class Staged(nn.Module):
    """(N, 1, S, S) -> logits (N, classes), through ``stem``, ``layer1`` to ``layer4``, ``pool`` and ``fc``.

    The stages return maps (N, C, H, W), ``pool`` returns the classifier's input (N, ``features``). ``dropout`` acts
    before ``fc``.
    """

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[nn.Module],
        pool: nn.Module,
        features: int,
        classes: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.stem = stem
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.pool = pool
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(features, classes)
        # He initialisation fits layers that a ReLU follows. ``fc`` has none after it and keeps torch's own.
        for module in (*self.stem.modules(), *(m for stage in stages for m in stage.modules()), *pool.modules()):
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        logits: Tensor = self.fc(self.dropout(self.pool(x)))
        return logits
