"""The layout of numbers in the kernels of :mod:`hanmo.gpu.fused`; what they compute is compared on a GPU, by
benchmarks/bulk_gpu_checks.py."""

from __future__ import annotations

import pytest
import torch

from hanmo.gpu import fused

LEVELS = fused.Levels(0.5, 3, 0, 255)


def channels_last(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.arange(torch.Size(shape).numel()).view(shape).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(2, 8, 3, 5), (1, 4, 1, 1), (3, 4, 1, 1)])
def test_four_channels_are_side_by_side(shape: tuple[int, ...]) -> None:
    numbers = channels_last(shape).half()
    fours = fused._in_fours(numbers)
    count, channels, height, width = shape
    assert fours.shape == (count, height, width, channels // 4)
    torch.testing.assert_close(fours.view(torch.float16).permute(0, 3, 1, 2), numbers)


def test_a_bias_broadcasts_in_fours() -> None:
    numbers, bias = channels_last((2, 8, 3, 5)).half(), torch.arange(8.0).half()[None, :, None, None]
    assert fused._are_fours(numbers, bias)
    assert fused._in_fours(bias).shape == (1, 1, 1, 2)


@pytest.mark.parametrize(
    "numbers",
    [
        channels_last((2, 6, 3, 5)).half(),  # channels do not fill 64 bits
        channels_last((2, 8, 3, 5)).float(),
        channels_last((2, 8, 3, 5)).contiguous().half(),  # rows are side by side
    ],
    ids=["six channels", "single precision", "other order"],
)
def test_other_numbers_are_taken_one_by_one(numbers: torch.Tensor) -> None:
    assert not fused._are_fours(numbers, numbers)


def test_sums_and_products_are_rounded_to_levels() -> None:
    a, b = torch.tensor([-9.0, 0.1, 0.3, 200.0]), torch.tensor([0.5, 0.5, 0.5, 0.5])
    torch.testing.assert_close(fused.rounded_sum(a, b, LEVELS), torch.tensor([-1.5, 0.5, 1.0, 126.0]))
    torch.testing.assert_close(fused.rounded_product(a, b, LEVELS), torch.tensor([-1.5, 0.0, 0.0, 100.0]))
