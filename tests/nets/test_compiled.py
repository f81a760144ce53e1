"""The first convolution as a product of matrices is the convolution."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hanmo.nets.compiled import _is_plain_stem, as_product, first_convolution


@pytest.mark.parametrize(("side", "channels"), [(64, 64), (32, 24), (6, 1)])
def test_values_and_gradients_are_those_of_the_convolution(side: int, channels: int) -> None:
    torch.manual_seed(1)
    x, grad = torch.randn(3, 1, side, side), torch.randn(3, channels, side // 2, side // 2)
    weights = [torch.randn(channels, 1, 3, 3, requires_grad=True)]
    weights.append(weights[0].detach().clone().requires_grad_())
    convolved, product = F.conv2d(x, weights[0], stride=2, padding=1), as_product(x, weights[1])
    assert product.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(product, convolved)
    (convolved * grad).sum().backward()
    (product * grad).sum().backward()
    torch.testing.assert_close(weights[1].grad, weights[0].grad, rtol=1e-4, atol=1e-4)


def test_on_a_cpu_the_layer_itself_is_used() -> None:
    layer, x = nn.Conv2d(1, 8, 3, 2, 1, bias=False), torch.randn(2, 1, 64, 64)
    assert torch.equal(first_convolution(layer, x), layer(x))


@pytest.mark.parametrize(
    "other",
    [{"dilation": 2}, {"padding_mode": "reflect"}, {"padding": 0}, {"stride": 1}, {"kernel_size": 5}, {"bias": True}],
    ids=str,
)
def test_other_convolutions_are_computed_as_they_are(other: dict[str, Any]) -> None:
    plain: dict[str, Any] = {"kernel_size": 3, "stride": 2, "padding": 1, "bias": False}
    x = torch.randn(2, 1, 16, 16)
    assert _is_plain_stem(nn.Conv2d(1, 8, **plain), x)
    assert not _is_plain_stem(nn.Conv2d(1, 8, **plain | other), x)
