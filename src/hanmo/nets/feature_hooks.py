"""Reading a net's inner features without touching its code."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from hanmo.errors import ConfigError


class Output(NamedTuple):
    """``logits`` (N, C), the named ``features``, each as its layer gave it, and the ``pictures`` (N, 1, S, S) seen."""

    logits: Tensor
    features: dict[str, Tensor]
    pictures: Tensor | None = None


class FeatureHooks(nn.Module):
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
