"""Hints, selectivity, flow, patience and review: what the papers promise of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.distill.features import at_loss, flow, nst_loss, pkd_loss
from hanmo.distill.layers import pooled, same_size
from hanmo.distill.review import Fusion, hierarchical_loss

LABELS = torch.tensor([0, 1, 2, 5])


def maps(seed: int, *shape: int) -> Tensor:
    return torch.randn(*(shape or (3, 6, 4, 4)), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("loss", [nst_loss, at_loss])
def test_the_order_of_channels_is_no_matter(loss: Any) -> None:
    student, teacher = maps(1), maps(2)
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    torch.testing.assert_close(loss(student[:, order], teacher), loss(student, teacher))
    torch.testing.assert_close(loss(student, teacher[:, order]), loss(student, teacher))
    torch.testing.assert_close(loss(student.repeat(1, 2, 1, 1), teacher), loss(student, teacher))
    assert loss(student[:, order], student).item() == pytest.approx(0, abs=1e-7)


def test_nst_is_the_discrepancy_of_its_kernel() -> None:
    student, teacher = maps(1), maps(2, 3, 9, 4, 4)
    s, t = (F.normalize(f.flatten(2), dim=2) for f in (student, teacher))

    def mean_kernel(x: Tensor, y: Tensor) -> Tensor:
        return torch.bmm(x, y.transpose(1, 2)).square().mean((1, 2))

    expected = (mean_kernel(s, s) + mean_kernel(t, t) - 2 * mean_kernel(s, t)).mean()
    torch.testing.assert_close(nst_loss(student, teacher), expected)
    assert torch.isfinite(nst_loss(torch.zeros_like(student), teacher))


def test_flow_is_a_mean_of_products() -> None:
    first, second = maps(1, 2, 3, 4, 4), maps(2, 2, 5, 2, 2)
    small = F.avg_pool2d(first, 2)
    expected = torch.stack(
        [
            sum(small[n, :, i, j, None] * second[n, None, :, i, j] for i in range(2) for j in range(2)) / 4
            for n in (0, 1)
        ]
    )
    torch.testing.assert_close(flow(first, second), expected)


def test_connectors_are_only_made_where_widths_differ(output: Any, connected: Any) -> None:
    same, wider = output(1), output(2, channels=9)
    for name in ("fsp", "pkd"):
        assert list(connected(name, same, same).parameters()) == []
        assert len(list(connected(name, same, wider).parameters())) >= 3
    (regressor, norm) = connected("fitnet", same, wider).methods[0].connectors[0]
    assert isinstance(norm, nn.BatchNorm2d)
    assert (regressor.in_channels, regressor.out_channels, regressor.kernel_size) == (5, 10, (1, 1))


def test_a_hint_can_be_learnt(output: Any, connected: Any) -> None:
    student, teacher = output(1, channels=30), output(2)
    hint = connected("fitnet", student, teacher)
    optimizer = torch.optim.SGD(hint.parameters(), lr=1.0)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss, _ = hint(student, teacher, LABELS, torch.zeros(()))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_patience_forgets_length() -> None:
    student, teacher = maps(1, 4, 8), maps(2, 4, 8)
    torch.testing.assert_close(pkd_loss(3 * student, teacher / 7), pkd_loss(student, teacher))
    cosine = F.cosine_similarity(student, teacher)
    torch.testing.assert_close(pkd_loss(student, teacher), ((2 - 2 * cosine) / 8).mean())


def test_shapes_are_brought_together() -> None:
    wide, narrow = same_size(maps(1, 2, 3, 8, 4), maps(2, 2, 5, 4, 6))
    assert (wide.shape[2:], narrow.shape[2:]) == ((4, 4), (4, 4))
    assert pooled(maps(1, 2, 3, 4, 4)).shape == (2, 3)
    assert pooled(maps(1, 2, 9, 3)).shape == (2, 3)
    assert pooled(maps(1, 2, 3)).shape == (2, 3)


def test_the_hierarchy_weighs_to_one() -> None:
    """Maps that differ by a constant differ as much on every level."""
    ones = torch.ones(2, 3, 8, 8)
    torch.testing.assert_close(hierarchical_loss(ones, 3 * ones), torch.tensor(4.0))
    torch.testing.assert_close(hierarchical_loss(ones[..., :1, :1], 3 * ones[..., :1, :1]), torch.tensor(4.0))
    lines = torch.ones(1, 1, 2, 2)
    lines[..., 0] = -1  # whose mean is 0
    torch.testing.assert_close(hierarchical_loss(lines, 0 * lines), torch.tensor(2 / 3))


def test_fusion_weighs_its_two_maps_place_by_place() -> None:
    fusion = Fusion(3, 4, 5, deepest=False).eval()
    assert fusion.attend is not None
    x, deeper = maps(1, 2, 3, 8, 8), maps(2, 2, 4, 4, 4)
    guess, fused = fusion(x, deeper)
    assert (guess.shape, fused.shape) == ((2, 5, 8, 8), (2, 4, 8, 8))
    nn.init.zeros_(fusion.attend.weight)
    with torch.no_grad():
        fusion.attend.bias.copy_(torch.tensor([-100.0, 100.0]))  # type: ignore[union-attr]
    torch.testing.assert_close(fusion(x, deeper)[1], F.interpolate(deeper, size=(8, 8)))


def test_review_reaches_from_every_layer_to_the_shallowest(output: Any, connected: Any) -> None:
    student, teacher = output(1, grad=True), output(2, channels=9, size=16)
    review = connected("review", student, teacher)
    loss, _ = review(student, teacher, LABELS, torch.zeros(()))
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(loss, list(student.features.values())))
    assert [f.attend is None for f in review.methods[0].fusions] == [True, False, False, False]
