"""Minimum classification error: nearly the share of errors, and steepest at the border between classes."""

from __future__ import annotations

import pytest
import torch

from hanmo.distill.mce import mce_loss


def test_a_steep_slope_counts_errors() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(200, 7, dtype=torch.float64), torch.randint(7, (200,))
    errors = (logits.argmax(1) != labels).double().mean().item()
    assert mce_loss(logits.float(), labels, 1e4, 50.0).item() == pytest.approx(errors, abs=0.02)


def test_the_measure_is_the_formula() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.5]])
    measure = -1.0 + 0.5 * torch.log((torch.tensor([4.0, 1.0])).exp().mean())
    torch.testing.assert_close(mce_loss(logits, torch.tensor([0]), 3.0, 2.0), torch.sigmoid(3 * measure))


def test_pictures_far_from_the_border_give_no_gradient() -> None:
    logits = torch.tensor([[9.0, 0.0], [0.1, 0.0], [-9.0, 0.0]], requires_grad=True)
    mce_loss(logits, torch.zeros(3, dtype=torch.long), 1.0, 1.0).backward()
    assert logits.grad is not None
    right, near, wrong = logits.grad.abs().sum(1).tolist()
    assert near > 100 * max(right, wrong)
