"""Classifiers with other classes, and of low rank."""

from __future__ import annotations

import torch
from torch import Tensor

from hanmo.nets.classifier import fit_classifier
from hanmo.nets.ensemble import PartialEnsemble
from hanmo.nets.registry import NetConfig, build_net

SIDE = 16


def net(classes: int, bottleneck: int | None = None, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return build_net(NetConfig(width=8, bottleneck=bottleneck), classes, SIDE).eval()


def start(target: torch.nn.Module, source: torch.nn.Module, rows: list[int]) -> torch.nn.Module:
    target.load_state_dict(fit_classifier(source.state_dict(), torch.tensor(rows), target.state_dict()))
    return target


@torch.no_grad()
def test_known_classes_keep_their_answers_and_new_ones_their_first_weights() -> None:
    source, target, x = net(10), net(4, seed=1), torch.randn(3, 1, SIDE, SIDE)
    fresh = target.fc.weight.clone()  # type: ignore[union-attr,operator]
    started = start(target, source, [7, -1, 0, -1])
    torch.testing.assert_close(started(x)[:, [0, 2]], source(x)[:, [7, 0]])
    assert torch.equal(started.fc.weight[1], fresh[1])  # type: ignore[union-attr,index]


@torch.no_grad()
def test_a_bottleneck_of_full_rank_changes_nothing_and_a_narrow_one_little() -> None:
    source, x = net(10), torch.randn(3, 1, SIDE, SIDE)
    torch.testing.assert_close(
        start(net(10, bottleneck=10), source, list(range(10)))(x), source(x), rtol=1e-4, atol=1e-4
    )
    exact: Tensor = source.fc.weight  # type: ignore[assignment,union-attr]
    narrow = start(net(10, bottleneck=8), source, list(range(10)))
    product = narrow.fc.weight @ narrow.bottleneck.weight  # type: ignore[operator,union-attr]
    lost = torch.linalg.svdvals(exact)[8:].square().sum().sqrt()  # no matrix of rank 8 is nearer: Eckart and Young
    torch.testing.assert_close((product - exact).norm(), lost, rtol=1e-3, atol=1e-6)


@torch.no_grad()
def test_a_partial_teacher_shares_out_what_the_other_gives_the_known_classes() -> None:
    class Says(torch.nn.Module):
        def __init__(self, *probabilities: float) -> None:
            super().__init__()
            self.logits = torch.tensor([probabilities]).log()

        def forward(self, x: Tensor) -> Tensor:
            return self.logits.expand(len(x), -1)

    known = torch.tensor([True, False, True])
    x = torch.zeros(2, 1, 4, 4)
    answer = PartialEnsemble(Says(0.3, 0.4, 0.3), Says(0.9, 0.1), known, share=1.0)(x).exp()
    torch.testing.assert_close(answer, torch.tensor([[0.54, 0.4, 0.06]] * 2))
    half = PartialEnsemble(Says(0.3, 0.4, 0.3), Says(0.9, 0.1), known, share=0.5)(x).exp()
    torch.testing.assert_close(half, torch.tensor([[0.45, 0.4, 0.15]] * 2), msg="√9 to 1 among the known ones")


def test_a_partial_ensemble_lacks_what_neither_teacher_knows() -> None:
    complete = torch.nn.Linear(2, 3)
    known = torch.tensor([True, False, False])
    assert not PartialEnsemble(complete, torch.nn.Linear(2, 1), known, share=0.5).lacks.any()
    complete.register_buffer("lacks", torch.tensor([True, True, False]))
    assert PartialEnsemble(complete, torch.nn.Linear(2, 1), known, share=0.5).lacks.tolist() == [False, True, False]
