"""Optimisers, the learning-rate schedule and the averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from hanmo.train.config import OptimConfig


def build_optimizer(modules: Iterable[nn.Module], config: OptimConfig) -> torch.optim.Optimizer:
    """AdamW or Nesterov SGD; norms and biases (one-dimensional parameters) are not decayed."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, nesterov=config.momentum > 0)
    fused = all(p.is_cuda for p in parameters)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.momentum, 0.999), fused=fused)


def learning_rate(config: OptimConfig, step: int, steps: int) -> float:
    """The rate of ``step`` (from 0) out of ``steps``: linear warm-up, cosine to ``final`` of the top."""
    warm = config.warmup * steps
    if step < warm:
        return config.learning_rate * (step + 1) / (warm + 1)
    progress = (step - warm) / max(steps - warm, 1)
    share = config.final + (1 - config.final) * (1 + math.cos(math.pi * progress)) / 2
    return config.learning_rate * share


def mixing_share(config: OptimConfig, seed: int) -> float:
    """How much of itself each picture stays in the mixup of a step; 1 without mixup."""
    return float(np.random.default_rng(seed).beta(config.mixup, config.mixup)) if config.mixup > 0 else 1.0


class AveragedWeights:
    """An exponential moving average of a net's parameters and float buffers (Polyak averaging).

    The decay starts low, ``(1 + step) / (10 + step)``, so early weights are soon forgotten.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.source = {k: v.detach() for k, v in net.state_dict(keep_vars=True).items() if v.is_floating_point()}
        self.average = {k: v.clone() for k, v in self.source.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.average.values()), list(self.source.values()), 1 - decay)

    def state_dict(self, net: nn.Module) -> dict[str, Tensor]:
        """A state dict for ``net``: the averages, and the net's own integer buffers."""
        return {k: self.average.get(k, v) for k, v in net.state_dict().items()}
