"""Gives new classes of a trained net first weights, from the features of their pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hanmo.normalize import standardise
from hanmo.train.augment import unchanged
from hanmo.train.batches import DeviceData

_PICTURES = 500
"""At most so many pictures of known classes are read: enough for two means; more takes seconds on a CPU."""


@torch.no_grad()
def imprint(net: nn.Module, data: DeviceData, new: Tensor) -> None:
    """Set the rows of the classifier ``fc`` for the classes ``new`` (K,) from the samples of ``data``; in place.

    A row points from the mean feature of the known classes to that of the new class. Its logit is there as high as
    those of known classes are for their own pictures, and average for the mean picture. So the row reads new pictures
    before the first step, and takes few of other classes. Imprinting: Qi, Brown and Lowe, "Low-Shot Learning with
    Imprinted Weights", CVPR 2018; their features and rows have unit length, these have not. Classes without samples,
    and all of them where ``data`` has no sample of a known class, keep the rows that they have.
    """
    last = net.get_submodule("fc")
    assert isinstance(last, nn.Linear)
    is_new = torch.isin(data.labels, new)
    # Spread over all known classes: packs may be in the order of classes.
    known = torch.nonzero(~is_new)[:, 0]
    known = known[:: max(1, len(known) // _PICTURES)]
    if not len(known):
        return
    features = _features(net, data, known)
    center, labels = features.mean(0), data.labels[known]
    own_logits = (features * last.weight[labels]).sum(1) + last.bias[labels]
    for number in new.tolist():
        chosen = torch.nonzero(data.labels == number)[:, 0]
        if len(chosen):
            mean = _features(net, data, chosen).mean(0)
            direction = mean - center
            missing = own_logits.mean() - (last.weight[number] @ mean + last.bias[number])
            row = missing / direction.square().sum() * direction
            last.weight[number] += row
            last.bias[number] -= row @ center


def _features(net: nn.Module, data: DeviceData, chosen: Tensor) -> Tensor:
    """The inputs of ``fc`` for these samples, (n, F); the net is left as it was."""
    caught: list[Tensor] = []
    handle = net.get_submodule("fc").register_forward_pre_hook(lambda module, inputs: caught.append(inputs[0]))
    training = net.training
    net.eval()
    for part in torch.split(chosen, 100):
        net(standardise(unchanged(data.squares(part))).to(memory_format=torch.channels_last))
    net.train(training)
    handle.remove()
    return torch.cat(caught)
