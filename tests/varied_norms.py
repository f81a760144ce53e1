"""Batch norms as a training leaves them: a fresh net's would hide mistakes, since they change nothing."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def vary_norms(net: nn.Module, *, scales: tuple[float, float] = (0.5, 1.5), shift: float = 0.3) -> None:
    """Give every batch norm of ``net`` random scales, shifts and statistics, from torch's global generator.

    ``shift`` is the standard deviation of its shifts and of its means.
    """
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.uniform_(*scales)
            module.bias.normal_(0, shift)
            module.running_mean.normal_(0, shift)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
            module.num_batches_tracked.fill_(9)  # type: ignore[union-attr]
