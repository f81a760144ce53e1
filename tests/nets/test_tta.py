"""Other looks at the same pictures."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.nets.ensemble import Ensemble
from hanmo.nets.feature_hooks import FeatureHooks
from hanmo.nets.tta import VIEWS, View, transform
from hanmo.normalize import MEAN, STD

PAPER = -MEAN / STD


def standing_bar() -> Tensor:
    """One square with a bar in the middle, from top to bottom."""
    x = torch.full((1, 1, 33, 33), PAPER)
    x[..., 16] = 3.0
    return x


def middle_of_row(x: Tensor, row: int) -> float:
    ink = x[0, 0, row] - PAPER
    return float((ink * torch.arange(len(ink))).sum() / ink.sum())


def test_the_picture_itself_is_the_last_view_and_is_not_touched() -> None:
    x = torch.randn(2, 1, 16, 16)
    for count, views in VIEWS.items():
        assert len(views) == len(set(views)) == count
        assert transform(x, views[-1]) is x


def test_a_shear_slants_and_a_scale_grows() -> None:
    x = standing_bar()
    slanted = transform(x, View(shear=0.3))
    top, middle, bottom = (middle_of_row(slanted, row) for row in (2, 16, 30))
    assert middle == pytest.approx(16, abs=1e-3)
    assert top - middle == pytest.approx(0.3 * 14, abs=0.05)
    assert bottom - middle == pytest.approx(-0.3 * 14, abs=0.05)
    small = transform(x, View(scale=0.5))
    assert (small[0, 0, :7] - PAPER).abs().max() < 1e-5, "paper comes in from outside"
    assert small[0, 0, 16].max() > 0


@pytest.mark.parametrize("view", [v for v in VIEWS[5] if v != View()])
def test_a_view_is_the_affine_map_that_torch_knows(view: View) -> None:
    x = torch.randn(2, 1, 24, 24)
    matrix = torch.tensor([[1 / view.scale, view.shear, 0.0], [0.0, 1 / view.scale, 0.0]]).expand(2, 2, 3)
    grid = F.affine_grid(matrix, [2, 1, 24, 24], align_corners=False)
    expected = F.grid_sample(x - PAPER, grid, align_corners=False) + PAPER
    torch.testing.assert_close(transform(x, view), expected, rtol=1e-4, atol=1e-4)


def test_an_ensemble_says_the_mean_of_its_views_and_shows_features_of_the_picture() -> None:
    torch.manual_seed(0)
    nets = [nn.Sequential(nn.Flatten(), nn.Linear(256, 5)) for _ in range(2)]
    x = torch.randn(3, 1, 16, 16)
    ensemble = FeatureHooks(Ensemble(nets, (3.0, 1.0), views=3), ["members.1.1"])
    logits, features, _ = ensemble(x)
    each = [torch.stack([net(transform(x, view)).log_softmax(1) for view in VIEWS[3]]).mean(0) for net in nets]
    torch.testing.assert_close(logits, 0.75 * each[0] + 0.25 * each[1])
    torch.testing.assert_close(features["members.1.1"], nets[1](x))
