"""RKD, SP and CC: relations that rotation, scale and the like leave alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hanmo.distill import build_method
from hanmo.distill.relations import correlations, rkd_losses, sp_loss
from hanmo.nets.feature_hooks import Output


def embeddings(seed: int, count: int = 5, width: int = 7) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def rotation(seed: int, width: int = 7) -> torch.Tensor:
    return torch.linalg.qr(embeddings(seed, width, width))[0]


@given(st.integers(0, 100), st.floats(0.1, 50), st.floats(-3, 3))
def test_rkd_forgets_place_rotation_and_scale(seed: int, scale: float, offset: float) -> None:
    student, teacher = embeddings(1), embeddings(2, width=3)
    moved = scale * (student @ rotation(seed)) + offset
    for one, other in zip(rkd_losses(moved, teacher), rkd_losses(student, teacher), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    for loss in rkd_losses(moved, student):
        assert loss.item() < 1e-6


def test_rkd_is_about_distances_and_angles() -> None:
    """A right and an even triangle; the distances of each are over their mean, cosines at equal vertices count 0."""
    right = torch.tensor([[0.0, 0], [3, 0], [0, 4]])
    even = torch.tensor([[0.0, 0], [1, 0], [0.5, 3**0.5 / 2]])
    distance, angle = rkd_losses(right, even)
    expected = 2 * sum(0.5 * (d / 4 - 1) ** 2 for d in (3, 4, 5)) / 9
    torch.testing.assert_close(distance, torch.tensor(expected))
    expected = 2 * sum(0.5 * (cosine - 0.5) ** 2 for cosine in (0, 3 / 5, 4 / 5)) / 27
    torch.testing.assert_close(angle, torch.tensor(expected))


def slope(student: torch.Tensor) -> torch.Tensor:
    """The gradient of both losses of RKD, (N, C), against one fixed teacher."""
    student = student.clone().requires_grad_()
    distance, angle = rkd_losses(student, embeddings(2, len(student)))
    return torch.autograd.grad(distance + angle, student)[0]


@pytest.mark.parametrize("apart", [0.0, 1e-7, 1e-4, 1e-2])
def test_rkd_has_a_bounded_slope_where_pictures_are_embedded_alike(apart: float) -> None:
    student = embeddings(1, 4)
    usual = slope(student).norm()
    student[1] = student[0] + apart * embeddings(5, 1)[0]
    assert torch.isfinite(slope(student)).all()
    assert slope(student).norm() < 20 * usual


def test_rkd_counts_equal_pictures_into_the_mean_distance() -> None:
    """Two equal pictures and one at 3 from both: the mean of the three pairs is 2."""
    student = torch.tensor([[0.0, 0], [0, 0], [3, 0]])
    even = torch.tensor([[0.0, 0], [1, 0], [0.5, 3**0.5 / 2]])
    distance, angle = rkd_losses(student, even)
    torch.testing.assert_close(distance, torch.tensor(2 * (0.5 + 2 * 0.5 * 0.5**2) / 9))
    # The cosine at the third picture is 1 instead of 0.5. At the two others one side has no direction: its cosines are
    # 0 instead of 0.5 with the other side, and 0 instead of 1 with itself.
    torch.testing.assert_close(angle, torch.tensor((3 * 2 * 0.5 * 0.5**2 + 2 * 0.5) / 27))


def test_rkd_forgets_even_a_tiny_scale() -> None:
    """The squares of such distances are below what was once added to keep the root away from 0."""
    student, teacher = embeddings(1), embeddings(2, width=3)
    for one, other in zip(rkd_losses(1e-7 * student, teacher), rkd_losses(student, teacher), strict=True):
        torch.testing.assert_close(one, other)


def test_rkd_bears_a_student_that_embeds_all_pictures_alike() -> None:
    assert torch.isfinite(slope(torch.ones(4, 7))).all()


def test_rkd_looks_at_the_first_pictures() -> None:
    student, teacher = (Output(torch.zeros(6, 2), {"layer4": embeddings(seed, 6)}) for seed in (1, 2))
    labels = torch.zeros(6, dtype=torch.int64)
    few = build_method("rkd", {"pictures": 4})
    distance, angle = rkd_losses(student.features["layer4"][:4], teacher.features["layer4"][:4])
    torch.testing.assert_close(few(student, teacher, labels), 25 * distance + 50 * angle)
    student.features["layer4"][4:] = 0
    torch.testing.assert_close(few(student, teacher, labels), 25 * distance + 50 * angle)


def test_sp_forgets_the_order_of_channels_and_each_nets_scale() -> None:
    student, teacher = torch.rand(4, 6, 2, 2), torch.rand(4, 3, 4, 4)
    expected = sp_loss(student, teacher)
    torch.testing.assert_close(sp_loss(student[:, [3, 1, 5, 0, 4, 2]], teacher), expected)
    torch.testing.assert_close(sp_loss(9 * student, teacher / 9), expected)
    gram = student.flatten(1) @ student.flatten(1).T
    other = teacher.flatten(1) @ teacher.flatten(1).T
    gram, other = (g / g.norm(dim=1, keepdim=True) for g in (gram, other))
    torch.testing.assert_close(expected, (gram - other).norm() ** 2 / 16)


def test_cc_is_nearly_a_gaussian_of_unit_vectors() -> None:
    one = embeddings(1)
    unit = one / one.norm(dim=1, keepdim=True)
    gaussian = torch.exp(-0.4 * torch.cdist(unit, unit) ** 2)
    torch.testing.assert_close(correlations(one, 0.4, 2), gaussian, rtol=0, atol=0.06)
    torch.testing.assert_close(correlations(one, 0.4, 8), gaussian, rtol=0, atol=1e-4)
    turned = one @ rotation(3) * torch.rand(5, 1).add(0.5)
    torch.testing.assert_close(correlations(turned, 0.4, 2), correlations(one, 0.4, 2))
