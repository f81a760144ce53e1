"""Learning without forgetting: the net before the training is the teacher."""

from __future__ import annotations

from typing import Any

import torch

from hanmo.distill import Distillation, build_method
from hanmo.distill.logits import kd_loss
from hanmo.nets.feature_hooks import FeatureHooks
from hanmo.nets.registry import NetConfig, build_net

LABELS = torch.tensor([0, 1, 2, 5])


def attached() -> tuple[FeatureHooks, Distillation, torch.Tensor]:
    torch.manual_seed(0)
    student = FeatureHooks(build_net(NetConfig(width=8), 6, 16), ("layer2",))
    both = Distillation([("lwf", 1.0, build_method("lwf", {}))], label_weight=0.0)
    both.attach(student.net, None, lambda: student.net)
    both.train()
    return student, both, torch.randn(4, 1, 16, 16)


def test_nothing_is_lost_before_the_first_step() -> None:
    student, both, pictures = attached()
    student.net.eval()
    before = student(pictures)
    loss, _ = both(before, before, LABELS, torch.zeros(()))
    assert loss.item() < 1e-5
    other = before._replace(logits=before.logits + 3.0 * torch.eye(6)[LABELS])
    loss, _ = both(other, other, LABELS, torch.zeros(()))
    torch.testing.assert_close(loss, kd_loss(other.logits, before.logits, 2.0))
    assert loss.item() > 1e-2


def test_the_net_before_stays_as_it_was() -> None:
    student, both, pictures = attached()
    kept: Any = both.methods[0].before
    state = {name: tensor.clone() for name, tensor in kept.state_dict().items()}
    student.net.train()
    optimizer = torch.optim.SGD(student.net.parameters(), lr=0.1)
    for _ in range(3):
        output = student(pictures)
        loss, _ = both(output, output, LABELS, torch.nn.functional.cross_entropy(output.logits, LABELS))
        assert set(output.features) == {"layer2"}
        loss.backward()
        optimizer.step()
    assert not torch.equal(student.net.fc.weight, kept.fc.weight)
    assert all(torch.equal(tensor, state[name]) for name, tensor in kept.state_dict().items())
    assert not any(parameter.requires_grad for parameter in kept.parameters())
