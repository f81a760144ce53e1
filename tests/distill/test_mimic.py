"""Squared distances of logits and probabilities, against values computed by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hanmo.distill import build_method
from hanmo.distill.mimic import logit_distance, probability_distance
from hanmo.nets.feature_hooks import Output

LABELS = torch.tensor([0, 1])


def test_logit_regression_is_half_the_squared_distance_of_centred_logits() -> None:
    student = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])  # centred: -1 0 1 and 0 0 0
    teacher = torch.tensor([[5.0, 5.0, 5.0], [3.0, 0.0, 0.0]])  # centred: 0 0 0 and 2 -1 -1
    assert logit_distance(student, teacher).item() == pytest.approx((2 + 6) / 2 / 2)


def test_its_gradient_is_the_distance_itself() -> None:
    student = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    logit_distance(student, torch.tensor([[0.0, 0.0, 3.0]])).backward()
    torch.testing.assert_close(student.grad, torch.tensor([[0.0, 1.0, -1.0]]))


def test_log_probabilities_teach_as_the_logits_behind_them() -> None:
    """An ensemble answers with log-probabilities, whose offset is another for each picture."""
    student, teacher = torch.randn(4, 6), torch.randn(4, 6) * 3
    torch.testing.assert_close(
        logit_distance(student, teacher.log_softmax(-1)), logit_distance(student, teacher), rtol=1e-4, atol=1e-5
    )


def test_model_compression_is_the_squared_distance_of_probabilities() -> None:
    student = torch.tensor([[0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3]]).log() + 7
    teacher = torch.tensor([[0.25, 0.5, 0.25], [1 / 3, 1 / 3, 1 / 3]]).log()
    assert probability_distance(student, teacher).item() == pytest.approx(2 * 0.25**2 / 2)


@pytest.mark.parametrize("name", ["logit-regression", "model-compression"])
def test_labels_do_not_matter(name: str, output: Any) -> None:
    method = build_method(name, {})
    student, teacher = output(1), output(2)
    one = method(student, teacher, torch.tensor([0, 1, 2, 3]))
    assert torch.equal(one, method(student, teacher, torch.tensor([5, 5, 5, 5])))
    assert method(student, Output(student.logits, {}), LABELS).item() == pytest.approx(0, abs=1e-6)
