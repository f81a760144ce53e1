"""When an export is refused: more than noise must speak against it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hanmo.errors import ExportError
from hanmo.export import verify as room
from hanmo.export.verify import Check, verify


class Fixed(nn.Module):
    """A net that answers what it is given, whatever it sees."""

    def __init__(self, answers: np.ndarray) -> None:
        super().__init__()
        self.logits = torch.eye(2)[torch.from_numpy(answers)]

    def forward(self, x: Tensor) -> Tensor:
        return self.logits


def check(monkeypatch: pytest.MonkeyPatch, samples: int, *, disagree: int = 0, lost: int = 0, won: int = 0) -> Check:
    """fp32 ONNX and torch ``disagree`` on some samples; int8 ``lost`` some that fp32 reads and ``won`` others."""
    labels = np.zeros(samples, np.int64)
    fp32, int8, net = (np.zeros(samples, np.int64) for _ in range(3))
    fp32[:won] = 1
    int8[won : won + lost] = 1
    net[:won] = 1
    net[won : won + disagree] = 1
    answers = {b"fp32": fp32, b"int8": int8}
    monkeypatch.setattr(room, "run_onnx", lambda model, squares: np.eye(2)[answers[model]])
    monkeypatch.setattr(room, "_torch_logits", lambda net, squares: net(None).numpy())
    return verify(Fixed(net), b"fp32", b"int8", np.zeros((samples, 1, 1), np.uint8), labels)


@pytest.mark.parametrize("samples", [2, 10, 40, 300])
def test_a_single_sample_of_a_small_pack_refuses_nothing(monkeypatch: pytest.MonkeyPatch, samples: int) -> None:
    assert check(monkeypatch, samples, lost=1).problems() == []
    assert check(monkeypatch, samples, disagree=1).problems() == []


def test_the_error_is_that_of_the_difference_sample_by_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    found = check(monkeypatch, 300, lost=3, won=1, disagree=2)
    difference = np.array([1] * 3 + [-1] + [0] * 296)
    assert found.top1_fp32 - found.top1_int8 == pytest.approx(200 / 300)
    assert found.loss_error == pytest.approx(100 * difference.std(ddof=1) / 300**0.5)
    assert found.agreement == pytest.approx(100 * 298 / 300)
    assert found.agreement_error == pytest.approx(100 / 300 * 2**0.5, rel=0.01)


def test_more_than_noise_is_refused_and_the_error_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExportError, match=r"int8 loses 0\.50 points of top-1, 0\.2 allowed \(beyond one standard"):
        check(monkeypatch, 4000, lost=20).require()
    with pytest.raises(ExportError, match=r"agree on 98\.00 % .*99\.9 % needed \(within one standard error, 0\.81\)"):
        check(monkeypatch, 300, disagree=6).require()
    check(monkeypatch, 300, disagree=6).require(force=True)
    assert len(check(monkeypatch, 5, lost=5, disagree=5).problems()) == 2, "all lost is no noise"
