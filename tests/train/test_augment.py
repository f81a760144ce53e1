"""Augmentation: repeatable, bounded, and nothing when switched off."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from hanmo.config import dump_toml
from hanmo.errors import ConfigError
from hanmo.train.augment import apply, distortion_left, sample_augmentation, unchanged, weaken
from hanmo.train.config import AugmentConfig

STRENGTHS = [f.name for f in fields(AugmentConfig) if f.name not in ("elastic_cells", "drop_distortion")]
NOTHING = dict.fromkeys(STRENGTHS, 0.0)


def pictures(side: int = 24) -> Tensor:
    """Crosses of soft strokes, uint8 (6, side, side)."""
    images = torch.zeros(6, side, side, dtype=torch.uint8)
    for i in range(6):
        images[i, 6 + i] = images[i, :, 8 + i] = 250
        images[i, 7 + i] = images[i, :, 9 + i] = 120
    return images


def changed(config: AugmentConfig, seed: int = 0, side: int = 24) -> Tensor:
    return apply(pictures(side), sample_augmentation(config, 6, side, torch.Generator().manual_seed(seed)), config)


def test_the_same_generator_the_same_pictures() -> None:
    config = AugmentConfig(cutout=0.3)
    assert torch.equal(changed(config, 1), changed(config, 1))
    assert not torch.equal(changed(config, 1), changed(config, 2))
    generator = torch.Generator().manual_seed(1)
    first, second = (sample_augmentation(config, 6, 24, generator) for _ in range(2))
    assert not torch.equal(first.uniform, second.uniform)


@pytest.mark.parametrize("side", [16, 24, 33])
def test_without_strength_nothing_changes(side: int) -> None:
    x = changed(AugmentConfig(**NOTHING), side=side)
    assert (x - unchanged(pictures(side))).abs().max() <= 1 / 255


@pytest.mark.parametrize("name", STRENGTHS)
def test_each_strength_alone_changes_every_picture_and_stays_in_range(name: str) -> None:
    strength = {"rotate": 20.0, "stroke": 1.0, "noise": 0.2, "cutout": 1.0, "intrude": 1.0}.get(name, 0.3)
    x = changed(AugmentConfig(**{**NOTHING, name: strength}))
    assert x.shape == (6, 1, 24, 24)
    assert x.dtype == torch.float32
    assert x.min() >= 0
    assert x.max() <= 1
    differ = (x - unchanged(pictures())).abs().flatten(1).amax(1) > 2 / 255
    assert differ.sum() >= 4  # a small hole may fall on paper


def test_wild_strengths_stay_in_range() -> None:
    wild = AugmentConfig(**{name: 90.0 if name == "rotate" else 2.0 for name in STRENGTHS})
    for seed in range(5):
        x = changed(wild, seed)
        assert torch.isfinite(x).all()
        assert 0 <= x.min() <= x.max() <= 1


def test_turning_right_is_turning_right() -> None:
    """A bar above the middle goes right when the picture is turned by +90 degrees clockwise, left otherwise."""
    config = AugmentConfig(**{**NOTHING, "rotate": 90.0})
    images = torch.zeros(2, 24, 24, dtype=torch.uint8)
    images[:, 2:6, 10:14] = 255
    randomness = sample_augmentation(config, 2, 24, torch.Generator())
    randomness.uniform[:] = 0
    randomness.uniform[0, 0], randomness.uniform[1, 0] = 1, -1
    x = apply(images, randomness, config)[:, 0]
    halves = x[:, :, :12].sum((1, 2)), x[:, :, 12:].sum((1, 2))
    assert halves[0][0] == pytest.approx(halves[1][1].item(), abs=1e-3)
    assert max(halves[0][0], halves[1][0]) > 15
    assert min(halves[0][0], halves[1][0]) < 0.1


def test_perspective_and_shift_keep_to_their_units() -> None:
    config = AugmentConfig(**{**NOTHING, "translate": 0.25})
    images = torch.zeros(1, 24, 24, dtype=torch.uint8)
    images[0, 10:14, 10:14] = 255
    randomness = sample_augmentation(config, 1, 24, torch.Generator())
    randomness.uniform[:] = 1
    ink = apply(images, randomness, config)[0, 0]
    centre = (ink.sum(0) * (torch.arange(24) + 0.5)).sum() / ink.sum()
    assert abs(centre.item() - 12) == pytest.approx(6, abs=0.1)  # a quarter of 24 pixels


@pytest.mark.parametrize("stroke", [1.0, -1.0])
def test_the_pen_grows_and_thins(stroke: float) -> None:
    config = AugmentConfig(**{**NOTHING, "stroke": 1.0})
    randomness = sample_augmentation(config, 6, 24, torch.Generator())
    randomness.uniform[:] = stroke
    before, after = unchanged(pictures()).sum(), apply(pictures(), randomness, config).sum()
    assert (after > 1.3 * before) if stroke > 0 else (after < 0.7 * before)


class Operations(TorchDispatchMode):
    """Collects the names of the operations that torch runs."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_a_step_makes_no_tensor_from_python_numbers() -> None:
    """On a GPU such a tensor is copied from the CPU: the step waits for the copy, and no CUDA graph can hold it."""
    config = AugmentConfig(intrude=0.5, cutout=0.3)
    randomness = sample_augmentation(config, 6, 24, torch.Generator())
    squares = pictures()
    with Operations() as operations:
        apply(squares, randomness, config)
    assert "convolution" in operations.names
    with Operations() as from_numbers:
        torch.tensor([1.0])
    assert "lift_fresh" in from_numbers.names
    assert "lift_fresh" not in operations.names


def test_the_blur_has_the_weights_of_a_gaussian() -> None:
    config = AugmentConfig(**{**NOTHING, "blur": 1.0})
    randomness = sample_augmentation(config, 1, 24, torch.Generator())
    randomness.uniform[:] = 1.0
    squares = torch.zeros(1, 24, 24, dtype=torch.uint8)
    squares[0, 12, 12] = 255
    weights = torch.tensor([0.0545, 0.2442, 0.4026, 0.2442, 0.0545])
    seen = apply(squares, randomness, config)[0, 0, 10:15, 10:15]
    torch.testing.assert_close(seen, torch.outer(weights, weights), rtol=0, atol=2e-4)


def test_distortions_become_weaker_evenly() -> None:
    config = AugmentConfig(drop_distortion=0.2)
    assert [distortion_left(config, step, 5) for step in range(5)] == pytest.approx([1, 0.8, 0.6, 0.4, 0.2])
    assert distortion_left(config, 0, 1) == 1, "a training of a single step"
    assert distortion_left(AugmentConfig(), 4, 5) == 1


@pytest.mark.parametrize("name", ["rotate", "shear", "scale", "translate", "perspective", "elastic"])
def test_weakened_distortions_are_those_of_a_weaker_setting(name: str) -> None:
    strong, weak = (AugmentConfig(**{**NOTHING, name: strength}) for strength in (0.2, 0.05))
    randomness = [sample_augmentation(strong, 6, 24, torch.Generator().manual_seed(0)) for _ in range(2)]
    expected = apply(pictures(), randomness[0], weak)
    torch.testing.assert_close(apply(pictures(), weaken(randomness[1], 0.25), strong), expected, rtol=0, atol=1e-5)


def test_weakening_leaves_all_other_changes_as_they_are() -> None:
    config = AugmentConfig(**{**NOTHING, "stroke": 0.8, "fade": 0.3, "noise": 0.1, "contrast": 0.3, "cutout": 0.3})
    randomness = [sample_augmentation(config, 6, 24, torch.Generator().manual_seed(0)) for _ in range(2)]
    expected = apply(pictures(), randomness[0], config)
    assert torch.equal(apply(pictures(), weaken(randomness[1], 0.0), config), expected)


def test_a_share_that_weakens_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"drop_distortion 1\.0: a share below 1"):
        AugmentConfig(drop_distortion=1.0)
    with pytest.raises(ConfigError, match="drop_distortion is negative"):
        AugmentConfig(drop_distortion=-0.1)
    assert "drop_distortion" not in dump_toml(AugmentConfig()), "recipes of before are written as before"
