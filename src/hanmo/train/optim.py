"""Optimisers, the learning-rate schedule and the averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from hanmo.errors import CheckpointError
from hanmo.train.config import OptimConfig


def build_optimizer(modules: Iterable[nn.Module], config: OptimConfig) -> torch.optim.Optimizer:
    """AdamW or SGD with Nesterov momentum. Norms and biases (one-dimensional parameters) have no weight decay."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, nesterov=config.momentum > 0)
    # One kernel for all parameters. 0.999 is Adam's usual second beta.
    fused = all(p.is_cuda for p in parameters)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.momentum, 0.999), fused=fused)


def learning_rate(config: OptimConfig, step: int, steps: int) -> float:
    """The learning rate of ``step`` (from 0) out of ``steps``: a linear warm-up, then a cosine.

    The cosine (Loshchilov, Hutter, "SGDR", ICLR 2017) falls from ``config.learning_rate`` to ``config.final`` times it.
    """
    warm = config.warmup * steps
    if step < warm:
        # + 1, so that the first step is not lost at rate 0, and the full rate comes with the first step of the cosine.
        return config.learning_rate * (step + 1) / (warm + 1)
    progress = (step - warm) / max(steps - warm, 1)
    share = config.final + (1 - config.final) * (1 + math.cos(math.pi * progress)) / 2
    return config.learning_rate * share


def mixup_share(config: OptimConfig, seed: int) -> float:
    """The share that each picture keeps of itself in the mixup of one step, a draw of Beta(a, a); 1 without mixup."""
    return float(np.random.default_rng(seed).beta(config.mixup, config.mixup)) if config.mixup > 0 else 1.0


class AveragedWeights:
    """An exponential moving average of a net's parameters and float buffers.

    Polyak, Juditsky, "Acceleration of stochastic approximation by averaging", 1992. The decay starts low,
    ``(1 + step) / (10 + step)``, so that the untrained weights are soon forgotten.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        # The live tensors of the net, not copies: update() reads them after every step.
        self.source = {k: v.detach() for k, v in net.state_dict(keep_vars=True).items() if v.is_floating_point()}
        self.average = {k: v.clone() for k, v in self.source.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the averages towards the weights after ``step`` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        # average += (1 - decay) (weights - average), for all tensors in few kernels instead of one each.
        torch._foreach_lerp_(list(self.average.values()), list(self.source.values()), 1 - decay)

    def load(self, tensors: Mapping[str, Tensor], where: str) -> None:
        """Take averages that were saved; :class:`CheckpointError` names ``where`` they do not fit."""
        if tensors.keys() != self.average.keys():
            raise CheckpointError(f"{where}: holds averaged weights of another net; use the recipe it came from")
        for name, tensor in tensors.items():
            self.average[name].copy_(tensor)

    def state_dict(self, net: nn.Module) -> dict[str, Tensor]:
        """A state dict for ``net``: the averages, and the net's own integer buffers."""
        return {k: self.average.get(k, v) for k, v in net.state_dict().items()}
