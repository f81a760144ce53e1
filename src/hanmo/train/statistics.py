"""Keeps the statistics of a net's batch norms, or moves them towards those of other samples."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hanmo.normalize import standardise
from hanmo.train.augment import unchanged

BATCH = 150
"""Samples in a batch while statistics are measured; an incomplete last batch is left out, unless alone."""


def keep_statistics(net: nn.Module) -> None:
    """Let the batch norms normalise with their running means and variances, and not change these.

    It lasts until the next ``net.train()``. Their scales and shifts are still trained. A batch of a few characters has
    statistics of its own; a net that learns on such batches reads other characters worse.
    """
    for norm in _batch_norms(net):
        norm.eval()


def _batch_norms(net: nn.Module) -> list[_BatchNorm]:
    return [module for module in net.modules() if isinstance(module, _BatchNorm)]


@torch.no_grad()
def move_statistics(net: nn.Module, squares: Tensor, share: float) -> None:
    """Move the running means and variances by ``share`` (0 to 1) of the way to those of ``squares``, uint8 (N, S, S).

    The mean of several nets' weights needs statistics of its own (Izmailov et al., "Averaging weights leads to wider
    optima and better generalization", UAI 2018), and so does a net that reads other pictures than most of its
    training data (Schneider et al., "Improving robustness against common corruptions by covariate shift adaptation",
    NeurIPS 2020, who go a part of the way as well).
    """
    assert len(squares)
    size = min(BATCH, len(squares))
    norms = _batch_norms(net)
    before = [{name: buffer.clone() for name, buffer in norm.named_buffers()} for norm in norms]
    momenta = [norm.momentum for norm in norms]
    training = net.training
    net.eval()  # no dropout
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None  # torch then takes the plain mean over all batches
    for start in range(0, len(squares) - size + 1, size):
        net(standardise(unchanged(squares[start : start + size])))
    net.train(training)
    for norm, own, momentum in zip(norms, before, momenta, strict=True):
        norm.momentum = momentum
        for name, buffer in norm.named_buffers():
            if buffer.is_floating_point():
                buffer.lerp_(own[name], 1 - share)
            else:  # the number of batches seen in training, which has not changed
                buffer.copy_(own[name])
