"""Without a teacher: the virtual one, one's own depth, a peer."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from hanmo.distill.alone import virtual_teacher
from hanmo.distill.logits import kd_loss

LABELS = torch.tensor([0, 1, 2, 5])


def test_the_virtual_teacher_is_sure_and_soft() -> None:
    p = virtual_teacher(LABELS, 6, 0.99, 1.0).exp()
    torch.testing.assert_close(p.sum(1), torch.ones(4))
    torch.testing.assert_close(p.gather(1, LABELS[:, None])[:, 0], torch.full((4,), 0.99))
    torch.testing.assert_close(p[0, 1:], torch.full((5,), 0.002))
    soft = virtual_teacher(LABELS, 6, 0.99, 20.0).exp()
    torch.testing.assert_close(soft, p ** (1 / 20) / (p ** (1 / 20)).sum(1, keepdim=True))
    shares = F.one_hot(LABELS, 6).float()
    torch.testing.assert_close(virtual_teacher(shares, 6, 0.99, 20.0).exp(), soft)
    mixed = virtual_teacher(0.5 * shares + 0.5 * shares.flip(0), 6, 0.9, 1.0).exp()
    torch.testing.assert_close(mixed[0, [0, 5]], torch.full((2,), 0.46))


def test_a_peer_learns_from_the_student_and_the_student_from_it(output: Any, connected: Any) -> None:
    student = output(1, grad=True)
    both = connected("mutual", student, student)
    peer = both.methods[0].peer.eval()
    loss, _ = both(student, student, LABELS, torch.zeros(()))
    said = peer(student.pictures)
    own = student.logits.detach()
    expected = kd_loss(own, said, 1.0) + kd_loss(said, own, 1.0) + F.cross_entropy(said, LABELS)
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, student.logits, retain_graph=True)
    (only,) = torch.autograd.grad(kd_loss(student.logits, said.detach(), 1.0), student.logits)
    torch.testing.assert_close(gradient, only)
    grads = torch.autograd.grad(loss, list(peer.parameters()))
    alone = torch.autograd.grad(kd_loss(said, own, 1.0) + F.cross_entropy(said, LABELS), list(peer.parameters()))
    for one, other in zip(grads, alone, strict=True):
        torch.testing.assert_close(one, other)


def test_shallow_layers_learn_from_the_deepest_and_not_the_reverse(output: Any, connected: Any) -> None:
    student = output(1, grad=True)
    both = connected("self", student, student)
    loss, _ = both(student, student, LABELS, torch.zeros(()))
    loss.backward()
    assert [student.features[layer].grad is not None for layer in student.features] == [True, True, True, False]
    assert student.logits.grad is None
