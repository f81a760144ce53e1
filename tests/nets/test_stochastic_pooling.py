"""Max-pooling over regions that move in training: what it chooses, and that trainings with it resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from hanmo.errors import ConfigError
from hanmo.nets.registry import NetConfig, build_net
from hanmo.nets.stochastic_pooling import StochasticMaxPool
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes
from hanmo.train.run import load_trained


@pytest.mark.parametrize("side", [1, 2, 5, 8])
def test_in_evaluation_it_is_the_plain_pool(side: int) -> None:
    x = torch.randn(2, 3, side, side)
    assert torch.equal(StochasticMaxPool().eval()(x), F.max_pool2d(x, 2, ceil_mode=True))
    assert StochasticMaxPool().train()(x).shape == F.max_pool2d(x, 2, ceil_mode=True).shape


def test_in_training_regions_move_by_a_pixel_at_most() -> None:
    """A ramp: the maximum of a region is its last pixel, so it tells where the region lies."""
    pool, ramp = StochasticMaxPool().train(), torch.arange(12.0).expand(1, 1, 12, 12)
    torch.manual_seed(0)
    seen = torch.stack([pool(ramp)[0, 0] for _ in range(60)])
    assert (seen == seen[:, :1]).all(), "columns move together in all rows"
    moves = seen[:, 0] - torch.arange(1.0, 12, 2)
    assert {-1.0, 0.0, 1.0} == set(moves[:, 2].tolist())
    assert set(moves[:, 0].tolist()) == {0.0, 1.0}, "no region leaves the map"
    assert set(moves[:, -1].tolist()) == {-1.0, 0.0}


def test_only_vgg_has_the_option() -> None:
    with pytest.raises(ConfigError, match="max_pool = 'stochastic': net 'resnet18' has no option max_pool"):
        NetConfig(max_pool="stochastic")
    config = NetConfig(name="vgg16-bn", width=8, max_pool="stochastic")
    assert str(config) == "vgg16-bn+x0.125+stochastic-max-pool"
    net, plain = (build_net(c, 5, 32) for c in (config, NetConfig(name="vgg16-bn", width=8)))
    plain.load_state_dict(net.state_dict())
    x = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(net.eval()(x), plain.eval()(x), rtol=0, atol=0)


def test_a_resumed_training_equals_an_uninterrupted_one(small: Any, tmp_path: Path) -> None:
    """With moving regions and with distortions that become weaker: both follow the number of the step."""
    recipe = small(
        net={"name": "vgg16-bn", "max_pool": "stochastic"},
        augment={"drop_distortion": 0.0},
        train={"epochs": 2, "checkpoint_every": 1, "evaluate_every": 0},
    )
    straight, stopped = (Trainer(recipe, tmp_path / name, Processes.join("cpu")) for name in ("straight", "stopped"))
    straight.run()
    advance, steps = stopped.advance, []

    def stop(*batch: Any) -> Any:
        steps.append(1)
        if len(steps) == 8:
            raise KeyboardInterrupt
        return advance(*batch)

    stopped.advance = stop  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    torch.manual_seed(1234)  # whatever else took random numbers in the meantime
    Trainer(recipe, tmp_path / "stopped", Processes.join("cpu")).run(resume=True)
    weights = [load_trained(tmp_path / name).net.state_dict() for name in ("straight", "stopped")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
