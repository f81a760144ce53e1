"""Distral: a student of each domain, and the student of all as their centre."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.distill.layers import not_negative, total
from hanmo.distill.method import Method, register_method
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output


def distral_loss(own: Tensor, centre: Tensor, labels: Tensor, kl: float, entropy: float) -> Tensor:
    """``CE(own, labels) + kl KL(own || centre) - entropy H(own)`` of logits (N, C), mean over pictures."""
    own_log_probs, centre_log_probs = own.float().log_softmax(-1), centre.float().log_softmax(-1)
    probs = own_log_probs.exp()
    apart = (probs * (own_log_probs - centre_log_probs)).sum(-1).mean()
    spread = -(probs * own_log_probs).sum(-1).mean()
    return F.cross_entropy(own.float(), labels) + kl * apart - entropy * spread


@register_method("distral")
class Distral(Method):
    """Distral: each domain has a student of its own, held near the student that is kept, their centre.

    Loss: the mean over domains d of ``CE(z_d, y) + kl KL(p_d || p_s) - entropy H(p_d)``, for the pictures of d alone;
    z_d and p_d are logits and probabilities of the student of d, p_s the probabilities of the centre, H the entropy.
    Both sides of the KL are trained: the students of the domains stay near the centre, and the centre learns from all.

    Teh et al., "Distral: Robust Multitask Reinforcement Learning", NeurIPS 2017, with ``label_weight = 0``: the centre
    learns from the students of the domains alone. The paper is about rewards; that cross-entropy on the labels takes
    their place is our reading, and so are ``kl`` 1 and ``entropy`` 0.1. Domains are the sources of ``data.train`` and
    ``data.domains``, for example drawn strokes, fonts and real samples; ``domains`` is their number. The students of
    the domains are nets of the same architecture, belong to the method and are not kept.
    """

    weight = 1.0
    needs_teacher = False
    domains = 2

    def __init__(self, *, domains: int = 2, kl: float = 1.0, entropy: float = 0.1) -> None:
        super().__init__()
        not_negative(self.name, kl=kl, entropy=entropy)
        if domains < 2:
            raise ConfigError(f"{self.name}: domains {domains}: a centre needs at least 2")
        self.domains, self.kl, self.entropy = domains, kl, entropy

    def attach(self, student: nn.Module, teacher: nn.Module | None, build_student: Callable[[], nn.Module]) -> None:
        self.students = nn.ModuleList(build_student() for _ in range(self.domains))

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        assert student.pictures is not None
        # A batch holds the domains one after the other, each with the same number of rows (hanmo.train.domains). So
        # each student computes its own pictures only, and all together cost as much as one student of all.
        parts = (tensor.tensor_split(self.domains) for tensor in (student.pictures, student.logits, labels))
        losses = [
            distral_loss(own(pictures), centre, of, self.kl, self.entropy)
            for own, pictures, centre, of in zip(self.students, *parts, strict=True)
        ]
        return total(losses) / self.domains
