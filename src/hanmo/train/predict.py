"""A net's answers on packed samples."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hanmo.train.augment import unchanged
from hanmo.train.batches import DeviceData
from hanmo.train.objective import standardise


@torch.no_grad()
def predict(net: nn.Module, data: DeviceData, batch: int = 1024) -> tuple[Tensor, Tensor]:
    """Logits float32 (N, C) and labels (N,) of every sample, on the CPU; the net is left as it was."""
    was_training = net.training
    net.eval()
    logits = [
        net(standardise(unchanged(images)).to(memory_format=torch.channels_last)).float().cpu()
        for images, _ in data.in_order(batch)
    ]
    net.train(was_training)
    return torch.cat(logits), data.labels.cpu()
