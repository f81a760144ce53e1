"""Weights rounded to few values: how many, what of the gradient, and the plain net that is left."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hanmo.errors import ConfigError
from hanmo.nets.quantization import CLIP, MIN_QUANTIZED_WEIGHTS, FakeQuantize, quantized_state, train_quantized
from hanmo.nets.registry import NetConfig, build_net
from hanmo.train.config import TrainConfig


def values_a_channel(weight: Tensor) -> int:
    """The most values that any output channel takes; what lies a millionth apart is one."""
    most = weight.abs().max()
    return max(len(torch.unique((channel / most * 1e6).round())) for channel in weight.flatten(1))


def large(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: w for name, w in state.items() if w.ndim in (2, 4) and w.numel() >= MIN_QUANTIZED_WEIGHTS}


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("shape", [(8, 64), (8, 16, 3), (8, 16, 3, 3)])
def test_every_channel_takes_few_values_of_its_own(bits: int, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    sizes = torch.logspace(-3, 1, 8).view(-1, *[1] * (len(shape) - 1))
    weight = torch.randn(shape) * sizes
    few = FakeQuantize(bits)(weight)
    most = 2 ** (bits - 1) - 1
    for channel, before in zip(few.flatten(1), weight.flatten(1), strict=True):
        step = min(before.abs().max(), CLIP * before.square().mean().sqrt()) / most
        levels = channel / step
        torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
        assert levels.abs().max() < most + 0.5
        assert len(levels.round().unique()) <= 2**bits - 1
        inside = before.abs() <= most * step
        assert ((channel - before).abs()[inside] <= step / 2 * 1.001).all()


def test_what_is_rounded_nearly_stays() -> None:
    """The root mean square of what is clipped and rounded is another, so the step may be another by one or two %."""
    torch.manual_seed(0)
    for bits in (2, 3, 4):
        few = FakeQuantize(bits)
        once = few(torch.randn(16, 32, 3, 3))
        again = few(once)
        torch.testing.assert_close(again, once, rtol=0.03, atol=1e-7)
        assert torch.equal(again == 0, once == 0)
    nothing = torch.zeros(4, 100)
    assert torch.equal(FakeQuantize(4)(nothing), nothing)


def test_gradients_pass_what_is_rounded_and_stop_at_what_is_clipped() -> None:
    torch.manual_seed(0)
    weight = torch.randn(4, 2000)
    weight[:, :3] = torch.tensor([30.0, -30.0, 0.1])
    weight.requires_grad_()
    down = torch.randn(4, 2000)
    (FakeQuantize(4)(weight) * down).sum().backward()
    clipped = weight.detach().abs() > CLIP * weight.detach().square().mean(1, keepdim=True).sqrt()
    assert clipped[:, :2].all()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, down.masked_fill(clipped, 0.0))


def test_the_plain_net_of_the_rounded_state_computes_the_same() -> None:
    torch.manual_seed(0)
    config = NetConfig(name="resnet16", width=16, attention="se")
    net, plain = build_net(config, 60, 32), build_net(config, 60, 32)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    train_quantized(net, 4)
    state = quantized_state(net.state_dict(), 4)
    assert state.keys() == before.keys()
    for name, tensor in state.items():
        assert torch.equal(tensor, before[name]) == (name not in large(before) or not name.endswith("weight")), name
    assert {"fc.weight", "layer3.0.conv1.weight"} <= large(before).keys()
    assert "layer1.0.conv1.weight" not in large(before)
    plain.load_state_dict(state)
    x = torch.rand(3, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(plain.eval()(x), net.eval()(x), rtol=0, atol=0)


def test_linear_and_one_dimensional_layers_too() -> None:
    net = nn.Sequential(nn.Linear(64, 64), nn.Conv1d(64, 64, 3), nn.Linear(8, 8))
    train_quantized(net, 2)
    assert [values_a_channel(net.get_submodule(str(i)).weight) for i in range(3)] == [3, 3, 8]  # type: ignore[arg-type]


@pytest.mark.parametrize("bits", [1, 9, -4])
def test_impossible_bits(bits: int) -> None:
    with pytest.raises(ConfigError, match=f"weight_bits {bits}: 2 to 7, or 0 for free weights"):
        TrainConfig(weight_bits=bits)
