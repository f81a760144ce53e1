"""The nets others compare with: their sizes, shapes and options, that they learn, and that they export."""

from __future__ import annotations

import functools
import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from hanmo.errors import ConfigError
from hanmo.export.onnx import export_onnx
from hanmo.export.quantize import quantize, run_onnx
from hanmo.nets.classics import Inception
from hanmo.nets.ensemble import resize
from hanmo.nets.feature_hooks import FeatureHooks
from hanmo.nets.registry import NETS, UNSUPPORTED_OPTIONS, NetConfig, build_net, count_macs, count_parameters
from hanmo.nets.resnet import AveragePooling, WeightedPooling
from hanmo.normalize import MEAN, STD

CONVOLUTIONAL = ["alexnet", "vgg16-bn", "googlenet", "melnyk-net", "stn-resnet18", "mobilenet"]
OTHERS = [*CONVOLUTIONAL, "vit"]
STAGES = ("layer1", "layer2", "layer3", "layer4")


def small(name: str, classes: int = 8, side: int = 32, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return build_net(NetConfig(name=name, width=8, **options), classes, side)


def on_meta(name: str, classes: int, side: int = 64) -> nn.Module:
    with torch.device("meta"):
        return build_net(NetConfig(name=name), classes, side)


@pytest.mark.parametrize(
    ("name", "hundred", "all_of_level_1"),
    [
        ("alexnet", 37_688_452, 52_662_987),
        ("vgg16-bn", 40_301_476, 55_276_011),
        ("googlenet", 2_704_916, 6_451_291),
        ("melnyk-net", 4_868_580, 6_509_675),
        ("stn-resnet18", 11_275_610, 13_150_625),
        ("mobilenet", 2_351_396, 7_033_451),
        ("vit", 4_797_796, 5_737_131),
    ],
)
def test_parameters_at_64_pixels(name: str, hundred: int, all_of_level_1: int) -> None:
    assert count_parameters(on_meta(name, 100)) == hundred
    assert count_parameters(on_meta(name, 3755)) == all_of_level_1


def test_melnyk_net_is_as_large_as_the_papers() -> None:
    net = on_meta("melnyk-net", 3755, 96)
    statistics = sum(buffer.numel() for name, buffer in net.named_buffers() if "running" in name)
    assert (count_parameters(net), statistics) == (6_518_635, 5_184)
    assert count_parameters(net) + statistics == 6_523_819, "the paper's, which counts both"
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert (len(convolutions), isinstance(net.pool, WeightedPooling)) == (14, True)


def test_googlenet_is_as_large_as_its_published_definition() -> None:
    """Counted from the layers that the authors published, which have biases where ours have norms."""
    modules = ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), (160, 112, 224, 24, 64, 64))
    inputs, parameters, channels = 192, 49 * 64 + 64 * 64 + 9 * 64 * 192, 64 + 64 + 192
    for one, before_three, three, before_five, five, pooled in (*modules, (256, 160, 320, 32, 128, 128)):
        parameters += inputs * (one + before_three + before_five + pooled) + 9 * before_three * three
        parameters += 25 * before_five * five
        channels += one + before_three + three + before_five + five + pooled
        inputs = one + three + five + pooled
    parameters, channels = parameters + inputs * 128, channels + 128
    parameters += 512 * 1024 + 1024 + 1024 * 3755 + 3755
    assert (parameters + channels, channels) == (6_448_163, 3_128)
    net = on_meta("googlenet", 3755)
    assert count_parameters(net) == parameters + 2 * channels
    assert sum(isinstance(m, Inception) for m in net.modules()) == 4
    assert count_parameters(on_meta("googlenet", 3755, 120)) == count_parameters(net)


def test_others_are_as_large_as_published_where_they_are_the_same() -> None:
    grey = 2 * 9 * 32  # a colour picture's first convolution has so many weights more
    assert count_parameters(on_meta("mobilenet", 1000)) + grey == 3_504_872, "torchvision's mobilenet_v2"
    convolutions = [m for m in on_meta("vgg16-bn", 10).modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    biases, colour = 4_224, 2 * 9 * 64
    assert sum(map(count_parameters, convolutions)) + biases + colour == 14_723_136, "torchvision's vgg16_bn.features"
    spatial, plain = (count_parameters(on_meta(name, 9)) for name in ("stn-resnet18", "resnet18"))
    assert spatial - plain == 9 * (16 + 16 * 32 + 32 * 32 + 32 * 32) + 2 * 112 + 512 * 64 + 64 + 64 * 6 + 6


@pytest.mark.parametrize("name", OTHERS)
def test_hooked_layers_and_pictures_of_several_sides(name: str) -> None:
    net, x = small(name).eval(), torch.randn(2, 1, 32, 32)
    logits, features, _ = FeatureHooks(net, ["pool"])(x)
    assert features["pool"].ndim == 2
    torch.testing.assert_close(net.get_submodule("fc")(features["pool"]), logits)
    torch.testing.assert_close(net(x[1:]), logits[1:], rtol=1e-3, atol=1e-4)
    for side in (48, 64, 96):
        logits, features, _ = FeatureHooks(on_meta(name, 7, side).eval(), STAGES)(
            torch.empty(2, 1, side, side, device="meta")
        )
        assert logits.shape == (2, 7)
        if name == "vit":
            assert [tuple(features[stage].shape) for stage in STAGES] == [(2, side * side // 64, 256)] * 4
        else:
            shrink = (2, 4, 8, 8) if name in ("alexnet", "googlenet") else (2, 4, 8, 16)
            assert [features[stage].shape[2:] for stage in STAGES] == [(side // by, side // by) for by in shrink]


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_odd_and_tiny_pictures(name: str) -> None:
    for side in (16, 33, 49):
        assert on_meta(name, 8, side).eval()(torch.empty(1, 1, side, side, device="meta")).shape == (1, 8)


def test_large_pictures_of_googlenet_keep_the_first_pool() -> None:
    net = small("googlenet", side=120).eval()
    assert FeatureHooks(net, ["layer4"])(torch.randn(1, 1, 120, 120)).features["layer4"].shape[2:] == (8, 8)


@pytest.mark.parametrize("name", OTHERS)
def test_width_scales_every_layer_and_eight_channels_are_the_least(name: str) -> None:
    sizes = [count_parameters(build_net(NetConfig(name=name, width=width), 10, 32)) for width in (8, 12, 24)]
    assert sizes == sorted(set(sizes))
    for module in small(name, side=64).modules():
        if isinstance(module, nn.Conv2d):
            assert module.out_channels >= 8


@pytest.mark.parametrize("name", OTHERS)
def test_macs_are_those_of_the_layers(name: str) -> None:
    net, macs = small(name).eval(), 0

    def count(module: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal macs
        macs += output.numel() * module.weight[0].numel()

    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    counted = count_macs(net, 32)
    tokens, channels, blocks = 16, 32, 6
    attention = blocks * 2 * tokens * tokens * channels if name == "vit" else 0
    assert counted == macs + attention > 0


@pytest.mark.parametrize("name", OTHERS)
def test_options_a_net_has_not_are_refused(name: str) -> None:
    given: dict[str, Any] = {
        "attention": "se",
        "stem": "stride4",
        "pool": "weighted",
        "depths": (1, 1, 1, 1),
        "kernel": 5,
        "bottleneck": 16,
        "planes": "gradient",
        "max_pool": "stochastic",
    }
    supported: set[str] = {
        "stn-resnet18": set(given) - {"max_pool"},
        "mobilenet": {"attention"},
        "googlenet": {"planes"},
        "vgg16-bn": {"max_pool"},
    }.get(name, set())
    unsupported = set(given) - supported
    assert set(UNSUPPORTED_OPTIONS[name]) == unsupported
    for option, value in given.items():
        if option in unsupported:
            with pytest.raises(
                ConfigError,
                match=f"^{option} = {re.escape(repr(value))}: net '{name}' has no option {option}; leave",
            ):
                NetConfig(name=name, **{option: value})
        else:
            assert small(name, **{option: value}).eval()(torch.randn(1, 1, 32, 32)).shape == (1, 8)
    assert set(OTHERS) <= set(NETS)


@pytest.mark.parametrize("name", OTHERS)
def test_dropout_acts_in_training_only(name: str) -> None:
    net, x = small(name, dropout=0.5).eval(), torch.randn(4, 1, 32, 32)
    torch.testing.assert_close(net(x), net(x), rtol=0, atol=0)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.train()
    assert not torch.equal(net(x), net(x))


def test_a_side_without_whole_patches_is_refused() -> None:
    with pytest.raises(ConfigError, match="vit: pictures of 50 pixels do not split into patches of 8"):
        small("vit", side=50)


def test_the_spatial_transformer_starts_at_the_identity_and_moves_pictures() -> None:
    net: Any = small("stn-resnet18").eval()
    x = torch.full((2, 1, 32, 32), -MEAN / STD)
    x[:, :, 8:24, 12:16] = 3
    torch.testing.assert_close(net.transformer(x), x, rtol=0, atol=1e-5)
    with torch.no_grad():
        net.transformer.affine.bias[2] = 8 / 32 * 2  # looks 8 pixels to the right
    torch.testing.assert_close(net.transformer(x)[..., :24], x[..., 8:], rtol=0, atol=1e-4)
    torch.testing.assert_close(net.transformer(x)[..., 24:], x[..., :8], rtol=0, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        net.transformer.affine.bias.data[2] = 1 / 3
        maps = net.transformer.map(x)
        assert net(x).shape == (2, 8)
    torch.testing.assert_close(maps, torch.tensor([[[1, 0, 1 / 3], [0, 1, 0]]] * 2), rtol=0, atol=1e-6)
    net.train()(x).square().sum().backward()
    assert net.transformer.affine.weight.grad.abs().sum() > 0


def test_residual_blocks_of_mobilenet_start_as_their_shortcuts() -> None:
    net = small("mobilenet").eval()
    x = torch.randn(1, 8, 4, 4)
    torch.testing.assert_close(net.get_submodule("layer2.1")(x), x)
    assert isinstance(net.get_submodule("pool.1"), AveragePooling)


@functools.cache
def learnt(name: str) -> tuple[nn.Module, NDArray[np.uint8], list[float]]:
    """A small net that was shown eight pictures, one a class; the pictures; its losses."""
    blots = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 1, 6, 6)).astype(np.float32))
    squares = resize(blots, 32)[:, 0].clamp(0, 255).numpy().astype(np.uint8)
    x, net, losses = standardised(squares), small(name).train(), [math.inf]
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
    while losses[-1] > 0.1 and len(losses) <= 60:
        loss = nn.functional.cross_entropy(net(x), torch.arange(8))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        for _ in range(20):  # the norms' statistics follow
            net(x)
    return net.eval(), squares, losses[1:]


def standardised(squares: NDArray[np.uint8]) -> torch.Tensor:
    return (torch.from_numpy(squares)[:, None].float() / 255 - MEAN) / STD


@pytest.mark.parametrize("name", OTHERS)
def test_each_learns_a_handful_of_pictures(name: str) -> None:
    net, squares, losses = learnt(name)
    assert losses[0] < 4, "the first answers are not far worse than guesses"
    assert losses[-1] <= 0.1
    assert net(standardised(squares)).argmax(1).tolist() == list(range(8))


@pytest.mark.parametrize("name", OTHERS)
def test_onnx_and_int8_answer_as_torch_does(name: str) -> None:
    net, squares, _ = learnt(name)
    with torch.no_grad():
        said = net(standardised(squares)).numpy()
    model = export_onnx(net, 32)
    for count in (1, 8):
        np.testing.assert_allclose(run_onnx(model, squares[:count]), said[:count], rtol=1e-3, atol=1e-3)
    coarse = run_onnx(quantize(model, squares), squares)
    assert coarse.argmax(1).tolist() == list(range(8))
    assert np.square(coarse - said).mean() < 0.05 * said.var(0).mean()
