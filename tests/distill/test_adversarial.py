"""One backward pass, two opponents."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from hanmo.distill.adversarial import reverse_gradient

LABELS = torch.tensor([0, 1, 2, 5])


def test_a_reversed_gradient_leaves_the_value() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    assert torch.equal(reverse_gradient(x), x)
    (gradient,) = torch.autograd.grad((3 * reverse_gradient(x)).sum(), x)
    torch.testing.assert_close(gradient, torch.full_like(x, -3))


def test_the_judge_learns_to_tell_and_the_student_to_deceive(output: Any, connected: Any) -> None:
    student, teacher = output(1, grad=True), output(2)
    both = connected("adversarial", student, teacher, classify=0.0)
    judge = both.methods[0].discriminator

    def loss_of(logits: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = both(student._replace(logits=logits), teacher, LABELS, torch.zeros(()))[0]
        return loss

    before = loss_of(student.logits)
    own = student.logits - student.logits.mean(1, keepdim=True)
    (honest,) = torch.autograd.grad(F.softplus(judge(own)[0]).mean(), student.logits)
    (reversed_,) = torch.autograd.grad(before, student.logits, retain_graph=True)
    torch.testing.assert_close(reversed_, -honest)
    before.backward()
    deceiving = loss_of((student.logits - 10 * reversed_).detach())
    assert deceiving > before, "a step of the student makes it harder to tell"
    with torch.no_grad():
        for parameter in judge.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
    assert loss_of(student.logits) < before, "a step of the judge makes it easier"


def test_both_learn_the_class(output: Any, connected: Any) -> None:
    """This part is no contest: its gradient reaches the student as it is."""
    student, teacher = output(1, grad=True), output(2)
    with_class = connected("adversarial", student, teacher, classify=2.0)
    without = connected("adversarial", student, teacher, classify=0.0)
    losses = [both(student, teacher, LABELS, torch.zeros(()))[0] for both in (with_class, without)]
    grads = [torch.autograd.grad(loss, student.logits)[0] for loss in losses]
    own = student.logits - student.logits.mean(1, keepdim=True)
    (expected,) = torch.autograd.grad(
        2 * F.cross_entropy(with_class.methods[0].discriminator(own)[1], LABELS), student.logits
    )
    torch.testing.assert_close(grads[0] - grads[1], expected)


def test_an_offset_of_logits_gives_nobody_away(output: Any, connected: Any) -> None:
    student, teacher = output(1), output(2)
    both = connected("adversarial", student, teacher)
    expected, _ = both(student, teacher, LABELS, torch.zeros(()))
    moved, _ = both(student._replace(logits=student.logits + 7), teacher, LABELS, torch.zeros(()))
    torch.testing.assert_close(moved, expected)
