"""Decoupled KD, DIST and label refinery: what the papers promise of them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from hanmo.distill import build_method
from hanmo.distill.logits import decoupled, dist_losses, dkd_loss, kd_loss, main_classes, pearson_distance
from hanmo.nets.feature_hooks import Output

CLASSES = torch.tensor([0, 3, 2, 3])


def logits(seed: int, scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(4, 5, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 1000), st.floats(0.5, 8), st.floats(0.1, 30))
def test_kd_is_its_two_parts(seed: int, temperature: float, scale: float) -> None:
    """KD = TCKD + (1 - p_t) NCKD, equation 6 of the paper; alpha = beta = 1 counts the second part more."""
    student, teacher = logits(seed, scale), logits(seed + 1, scale)
    of_target, of_others = decoupled(student, teacher, CLASSES, temperature)
    sure = F.softmax(teacher / temperature, -1).gather(1, CLASSES[:, None])[:, 0]
    whole = temperature**2 * (of_target + (1 - sure) * of_others).mean()
    torch.testing.assert_close(whole, kd_loss(student, teacher, temperature), rtol=1e-3, atol=1e-4)
    plain = dkd_loss(student, teacher, CLASSES, alpha=1.0, beta=0.0, temperature=temperature)
    torch.testing.assert_close(plain, temperature**2 * of_target.mean())


def test_a_very_sure_teacher_teaches_finite_gradients() -> None:
    student = logits(1).requires_grad_()
    teacher = 200 * F.one_hot(CLASSES, 5).float()
    loss = dkd_loss(student, teacher, CLASSES, alpha=1.0, beta=8.0, temperature=1.0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()
    assert torch.isfinite(loss)


def test_dkd_of_mixed_pictures_is_the_mixture_of_both_classes() -> None:
    options = {"alpha": 1.0, "beta": 8.0, "temperature": 4.0}
    student, teacher = logits(1), logits(2)
    one, other = CLASSES, CLASSES.flip(0)
    shares = 0.3 * F.one_hot(one, 5) + 0.7 * F.one_hot(other, 5)
    expected = 0.3 * dkd_loss(student, teacher, one, **options) + 0.7 * dkd_loss(student, teacher, other, **options)
    torch.testing.assert_close(dkd_loss(student, teacher, shares, **options), expected)
    whole = dkd_loss(student, teacher, F.one_hot(one, 5).float(), **options)
    torch.testing.assert_close(whole, dkd_loss(student, teacher, one, **options))
    assert [share.tolist() for _, share in main_classes(CLASSES)] == [[1.0] * 4]


@given(st.floats(0.1, 50), st.floats(-10, 10), st.integers(0, 3))
def test_dist_forgets_each_rows_scale_and_offset(scale: float, offset: float, row: int) -> None:
    one, other = logits(1), logits(2)
    moved = one.clone()
    moved[row] = moved[row] * scale + offset
    torch.testing.assert_close(pearson_distance(moved, other), pearson_distance(one, other), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(pearson_distance(other, moved), pearson_distance(one, other), rtol=1e-3, atol=1e-4)


def test_dist_is_pearsons_correlation_both_ways() -> None:
    student, teacher = logits(1), logits(2)
    p, q = F.softmax(student / 2, -1), F.softmax(teacher / 2, -1)
    rows = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(p, q, strict=True)])
    columns = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(p.T, q.T, strict=True)])
    inter, intra = dist_losses(student, teacher, 2.0)
    torch.testing.assert_close(inter, 4 * (1 - rows.mean()))
    torch.testing.assert_close(intra, 4 * (1 - columns.mean()))
    loss = build_method("dist", {"temperature": 2.0, "inter": 3.0, "intra": 0.5})
    torch.testing.assert_close(loss(Output(student, {}), Output(teacher, {}), CLASSES), 3 * inter + 0.5 * intra)


def test_refined_labels_are_the_teachers_probabilities() -> None:
    """The gradient is that of the cross-entropy with them; the value less what no student can lower."""
    student, teacher = logits(1).requires_grad_(), logits(2)
    refinery = build_method("label-refinery", {})
    loss = refinery(Output(student, {}), Output(teacher, {}), CLASSES)
    (gradient,) = torch.autograd.grad(loss, student)
    truth = teacher.softmax(-1)
    (expected,) = torch.autograd.grad(F.cross_entropy(student, truth), student)
    torch.testing.assert_close(gradient, expected)
    lowest = F.cross_entropy(teacher, truth)
    assert loss.item() == pytest.approx(F.cross_entropy(student, truth).item() - lowest.item(), rel=1e-4)
