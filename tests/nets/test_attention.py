"""Attention modules against their papers' formulas."""

from __future__ import annotations

import pytest
import torch

from hanmo.errors import ConfigError
from hanmo.nets.attention import (
    ATTENTION,
    ConvolutionalBlockAttention,
    EfficientChannelAttention,
    SqueezeExcitation,
    attention_maker,
)
from hanmo.nets.registry import NetConfig, count_parameters, net_size


@pytest.mark.parametrize("name", list(ATTENTION))
@pytest.mark.parametrize("shape", [(2, 16, 5, 7), (1, 64, 1, 1), (3, 4, 8, 8)])
def test_shapes_stay_and_gradients_flow(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    module = ATTENTION[name](shape[1])
    x = torch.randn(shape, requires_grad=True)
    y = module.train()(x) if shape != (1, 64, 1, 1) else module.eval()(x)  # one number has no batch statistics
    assert y.shape == x.shape
    y.square().sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert all(p.grad is not None for p in module.parameters())


@pytest.mark.parametrize("channels", [64, 128, 256, 512])
def test_se_and_cbam_are_as_large_as_published(channels: int) -> None:
    weights = 2 * channels * channels // 16
    assert count_parameters(SqueezeExcitation(channels)) == weights + channels + channels // 16
    assert count_parameters(ConvolutionalBlockAttention(channels)) == weights + 2 * 7 * 7 + 2


@pytest.mark.parametrize("name", ["se", "cbam"])
def test_reduction_makes_se_and_cbam_smaller(name: str) -> None:
    weights = [p for p in attention_maker(name, 32)(256).parameters() if p.ndim == 4 and p.shape[-1] == 1]
    assert [tuple(p.shape) for p in weights] == [(8, 256, 1, 1), (256, 8, 1, 1)]
    config = NetConfig(attention=name, reduction=64)
    assert str(config) == f"resnet18+{name}+reduction64"
    assert net_size(config, 100, 48)[0] <= 11_250_000, "with it, a ResNet-18 of 100 classes has the paper's size"


@pytest.mark.parametrize(("attention", "reduction"), [("none", 8), ("eca", 8), ("se", 0)])
def test_reduction_is_for_modules_that_reduce(attention: str, reduction: int) -> None:
    with pytest.raises(ConfigError, match="reduction"):
        NetConfig(attention=attention, reduction=reduction)


@pytest.mark.parametrize(("channels", "kernel"), [(64, 3), (128, 5), (256, 5), (512, 5), (2048, 7)])
def test_eca_kernels_follow_equation_12(channels: int, kernel: int) -> None:
    assert count_parameters(EfficientChannelAttention(channels)) == kernel


def test_simam_and_none_have_no_weights() -> None:
    assert count_parameters(ATTENTION["simam"](64)) == count_parameters(ATTENTION["none"](64)) == 0
    assert not ATTENTION["simam"](64).state_dict()


def test_simam_is_its_published_formula() -> None:
    x = torch.randn(2, 3, 4, 5)
    expected = torch.empty_like(x)
    for n in range(2):
        for c in range(3):
            plane = x[n, c]
            away = (plane - plane.mean()) ** 2
            energy = away / (4 * (away.sum() / (plane.numel() - 1) + 1e-4)) + 0.5
            expected[n, c] = plane * torch.sigmoid(energy)
    torch.testing.assert_close(ATTENTION["simam"](3)(x), expected)


@pytest.mark.parametrize("name", ["se", "eca"])
def test_channel_attention_scales_whole_channels(name: str) -> None:
    x = torch.rand(2, 16, 6, 6) + 0.5
    scale = ATTENTION[name](16)(x) / x
    torch.testing.assert_close(scale, scale[:, :, :1, :1].expand_as(scale))
    assert scale.min() > 0
    assert scale.max() < 1


def test_cbam_sends_gradients_to_the_places_of_its_maxima() -> None:
    """No ``amax``: compiled in bf16 on a GPU its gradient is not a number, which no CPU shows."""
    module = ConvolutionalBlockAttention(16).train()
    waiting = [module(torch.randn(2, 16, 5, 5, requires_grad=True)).grad_fn]
    names = set()
    while waiting:
        node = waiting.pop()
        if node is not None and (node.name(), id(node)) not in names:
            names.add((node.name(), id(node)))
            waiting += [before for before, _ in node.next_functions]
    kinds = {name for name, _ in names}
    assert "MaxBackward0" in kinds
    assert "AmaxBackward0" not in kinds
