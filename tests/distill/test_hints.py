"""Neurons chosen by the Fisher score, hints weighted by certainty, classes weighted by number."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from hanmo.distill import build_method
from hanmo.distill.hints import ClassSums, certainties, fisher_scores, weighted_cross_entropy
from hanmo.nets.feature_hooks import Output

LABELS = torch.tensor([0, 0, 1, 1])


def scores(features: torch.Tensor, labels: torch.Tensor, classes: int = 2) -> torch.Tensor:
    sums = ClassSums(classes)
    for part in (slice(0, 1), slice(1, None)):  # in two batches
        sums.add(features[part], labels[part])
    return fisher_scores(sums)


def test_fisher_score_is_variance_between_over_variance_within() -> None:
    """Class means 1 and 5 around 3, a spread of 1 within each: 4 x 2² over 4 x 1²."""
    features = torch.tensor([[0.0, 7, 1], [2, 7, 2], [4, 7, 1], [6, 7, 2]])
    torch.testing.assert_close(scores(features, LABELS), torch.tensor([4.0, 0, 0], dtype=torch.float64))


def test_fisher_score_of_classes_of_different_number_and_of_none() -> None:
    """Three samples at 0, 0 and 3 (mean 1, squares 6) and one at 5; the mean of all is 2; the third class is empty."""
    features = torch.tensor([[0.0], [0], [3], [5]])
    between, within = 3 * 1 + 1 * 9, 6
    assert scores(features, torch.tensor([0, 0, 0, 1]), 3).item() == pytest.approx(between / within)


def test_a_feature_that_names_the_class_without_spread_is_the_best() -> None:
    features = torch.tensor([[1.0, 0], [1, 2], [5, 4], [5, 6]])
    best, other = scores(features, LABELS)
    assert math.isfinite(best)
    assert best > 1e6 > other


def with_maps(features: torch.Tensor) -> Output:
    """Pooled features (N, F) as maps of layer4."""
    return Output(torch.zeros(len(features), 2), {"layer4": features[:, :, None, None].expand(-1, -1, 3, 3)})


def test_only_the_best_neurons_are_predicted() -> None:
    features = torch.tensor([[7.0, 0, 1, 0], [7, 2, 2, 0], [7, 4, 1, 9], [7, 6, 2, 9]])
    method: Any = build_method("neurons", {"share": 0.5})
    teacher = with_maps(features)
    method.connect(with_maps(torch.rand(4, 3)), teacher)
    method.survey([(with_maps(features[:2]), LABELS[:2]), (with_maps(features[2:]), LABELS[2:])])
    assert method.chosen_0.tolist() == [1, 3]
    with torch.no_grad():
        method.connectors[0].weight.zero_()
        method.connectors[0].bias.copy_(torch.tensor([3.0, 4.5]))
    expected = 0.5 * (features[:, [1, 3]] - torch.tensor([3.0, 4.5])).square().sum(1).mean()
    loss = method(with_maps(torch.rand(4, 3)), teacher, LABELS)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        method(with_maps(torch.rand(4, 3)), with_maps(features * torch.tensor([9, 1, 9, 1])), LABELS), loss
    )


def test_certainty_falls_with_the_variance_over_views() -> None:
    one, other = torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[1.0, 2.0, 6.0]])
    mean, weight = certainties([one, other])  # variances 0, 1 and 4, whose mean is 5/3
    torch.testing.assert_close(mean, torch.tensor([[1.0, 1, 4]]))
    torch.testing.assert_close(weight, torch.tensor([[1.0, (5 / 3) / (1 + 5 / 3), (5 / 3) / (4 + 5 / 3)]]))
    assert torch.equal(certainties([one])[1], torch.ones(1, 3))
    assert torch.equal(certainties([one, one])[1], torch.ones(1, 3))


def test_a_hint_counts_less_where_views_disagree() -> None:
    method: Any = build_method("trusted-hint", {})
    t = torch.tensor([[1.0, 1.0]])
    teacher = with_maps(t)
    teacher.features.update({"layer4@0": torch.tensor([[1.0, 3]]), "layer4@1": torch.tensor([[1.0, -1]])})
    method.connect(with_maps(torch.rand(1, 2)), teacher)
    with torch.no_grad():
        method.connectors[0].weight.copy_(torch.eye(2))
        method.connectors[0].bias.zero_()
    certain = method(with_maps(torch.tensor([[2.0, 1.0]])), teacher, LABELS[:1])
    doubtful = method(with_maps(torch.tensor([[1.0, 2.0]])), teacher, LABELS[:1])
    v, usual = 8 / 3, 4 / 3  # of the second feature; the mean of 0 and v
    assert certain.item() == pytest.approx(1 / 2)
    assert doubtful.item() == pytest.approx(usual / (v + usual) / 2)


def test_class_weights_enter_a_soft_cross_entropy() -> None:
    teacher = torch.tensor([[0.5, 0.25, 0.25]]).log() + 3
    student = torch.tensor([[0.2, 0.3, 0.5]]).log()
    weights = torch.tensor([2.0, 1.0, 0.0])
    expected = -(2 * 0.5 * math.log(0.2) + 0.25 * math.log(0.3))
    assert weighted_cross_entropy(student, teacher, weights).item() == pytest.approx(expected)
    ones = torch.ones(3)
    torch.testing.assert_close(
        weighted_cross_entropy(student, teacher, ones), F.cross_entropy(student, teacher.softmax(-1))
    )


def test_rare_classes_weigh_more(output: Any) -> None:
    labels = [torch.tensor([0, 0, 0, 0, 1]), torch.tensor([1, 2, 3, 3, 4])]
    for balance, expected in ((1.0, [1 / 4, 1 / 2, 1, 1 / 2, 1, 1]), (0.0, [1.0] * 6)):
        method: Any = build_method("weighted-kd", {"balance": balance})
        method.connect(output(1), output(2))
        method.survey((output(2), part) for part in labels)  # the sixth class is not met
        wanted = torch.tensor(expected)
        torch.testing.assert_close(method.class_weights, wanted / wanted.mean())
