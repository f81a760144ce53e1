"""What an evaluation during training says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from hanmo.evaluate.metrics import topk_accuracy
from hanmo.nets.registry import NetConfig, build_net
from hanmo.train.augment import unchanged
from hanmo.train.batches import DeviceData
from hanmo.train.measure import measure
from hanmo.train.objective import standardise


def test_batches_add_up_to_the_whole_and_the_net_stays_as_it_was(drawn: Path) -> None:
    torch.manual_seed(0)
    data, pack = DeviceData.open(str(drawn / "small-test"), None, torch.device("cpu"))
    net = build_net(NetConfig(width=8), len(pack.charset), data.side)
    net(torch.randn(8, 1, data.side, data.side))  # statistics that are not those of the first moment
    before = {k: v.clone() for k, v in net.state_dict().items()}
    found = measure(net, data, batch=7)  # 20 samples: the last batch is short
    assert net.training
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())

    images, labels = next(data.in_order(len(data)))
    with torch.no_grad():
        logits = net.eval()(standardise(unchanged(images)))
    top = topk_accuracy(logits.numpy(), labels.numpy(), (1, 5))
    assert found == {
        "top1": pytest.approx(top[1], abs=1e-3),
        "top5": pytest.approx(top[5], abs=1e-3),
        "loss": pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-4),
    }
    assert 0 <= found["top1"] < found["top5"] == 100  # five classes
