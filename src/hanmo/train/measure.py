"""Measures how well a net reads the samples of a pack."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from hanmo.evaluate.metrics import topk_accuracy
from hanmo.normalize import standardise
from hanmo.train.augment import unchanged
from hanmo.train.batches import DeviceData


@torch.no_grad()
def measure(net: nn.Module, data: DeviceData, batch: int = 1024) -> dict[str, float]:
    """``top1`` and ``top5`` in per cent and the mean cross-entropy ``loss`` in nats; the net is left as it was.

    Sums are kept batch by batch: the logits of a whole test set of 224,419 samples and 3,755 classes would take 3.4 GB.
    """
    was_training = net.training
    net.eval()
    sums = {"top1": 0.0, "top5": 0.0, "loss": 0.0}
    for squares, labels in data.in_order(batch):
        x = standardise(unchanged(squares)).to(memory_format=torch.channels_last)
        # float(), because NumPy has no bf16, which a net may return.
        logits, labels = net(x).float().cpu(), labels.cpu()
        top = topk_accuracy(logits.numpy(), labels.numpy(), (1, 5))
        # Weighted by the number of samples, since the last batch may be short.
        sums["top1"] += top[1] * len(labels)
        sums["top5"] += top[5] * len(labels)
        sums["loss"] += F.cross_entropy(logits, labels, reduction="sum").item()
    net.train(was_training)
    means = {name: total / len(data) for name, total in sums.items()}
    return means | {name: round(means[name], 3) for name in ("top1", "top5")}
