"""Several nets that answer as one, and nets that are shown pictures of another size than they were trained on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.nets.tta import VIEWS, transform


class Ensemble(nn.Module):
    """The weighted mean of several nets' log-probabilities: (N, 1, S, S) -> (N, C), a teacher made of teachers.

    Members keep their names ``members.0``, ``members.1``, so feature hooks can watch one of them. Without
    ``weights`` all count alike. Of classes that a member ``lacks``, bool (C,), the others decide. Each looks at
    ``views`` of every picture (1, 3 or 5, :data:`hanmo.nets.tta.VIEWS`), at the picture itself last: hooked features
    are of that.
    """

    def __init__(self, members: Sequence[nn.Module], weights: Sequence[float] = (), views: int = 1) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.shares = [weight / sum(weights) for weight in weights] or [1 / len(members)] * len(members)
        self.views = VIEWS[views]

    def forward(self, x: Tensor) -> Tensor:
        views = [transform(x, view) for view in self.views]
        total, counted = torch.zeros((), device=x.device), torch.zeros((), device=x.device)
        for share, member in zip(self.shares, self.members, strict=True):
            log_probabilities = torch.stack([member(view).float().log_softmax(-1) for view in views]).mean(0)
            lacks = getattr(member, "lacks", None)
            knows = share if lacks is None else share * ~lacks
            total, counted = total + knows * log_probabilities, counted + knows
        return total / counted


def resize_input(net: nn.Module, side: int) -> nn.Module:
    """The same net, from now on shown every picture (N, 1, S, S) at the ``side`` it was trained for; in place."""
    net.register_forward_pre_hook(lambda module, inputs: (resize(inputs[0], side),))
    return net


def resize(x: Tensor, side: int) -> Tensor:
    """Pictures (N, C, S, S) with ``side`` pixels a side: averaged where they shrink, bicubic where they grow."""
    if x.shape[-1] == side:
        return x
    if x.shape[-1] > side:
        return F.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
    return F.interpolate(x, size=(side, side), mode="bicubic")
