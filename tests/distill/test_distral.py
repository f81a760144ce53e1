"""Distral: each domain's student learns from its own pictures, and the centre from all students."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from hanmo.distill import build_method
from hanmo.distill.distral import distral_loss
from hanmo.nets.feature_hooks import Output


def test_the_loss_of_one_domain() -> None:
    own = torch.tensor([[0.75, 0.25]]).log()
    centre = torch.tensor([[0.5, 0.5]]).log()
    labels = torch.tensor([1])
    apart = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    loss = distral_loss(own, centre, labels, kl=2.0, entropy=0.5)
    assert loss.item() == pytest.approx(-math.log(0.25) + 2 * apart - 0.5 * entropy)
    assert distral_loss(own, own, labels, kl=9.0, entropy=0.0).item() == pytest.approx(-math.log(0.25))


def connected(**options: Any) -> Any:
    method: Any = build_method("distral", {"domains": 3, **options})
    method.attach(nn.Identity(), None, lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 5)))
    return method


def test_each_student_learns_from_its_own_third_of_the_batch() -> None:
    method = connected()
    logits = torch.randn(6, 5, requires_grad=True)
    pictures = torch.randn(6, 1, 2, 2)
    student = Output(logits, {}, pictures)
    method(student, student, torch.arange(6) % 5).backward()
    before = [own[1].weight.grad.clone() for own in method.students]
    method.zero_grad()
    changed = pictures.clone()
    changed[2:4] += 1  # of the second domain
    method(Output(logits, {}, changed), student, torch.arange(6) % 5).backward()
    same = [torch.equal(own[1].weight.grad, grad) for own, grad in zip(method.students, before, strict=True)]
    assert same == [True, False, True]


def test_the_centre_moves_towards_the_students() -> None:
    """With the students as they are, the best centre of equal pictures is the mean of the students' probabilities."""
    method = connected(kl=1.0, entropy=0.0).requires_grad_(False)
    pictures = torch.ones(3, 1, 2, 2)
    centre = torch.zeros(1, 5, requires_grad=True)
    optimizer = torch.optim.SGD([centre], lr=2.0)
    for _ in range(300):
        optimizer.zero_grad()
        method(
            Output(centre.expand(3, 5), {}, pictures), Output(centre, {}), torch.zeros(3, dtype=torch.long)
        ).backward()
        optimizer.step()
    expected = torch.stack([own(pictures[:1]).softmax(-1) for own in method.students]).mean(0)
    torch.testing.assert_close(centre.softmax(-1), expected, rtol=1e-3, atol=1e-4)
