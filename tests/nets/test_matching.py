"""The deep matching network: its features, its loss, its memory, and that it reads characters it was never shown."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from hanmo.errors import ConfigError
from hanmo.nets.matching import (
    DIRECTIONS,
    MatchingConfig,
    MatchingNet,
    TemplateMemory,
    matching_loss,
    prototypes_of,
    turned,
)
from hanmo.nets.registry import NetConfig, count_parameters

SIDE, FEATURES = 32, 16
STEPS, RATE = 180, 1e-2
BRANCH = NetConfig(name="resnet18", width=8, depths=(1, 1, 1, 1), pool="weighted")


def small(*, shared: bool = True) -> MatchingNet:
    torch.manual_seed(0)
    return MatchingNet(MatchingConfig(branch=BRANCH, features=FEATURES, shared=shared), SIDE)


def pictures(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def units(count: int, seed: int = 0) -> Tensor:
    vectors = torch.randn(count, FEATURES, generator=torch.Generator().manual_seed(seed))
    return nn.functional.normalize(vectors, dim=1)


@pytest.mark.parametrize("shared", [True, False])
def test_logits_are_scaled_cosines_of_unit_vectors(shared: bool) -> None:
    net = small(shared=shared).eval()
    logits = net(pictures(5), pictures(3, seed=1))
    one, other = net.embed(pictures(5)), net.embed_templates(pictures(3, seed=1))
    assert logits.shape == (5, 3)
    torch.testing.assert_close(one.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(logits, net.scale * (one @ other.T))


def test_a_shared_branch_is_one_net_and_two_branches_are_two() -> None:
    shared, apart = small(), small(shared=False)
    scale = 1
    assert count_parameters(apart) - scale == 2 * (count_parameters(shared) - scale)
    assert torch.equal(shared.eval().embed(pictures(2)), shared.embed_templates(pictures(2)))
    assert not torch.allclose(apart.eval().embed(pictures(2)), apart.embed_templates(pictures(2)))


@pytest.mark.parametrize("shared", [True, False])
def test_both_kinds_at_once_are_what_they_are_one_by_one(shared: bool) -> None:
    net = small(shared=shared).eval()
    handwriting, templates = net.embed_both(pictures(4), pictures(3, seed=1))
    torch.testing.assert_close(handwriting, net.embed(pictures(4)))
    torch.testing.assert_close(templates, net.embed_templates(pictures(3, seed=1)))


def test_the_learnt_scale_is_bounded() -> None:
    net = small()
    with torch.no_grad():
        net.log_scale.fill_(50)
    assert net.scale.item() == 100


def test_too_few_features_are_refused() -> None:
    with pytest.raises(ConfigError, match="features = 4"):
        MatchingConfig(features=4)


def test_the_loss_is_that_of_a_softmax_over_templates() -> None:
    handwriting, templates, labels = units(4), units(6, seed=1), torch.tensor([5, 0, 2, 2])
    scale = torch.tensor(10.0)
    expected = -(10 * handwriting @ templates.T).log_softmax(1)[range(4), labels].mean()
    torch.testing.assert_close(matching_loss(handwriting, templates, labels, scale), expected)


def test_a_margin_makes_the_true_class_harder() -> None:
    templates = units(2)
    cosine = float(templates[0] @ templates[1])
    # One picture that equals its template: its cosine of 1 counts as 0.7.
    loss = matching_loss(templates[:1], templates, torch.tensor([0]), torch.tensor(4.0), margin=0.3)
    assert loss.item() == pytest.approx(math.log1p(math.exp(4 * (cosine - 0.7))), rel=1e-5)


def test_the_memory_keeps_other_classes_and_passes_gradients_to_new_ones() -> None:
    torch.manual_seed(0)
    memory = TemplateMemory(5, FEATURES)
    before, new = memory.features.clone(), units(2, seed=3).requires_grad_()
    whole = memory.refreshed(torch.tensor([4, 1]), new)
    assert torch.equal(whole[[0, 2, 3]], before[[0, 2, 3]])
    assert torch.equal(memory.features[[4, 1]], new.detach())
    assert not memory.features.requires_grad
    matching_loss(units(3), whole, torch.tensor([0, 1, 4]), torch.tensor(5.0)).backward()
    assert new.grad is not None
    assert new.grad.abs().sum() > 0


def test_a_prototype_is_the_mean_direction_of_its_templates() -> None:
    features = units(3)
    found = prototypes_of(features, torch.tensor([2, 0, 2]), 4)
    mean = features[0] + features[2]
    torch.testing.assert_close(found[2], mean / mean.norm())
    torch.testing.assert_close(found[0], features[1])
    assert not found[[1, 3]].any()


def test_mirrored_pictures_are_classes_of_their_own() -> None:
    corner = torch.zeros(DIRECTIONS, 1, 4, 4)
    corner[:, 0, 0, 0] = 1  # ink at the upper left
    seen, labels = turned(corner, torch.tensor([0, 1, 2, 0]), torch.arange(DIRECTIONS), 3)
    ink = [tuple(place.tolist()) for place in seen[:, 0].nonzero()[:, 1:]]
    assert ink == [(0, 0), (0, 3), (3, 0), (3, 3)]
    assert labels.tolist() == [0, 4, 8, 9]


def test_a_reader_takes_new_characters_without_training() -> None:
    net = small().eval()
    reader = net.reader(net.embed_templates(pictures(3)))
    logits = reader(pictures(2, seed=5))
    wider = reader.with_characters(net.embed_templates(pictures(2, seed=9)))
    assert logits.shape == (2, 3)
    torch.testing.assert_close(wider(pictures(2, seed=5))[:, :3], logits)
    assert wider(pictures(2, seed=9)).argmax(1).tolist() == [3, 4]


def crosses(rows: Tensor, columns: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Characters of a toy script: a horizontal line at a row and a vertical one at a column, (N, 1, S, S).

    With a generator they are written by hand: paler, on grainy paper, and up to a pixel beside their place.
    """
    moved = (0, 0) if generator is None else torch.randint(-1, 2, (2, len(rows)), generator=generator)
    step = torch.arange(SIDE)
    across = ((step - (rows + moved[0])[:, None]).abs() <= 1).float()
    down = ((step - (columns + moved[1])[:, None]).abs() <= 1).float()
    ink = torch.maximum(across[:, :, None], down[:, None, :])
    if generator is not None:
        ink = 0.6 * ink + 0.1 * torch.randn(ink.shape, generator=generator)
    return ink[:, None]


@pytest.mark.parametrize("shared", [True, False])
def test_it_reads_characters_that_it_was_never_trained_on(shared: bool) -> None:
    places = torch.cartesian_prod(torch.arange(4, 32, 6), torch.arange(4, 32, 6))
    # The diagonal of the 5 x 5 places is left out: each of its lines is known from other characters.
    unseen, trained = places[::6], places[torch.arange(25) % 6 != 0]
    net, generator = small(shared=shared).train(), torch.Generator().manual_seed(1)
    optimizer = torch.optim.AdamW(net.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    for _ in range(STEPS):
        labels = torch.randint(len(trained), (32,), generator=generator)
        written = crosses(*trained[labels].T, generator)
        handwriting, templates = net.embed_both(written, crosses(*trained.T))
        optimizer.zero_grad()
        matching_loss(handwriting, templates, labels, net.scale).backward()
        optimizer.step()
        schedule.step()
    net.eval()
    labels = torch.arange(len(unseen)).repeat(20)
    with torch.no_grad():
        best = net(crosses(*unseen[labels].T, generator), crosses(*unseen.T)).argmax(1)
    assert (best == labels).float().mean() > 0.8
