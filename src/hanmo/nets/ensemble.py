"""An ensemble of nets as one teacher, and nets whose input is resized to the side they were trained for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.nets.tta import VIEWS, transform


class Ensemble(nn.Module):
    """The weighted mean of several nets' log-probabilities: (N, 1, S, S) -> (N, C).

    ``weights``: one a member; without them all members have the same weight.
    ``views``: test-time augmentation, 1, 3 or 5 views of every picture (:data:`hanmo.nets.tta.VIEWS`).

    Members are named ``members.0``, ``members.1`` ..., so feature hooks can read the layers of one of them. A member
    with a buffer ``lacks``, bool (C,), does not know these classes; the mean over the other members is used for them.
    """

    def __init__(self, members: Sequence[nn.Module], weights: Sequence[float] = (), views: int = 1) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.weights = [weight / sum(weights) for weight in weights] or [1 / len(members)] * len(members)
        self.views = VIEWS[views]

    def forward(self, x: Tensor) -> Tensor:
        # The unchanged picture comes last in every list of views, so hooked features are those of that picture.
        views = [transform(x, view) for view in self.views]
        total, total_weight = torch.zeros((), device=x.device), torch.zeros((), device=x.device)
        for weight, member in zip(self.weights, self.members, strict=True):
            # The mean of logarithms is the geometric mean of probabilities: a class that one view or member rules out
            # stays unlikely. float(), because half precision rounds logarithms too coarsely.
            log_probabilities = torch.stack([member(view).float().log_softmax(-1) for view in views]).mean(0)
            lacks = getattr(member, "lacks", None)
            # 0 for the classes that this member lacks. So each class is divided by the weights of those who know it.
            class_weights = weight if lacks is None else weight * ~lacks
            total, total_weight = total + class_weights * log_probabilities, total_weight + class_weights
        return total / total_weight


class PartialEnsemble(nn.Module):
    """A teacher of all classes and one of the ``known`` classes alone: (N, 1, S, S) -> log-probabilities (N, C).

    The first one, ``complete``, says how likely it is that a picture shows a known class. How the known classes share
    this probability is the weighted mean of both teachers' log-probabilities among the known classes: ``partial``
    counts with ``share``, from 0 to 1. The other classes get what ``complete`` says. ``lacks``, bool (C,), are the
    classes of which neither knows anything.
    """

    def __init__(self, complete: nn.Module, partial: nn.Module, known: Tensor, share: float) -> None:
        """``known``: bool (C,). ``partial`` answers with logits of the known classes, in their order."""
        super().__init__()
        self.complete, self.partial, self.share = complete, partial, share
        self.known: Tensor
        self.register_buffer("known", known)
        self.lacks: Tensor
        self.register_buffer("lacks", getattr(complete, "lacks", torch.zeros_like(known)) & ~known)

    def forward(self, x: Tensor) -> Tensor:
        whole = self.complete(x).float().log_softmax(-1)
        inside = whole[:, self.known]
        probability = inside.logsumexp(-1, keepdim=True)
        among = self.share * self.partial(x).float().log_softmax(-1) + (1 - self.share) * (inside - probability)
        answer = whole.clone()
        answer[:, self.known] = among.log_softmax(-1) + probability
        return answer  # type: ignore[no-any-return]


def resize_input(net: nn.Module, side: int) -> nn.Module:
    """The same net, changed in place: it resizes every input (N, 1, S, S) to the ``side`` it was trained for."""
    net.register_forward_pre_hook(lambda module, inputs: (resize(inputs[0], side),))
    return net


def resize(x: Tensor, side: int) -> Tensor:
    """Pictures (N, C, S, S) resized to ``side`` pixels: antialiased bilinear to shrink, bicubic to enlarge."""
    if x.shape[-1] == side:
        return x
    if x.shape[-1] > side:
        return F.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
    return F.interpolate(x, size=(side, side), mode="bicubic")
