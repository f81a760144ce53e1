"""Reading a net's inner features without touching its code."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.errors import ConfigError
from hanmo.nets.views import VIEWS, seen


class Output(NamedTuple):
    """``logits`` (N, C), the named ``features``, each as its layer gave it, and the ``pictures`` (N, 1, S, S) seen."""

    logits: Tensor
    features: dict[str, Tensor]
    pictures: Tensor | None = None


class Tapped(nn.Module):
    """A net whose forward also returns the outputs of the layers named.

    The layers are watched by forward hooks; the net itself, its parameters and their names stay as they are.
    Raises :class:`ConfigError` that lists the layers there are when one is unknown.
    """

    def __init__(self, net: nn.Module, layers: Sequence[str] = ()) -> None:
        super().__init__()
        self.net = net
        self._seen: dict[str, Tensor] = {}
        known = {name: module for name, module in net.named_modules() if name}
        for layer in layers:
            if layer not in known:
                top = [name for name in known if name.count(".") <= 1]
                near = difflib.get_close_matches(layer, known, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise ConfigError(f"the net has no layer {layer!r}; {hint}it has: {', '.join(top)}")
            known[layer].register_forward_hook(self._watch(layer))

    def _watch(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self._seen[name] = output

        return hook

    def forward(self, x: Tensor) -> Output:
        # A new dict each time: what the net saw elsewhere must not change what torch.compile was told, and features
        # kept here beyond the call would hold their memory.
        self._seen = {}
        logits = self.net(x)
        features, self._seen = self._seen, {}
        return Output(logits, features, x)


class Ensemble(nn.Module):
    """The weighted mean of several nets' log-probabilities: (N, 1, S, S) -> (N, C), a teacher made of teachers.

    Members keep their names ``members.0``, ``members.1``, so features can be tapped from one of them. Without
    ``weights`` all count alike. Of classes that a member ``lacks``, bool (C,), the others decide. Each looks at
    ``views`` of every picture (1, 3 or 5, :data:`hanmo.nets.views.VIEWS`), at the picture itself last: tapped features
    are of that.
    """

    def __init__(self, members: Sequence[nn.Module], weights: Sequence[float] = (), views: int = 1) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.shares = [weight / sum(weights) for weight in weights] or [1 / len(members)] * len(members)
        self.views = VIEWS[views]

    def forward(self, x: Tensor) -> Tensor:
        views = [seen(x, view) for view in self.views]
        total, counted = torch.zeros((), device=x.device), torch.zeros((), device=x.device)
        for share, member in zip(self.shares, self.members, strict=True):
            said = torch.stack([member(view).float().log_softmax(-1) for view in views]).mean(0)
            lacks = getattr(member, "lacks", None)
            knows = share if lacks is None else share * ~lacks
            total, counted = total + knows * said, counted + knows
        return total / counted


def seeing(net: nn.Module, side: int) -> nn.Module:
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
