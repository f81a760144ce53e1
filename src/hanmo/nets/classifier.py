"""Changes the classes of a net's classifier ``fc``: fewer classes, more of them, or a factorised classifier."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

State = Mapping[str, Tensor]
"""A state dict: name -> tensor."""


@torch.no_grad()
def select_classes(net: nn.Module, chosen: Tensor) -> None:
    """Reduce the classifier ``fc`` to the classes ``chosen`` (C,), in that order; in place."""
    last = net.get_submodule("fc")
    assert isinstance(last, nn.Linear)
    kept = nn.Linear(last.in_features, len(chosen), bias=last.bias is not None)
    kept.weight.copy_(last.weight[chosen])
    if last.bias is not None:
        kept.bias.copy_(last.bias[chosen])
    net.set_submodule("fc", kept)


@torch.no_grad()
def fit_classifier(source: State, rows: Tensor, target: State) -> dict[str, Tensor]:
    """The state ``source`` of a trained net with the classes and the bottleneck of the net whose state is ``target``.

    ``rows`` (C,) are the source's classes that become the target's, -1 for classes that it does not know: these keep
    the target's initial weights. Where the target has a bottleneck (:class:`hanmo.nets.resnet.ResNet`) of k features
    and the source has none, both its layers together are the best approximation of rank k of the source's classifier
    (truncated singular value decomposition: Eckart and Young, 1936).
    """
    state = dict(source)
    weight, bias = source["fc.weight"], source["fc.bias"]
    if "bottleneck.weight" in target and "bottleneck.weight" not in source:
        rank = len(target["bottleneck.weight"])
        u, s, v = torch.linalg.svd(weight.double(), full_matrices=False)
        root = s[:rank].sqrt()  # in both factors, so that weights and gradients of both layers have similar sizes
        state["bottleneck.weight"] = (root[:, None] * v[:rank]).to(weight.dtype)
        weight = (u[:, :rank] * root).to(weight.dtype)
    known, place = rows >= 0, rows.clamp(min=0)
    if weight.shape[1:] == target["fc.weight"].shape[1:]:
        initial_weight, initial_bias = target["fc.weight"], target["fc.bias"]
    else:  # the target is narrower and will be pruned from this state, so its own rows do not fit: new ones start at 0
        initial_weight, initial_bias = torch.zeros_like(weight[place]), torch.zeros_like(bias[place])
    state["fc.weight"] = torch.where(known[:, None], weight[place], initial_weight.to(weight))
    state["fc.bias"] = torch.where(known, bias[place], initial_bias.to(bias))
    return state
