"""Forward hooks that return a net's inner features; the net's code stays unchanged."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from hanmo.errors import ConfigError


class Output(NamedTuple):
    """``logits`` (N, C), ``features`` by layer name, each as its layer returned it, and the input ``pictures``.

    Where a distillation method asks for them (``Method.teacher_views``), ``features`` also has those of other views of
    the same pictures, by :func:`name_in_view`.
    """

    logits: Tensor
    features: dict[str, Tensor]
    pictures: Tensor | None = None


def name_in_view(layer: str, view: int) -> str:
    """The key in :attr:`Output.features` of a layer's features for the view of this number, from 0."""
    return f"{layer}@{view}"


class FeatureHooks(nn.Module):
    """A net whose forward returns an :class:`Output`: the logits and the outputs of the named ``layers``.

    The net itself, its parameters and their names stay as they are. Raises :class:`ConfigError` for an unknown layer;
    the message lists the known ones.
    """

    def __init__(self, net: nn.Module, layers: Sequence[str] = ()) -> None:
        super().__init__()
        self.net = net
        self._features: dict[str, Tensor] = {}
        known = {name: module for name, module in net.named_modules() if name}
        for layer in layers:
            if layer not in known:
                top = [name for name in known if name.count(".") <= 1]
                near = difflib.get_close_matches(layer, known, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise ConfigError(f"the net has no layer {layer!r}; {hint}it has: {', '.join(top)}")
            known[layer].register_forward_hook(self._store(layer))

    def _store(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self._features[name] = output

        return hook

    def forward(self, x: Tensor) -> Output:
        # A new dict for every call: a net that also runs without these hooks' forward would leave features here, and
        # torch.compile would compile again for the changed dict. Features kept beyond the call would hold memory.
        self._features = {}
        logits = self.net(x)
        features, self._features = self._features, {}
        return Output(logits, features, x)
