"""Schedule, groups of parameters and averaged weights."""

from __future__ import annotations

import pytest
import torch

from hanmo.nets.registry import NetConfig, build_net
from hanmo.train.config import OptimConfig
from hanmo.train.optim import AveragedWeights, build_optimizer, learning_rate


def test_the_rate_warms_up_to_the_top_and_falls_to_the_final_one() -> None:
    config = OptimConfig(learning_rate=0.4, warmup=0.1, final=0.05)
    rates = [learning_rate(config, step, 1000) for step in range(1000)]
    assert rates[:100] == sorted(rates[:100])
    assert rates[0] == pytest.approx(0.4 / 101)
    assert max(rates) == rates[100] == pytest.approx(0.4)
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[550] == pytest.approx((0.4 + 0.02) / 2)
    assert rates[-1] == pytest.approx(0.02, abs=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_short_runs_have_rates_too(steps: int) -> None:
    for warmup in (0.0, 0.5, 0.99):
        rates = [learning_rate(OptimConfig(warmup=warmup), step, steps) for step in range(steps)]
        assert all(0 < rate <= OptimConfig().learning_rate for rate in rates)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_norms_and_biases_are_not_decayed(name: str) -> None:
    net = build_net(NetConfig(width=8, attention="se"), 5, 32)
    optimizer = build_optimizer([net], OptimConfig(name=name, weight_decay=0.3))  # type: ignore[arg-type]
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert len(decay) == len(list(net.parameters()))
    for parameter_name, parameter in net.named_parameters():
        bare = parameter_name.endswith("bias") or ".bn" in parameter_name or "downsample.1" in parameter_name
        assert decay[id(parameter)] == (0.0 if bare or parameter_name.startswith("bn1") else 0.3), parameter_name


def test_frozen_weights_are_left_out() -> None:
    net = build_net(NetConfig(width=8), 5, 32)
    net.get_parameter("fc.weight").requires_grad_(False)
    optimizer = build_optimizer([net], OptimConfig())
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(list(net.parameters())) - 1


def test_averaged_weights_are_a_hand_written_loop() -> None:
    torch.manual_seed(0)
    net = build_net(NetConfig(width=8), 5, 32)
    average = AveragedWeights(net, decay=0.9)
    expected = {k: v.double().clone() for k, v in net.state_dict().items() if v.is_floating_point()}
    optimizer = build_optimizer([net], OptimConfig(learning_rate=0.05))
    for step in range(30):
        net(torch.rand(4, 1, 32, 32)).square().mean().backward()
        optimizer.step()
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        for name, tensor in net.state_dict().items():
            if name in expected:
                expected[name] = decay * expected[name] + (1 - decay) * tensor.double()
    averaged = average.state_dict(net)
    assert averaged.keys() == net.state_dict().keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(averaged[name].double(), tensor, rtol=1e-4, atol=1e-5)
    assert averaged["bn1.num_batches_tracked"] == 30
    assert not torch.equal(averaged["fc.weight"], net.state_dict()["fc.weight"])
