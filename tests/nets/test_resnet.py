"""Networks: their sizes, the names of their weights, and what each option changes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hanmo.config import from_table, to_table
from hanmo.errors import ConfigError
from hanmo.nets.attention import ATTENTION
from hanmo.nets.registry import NETS, NetConfig, build_net, count_macs, count_parameters, register_net
from hanmo.nets.resnet import AveragePooling, WeightedPooling

Shapes = dict[str, tuple[int, ...]]


def shapes_of(net: nn.Module) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}


def norm(name: str, channels: int) -> Shapes:
    numbers = {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return {**numbers, f"{name}.num_batches_tracked": ()}


def torchvision_resnet(depths: tuple[int, ...], classes: int, *, bottleneck: bool) -> Shapes:
    """Names and shapes of torchvision.models.resnet18, 34 or 50, by its rule (torchvision 0.20, resnet.py)."""
    table: Shapes = {"conv1.weight": (64, 3, 7, 7), **norm("bn1", 64)}
    inputs, expansion = 64, 4 if bottleneck else 1
    for stage, depth in enumerate(depths, start=1):
        width = 32 << stage
        for i in range(depth):
            block, outputs = f"layer{stage}.{i}", width * expansion
            if bottleneck:
                kernels = [(width, inputs, 1, 1), (width, width, 3, 3), (outputs, width, 1, 1)]
            else:
                kernels = [(width, inputs, 3, 3), (width, width, 3, 3)]
            for number, kernel in enumerate(kernels, start=1):
                table[f"{block}.conv{number}.weight"] = kernel
                table |= norm(f"{block}.bn{number}", kernel[0])
            if i == 0 and (stage > 1 or inputs != outputs):
                table[f"{block}.downsample.0.weight"] = (outputs, inputs, 1, 1)
                table |= norm(f"{block}.downsample.1", outputs)
            inputs = outputs
    return table | {"fc.weight": (classes, inputs), "fc.bias": (classes,)}


@pytest.mark.parametrize(
    ("name", "depths", "bottleneck", "published"),
    [
        ("resnet18", (2, 2, 2, 2), False, 11_689_512),
        ("resnet34", (3, 4, 6, 3), False, 21_797_672),
        ("resnet50", (3, 4, 6, 3), True, 25_557_032),
    ],
)
def test_the_state_dict_is_torchvisions(name: str, depths: tuple[int, ...], bottleneck: bool, published: int) -> None:
    theirs = torchvision_resnet(depths, 1000, bottleneck=bottleneck)
    learnt = {k: s for k, s in theirs.items() if "running" not in k and "tracked" not in k}
    assert sum(torch.Size(s).numel() for s in learnt.values()) == published, "the rule in this test"
    ours = shapes_of(build_net(NetConfig(name=name), 1000))
    assert ours.keys() == theirs.keys()
    assert {k for k in theirs if ours[k] != theirs[k]} == {"conv1.weight"}
    assert ours["conv1.weight"] == (64, 1, 3, 3)
    original = shapes_of(build_net(NetConfig(name=name, stem="imagenet"), 1000))
    assert {k: original[k] for k in original if original[k] != theirs[k]} == {"conv1.weight": (64, 1, 7, 7)}


@pytest.mark.parametrize(("classes", "parameters"), [(3755, 13_093_995), (100, 11_218_980)])
def test_resnet18_is_as_large_as_the_papers(classes: int, parameters: int) -> None:
    assert count_parameters(build_net(NetConfig(), classes)) == parameters


def test_attention_adds_only_its_own_weights() -> None:
    plain = shapes_of(build_net(NetConfig(width=16), 5))
    for attention in ATTENTION:
        ours = shapes_of(build_net(NetConfig(width=16, attention=attention), 5))
        assert {k: s for k, s in ours.items() if ".attention." not in k} == plain
        assert (ours != plain) == (attention in {"se", "eca", "cbam"})


def test_se_in_every_block_of_resnet18() -> None:
    more = count_parameters(build_net(NetConfig(attention="se"), 100)) - 11_218_980
    weights = sum(2 * 2 * c * c // 16 for c in (64, 128, 256, 512))
    biases = sum(2 * (c + c // 16) for c in (64, 128, 256, 512))
    assert weights == 87_040
    assert more == weights + biases


@pytest.mark.parametrize("name", ["resnet16", "resnet18", "resnet34", "resnet50"])
@pytest.mark.parametrize("stem", ["stride2", "stride4", "imagenet"])
@pytest.mark.parametrize("pool", ["average", "weighted"])
def test_every_stem_and_pool_gives_logits(name: str, stem: str, pool: str) -> None:
    config = NetConfig(name=name, width=8, stem=stem, pool=pool)  # type: ignore[arg-type]
    for side in (32, 49):
        net = build_net(config, 7, side).eval()
        assert net(torch.rand(2, 1, side, side)).shape == (2, 7)


def test_macs_are_those_of_the_layers() -> None:
    classes, side, width = 10, 32, 8
    net = build_net(NetConfig(width=width), classes, side)
    places, channels = [16 * 16, 8 * 8, 4 * 4, 2 * 2], [width << i for i in range(4)]
    macs = 9 * width * places[0] + channels[3] * classes
    for stage, (place, c) in enumerate(zip(places, channels, strict=True)):
        first = c if stage == 0 else c // 2
        macs += place * (9 * first * c + 3 * 9 * c * c + (0 if stage == 0 else first * c))
    assert count_macs(net, side) == macs
    assert net.training


def test_weighted_pooling_starts_as_the_average_and_learns_places() -> None:
    x = torch.rand(2, 3, 4, 5)
    weighted = WeightedPooling(3, 4, 5)
    torch.testing.assert_close(weighted(x), AveragePooling()(x))
    torch.manual_seed(0)
    average = build_net(NetConfig(width=8), 5, 32).eval()
    torch.manual_seed(0)
    learning = build_net(NetConfig(width=8, pool="weighted"), 5, 32).eval()
    picture = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(learning(picture), average(picture))
    weighted(x).square().sum().backward()
    assert weighted.weight.grad is not None
    assert weighted.weight.grad.flatten(1).std(1).min() > 0


def test_every_block_starts_as_its_shortcut() -> None:
    for name in ("resnet18", "resnet50"):
        net = build_net(NetConfig(name=name, width=8), 5).eval()
        block = net.get_submodule("layer1.1")
        x = torch.rand(1, 8 if name == "resnet18" else 32, 8, 8)
        torch.testing.assert_close(block(x), x)


def test_dropout_acts_in_training_only() -> None:
    net = build_net(NetConfig(width=8, dropout=0.5), 5, 32)
    x = torch.rand(4, 1, 32, 32)
    assert not torch.equal(net(x), net(x))
    net.eval()
    torch.testing.assert_close(net(x), net(x), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "resnet19"}, "net 'resnet19' is unknown; did you mean 'resnet18'"),
        ({"name": "lenet"}, "net 'lenet' is unknown; did you mean 'alexnet'"),
        ({"name": "xyz"}, "net 'xyz' is unknown; known: resnet16, resnet18, resnet34, resnet50, stn-resnet18, mobile"),
        ({"attention": "cbma"}, "attention 'cbma' is unknown; did you mean 'cbam'"),
        ({"width": 3}, "width 3 is too small"),
        ({"dropout": 1.0}, "dropout 1.0 is not a share"),
        ({"dropout": -0.1}, "dropout -0.1 is not a share"),
        ({"depths": (2, 2, 2)}, r"depths \[2, 2, 2\]: the blocks of four stages"),
        ({"depths": (2, 2, 0, 1)}, "at least 1 each"),
        ({"name": "vit", "depths": (1, 1, 1, 1)}, "net 'vit' has no option depths; leave it out"),
        ({"name": "mobilenet", "kernel": 5}, "net 'mobilenet' has no option kernel; leave it out"),
    ],
)
def test_impossible_nets(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NetConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "stn-resnet18"])
def test_depths_and_kernel_are_a_resnets_to_choose(name: str) -> None:
    net = build_net(NetConfig(name=name, width=8, depths=(1, 2, 1, 3), kernel=5), 7, 32).eval()
    assert [len(net.get_submodule(f"layer{stage}")) for stage in (1, 2, 3, 4)] == [1, 2, 1, 3]  # type: ignore[arg-type]
    assert net.state_dict()["conv1.weight"].shape == (8, 1, 5, 5)
    assert net(torch.rand(2, 1, 32, 32)).shape == (2, 7)


def test_left_out_depths_and_kernel_change_and_store_nothing() -> None:
    torch.manual_seed(0)
    plain = build_net(NetConfig(width=8), 5, 32).state_dict()
    torch.manual_seed(0)
    spelt = build_net(NetConfig(width=8, depths=(2, 2, 2, 2), kernel=3), 5, 32).state_dict()
    assert plain.keys() == spelt.keys()
    assert all(torch.equal(plain[name], spelt[name]) for name in plain)
    header = to_table(NetConfig(width=8))
    assert header.keys() == {"name", "attention", "width", "stem", "pool", "dropout"}, "as older weights have it"
    assert from_table(header, NetConfig) == NetConfig(width=8)
    chosen = NetConfig(depths=(1, 1, 2, 1), kernel=5)
    assert from_table(to_table(chosen), NetConfig) == chosen


def test_a_net_of_ones_own_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hanmo.nets.registry.NETS", dict(NETS))

    @register_net("linear")
    def linear(config: NetConfig, classes: int, side: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(side * side, classes))

    assert count_parameters(build_net(NetConfig(name="linear"), 3, 8)) == 3 * 65


def test_a_config_says_what_it_is() -> None:
    assert str(NetConfig()) == "resnet18"
    config = NetConfig(name="resnet34", width=96, stem="stride4", pool="weighted", attention="se")
    assert str(config) == "resnet34+x1.5+stride4+weighted-pool+se"
    assert str(NetConfig(depths=(1, 2, 2, 1), kernel=5)) == "resnet18+1-2-2-1+kernel5"
