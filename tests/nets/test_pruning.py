"""What a net takes over from one that is wider, deeper or without its attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hanmo.nets.classifier import select_classes
from hanmo.nets.pruning import can_prune_to, prune_to
from hanmo.nets.registry import NETS, NetConfig, build_net
from hanmo.nets.resnet import ResNet
from varied_norms import vary_norms

SIDE = 32


def build(**options: Any) -> ResNet:
    net = build_net(NetConfig(**{"name": "resnet16", "width": 8, **options}), 10, SIDE).eval()
    assert isinstance(net, ResNet)
    return net


@torch.no_grad()
def lived_in(**options: Any) -> ResNet:
    """A net whose norms are not as they were initialised."""
    torch.manual_seed(0)
    net = build(**options)
    vary_norms(net)
    return net


@torch.no_grad()
def logits(net: nn.Module) -> Tensor:
    x = torch.rand(4, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    answer: Tensor = net.eval()(x)
    return answer


def pruned(given: nn.Module, **options: Any) -> ResNet:
    net = build(**options)
    assert can_prune_to(net, given.state_dict())
    prune_to(net, given.state_dict())
    return net


def live_channels(net: ResNet, width: int, seed: int = 0) -> dict[str, Tensor]:
    """The norms of ``net`` -> as many of their channels as a net of ``width`` has, any of them, in order.

    Norms that write to the same stream have the same.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen: dict[str, Tensor] = {}

    def some(name: str, stage: int) -> Tensor:
        channels = len(net.get_submodule(name).weight)  # type: ignore[arg-type]
        return torch.randperm(channels, generator=generator)[: width << stage].sort().values

    names = [name for name, module in net.named_modules() if isinstance(module, nn.BatchNorm2d)]
    for stage in range(4):
        stream = some(f"layer{stage + 1}.0.bn2", stage)
        for name in names:
            if name.startswith(f"layer{stage + 1}."):
                chosen[name] = some(name, stage) if name.endswith(".bn1") else stream
        if stage == 0:
            chosen["bn1"] = stream
    assert chosen.keys() == set(names)
    return chosen


@torch.no_grad()
def let_die(net: nn.Module, live: dict[str, Tensor]) -> None:
    """Silence all channels but those that ``live`` names for each norm."""
    for name, channels in live.items():
        norm = net.get_submodule(name)
        dead = torch.ones(len(norm.weight), dtype=torch.bool)  # type: ignore[arg-type]
        dead[channels] = False
        norm.weight[dead] = 0  # type: ignore[operator]
        norm.bias[dead] = 0  # type: ignore[operator]


@pytest.mark.parametrize("options", [{}, {"attention": "se"}, {"attention": "cbam"}, {"stem": "imagenet"}])
@pytest.mark.parametrize("pool", ["average", "weighted"])
def test_of_a_net_of_the_same_shape_everything(options: dict[str, str], pool: str) -> None:
    given = lived_in(**options, pool=pool)
    net = pruned(given, **options, pool=pool)
    assert all(torch.equal(tensor, given.state_dict()[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize("attention", ["se", "eca"])
def test_new_attention_changes_nothing_at_first(attention: str) -> None:
    given = lived_in()
    net = pruned(given, attention=attention)
    torch.testing.assert_close(logits(net), logits(given), rtol=1e-5, atol=1e-5)
    net.train()(torch.rand(4, 1, SIDE, SIDE)).square().sum().backward()
    levelled = {name: p for name, p in net.named_parameters() if ".attention." in name and not p.any()}
    assert levelled
    assert all(p.grad is not None and p.grad.any() for p in levelled.values()), "it can learn"


def test_new_weighted_pooling_changes_nothing_at_first() -> None:
    given = lived_in(width=16)
    torch.testing.assert_close(logits(pruned(given, width=16, pool="weighted")), logits(given), rtol=1e-5, atol=1e-5)


def test_attention_with_fewer_hidden_units_keeps_the_strongest() -> None:
    given = lived_in(width=16, attention="se", reduction=1)
    for block in (block for stage in (1, 2, 3, 4) for block in getattr(given, f"layer{stage}")):
        with torch.no_grad():
            block.attention.expand.weight[:, 4:] = 0  # only four units have any effect
    net = pruned(given, width=16, attention="se", reduction=32)
    assert len(net.layer4[0].attention.reduce.weight) == 4  # type: ignore[union-attr,arg-type]
    torch.testing.assert_close(logits(net), logits(given), rtol=1e-4, atol=1e-5)


def test_dead_channels_are_left_out_and_the_answers_stay() -> None:
    for pool, stem in (("average", "stride2"), ("weighted", "stride2"), ("average", "imagenet")):
        given = lived_in(width=24, pool=pool, stem=stem)
        live = live_channels(given, 16)
        let_die(given, live)
        net = pruned(given, width=16, pool=pool, stem=stem)
        for name, channels in live.items():
            assert torch.equal(net.get_submodule(name).running_mean, given.get_submodule(name).running_mean[channels])  # type: ignore[index,arg-type]
        torch.testing.assert_close(logits(net), logits(given), rtol=1e-4, atol=1e-5)
        narrower = pruned(given, width=12, pool=pool, stem=stem)
        assert (logits(narrower) - logits(given)).abs().max() > 0.1, "what counts was taken"


def test_the_strongest_channels_are_kept_in_their_order() -> None:
    given = lived_in(width=16)
    net = pruned(given, width=8)
    strength = given.layer1[0].bn1.weight.detach().square()  # type: ignore[union-attr,operator]
    kept = strength.topk(8).indices.sort().values
    assert torch.equal(net.layer1[0].bn1.weight, given.layer1[0].bn1.weight[kept])  # type: ignore[union-attr,arg-type,index]
    writers = [given.bn1, given.layer1[0].bn2, given.layer1[1].bn2]
    together = torch.stack([norm.weight.detach().square() for norm in writers]).sum(0)  # type: ignore[union-attr,operator]
    stream = together.topk(8).indices.sort().values
    assert torch.equal(net.bn1.weight, given.bn1.weight[stream])
    assert torch.equal(net.conv1.weight, given.conv1.weight[stream])
    expected = given.layer1[0].conv1.weight[kept][:, stream]  # type: ignore[union-attr,index]
    assert torch.equal(net.layer1[0].conv1.weight, expected)  # type: ignore[union-attr,arg-type]


def test_blocks_it_has_not_are_left_out() -> None:
    given = lived_in(name="resnet18")
    net = pruned(given, name="resnet16")
    assert len(net.layer4) == 1
    assert all(torch.equal(tensor, given.state_dict()[name]) for name, tensor in net.state_dict().items())
    given.layer4 = nn.Sequential(given.layer4[0])
    torch.testing.assert_close(logits(net), logits(given), rtol=0, atol=0)
    assert (
        logits(pruned(lived_in(name="resnet34", width=24), name="resnet18", width=16, attention="se")).isfinite().all()
    )


@pytest.mark.parametrize(
    ("own", "given"),
    [
        ({"name": "resnet50"}, {"name": "resnet50"}),
        ({"name": "resnet18"}, {"name": "resnet50"}),
        ({"width": 16}, {"width": 8}),
        ({"name": "resnet18"}, {"name": "resnet16"}),
        ({"stem": "stride4"}, {"stem": "stride4"}),
        ({"stem": "stride2"}, {"stem": "stride4", "width": 16}),
        ({"stem": "imagenet"}, {"stem": "stride2"}),
        ({"pool": "average"}, {"pool": "weighted"}),
        ({}, {"attention": "se"}),
    ],
)
def test_nets_of_another_shape_cannot_be_pruned_to(own: dict[str, Any], given: dict[str, Any]) -> None:
    assert not can_prune_to(build(**own), build(**given).state_dict())


def test_other_classes_and_other_nets_cannot_be_pruned_to() -> None:
    assert not can_prune_to(build(), build_net(NetConfig(name="resnet16", width=8), 11, SIDE).state_dict())
    assert not can_prune_to(build().layer1, build().state_dict())
    assert not can_prune_to(build(), {})


def test_squeeze_and_excitation_is_narrowed_with_its_channels() -> None:
    """Of a net whose left-out channels and hidden numbers are dead, a narrower one answers the same."""
    given = lived_in(width=80, attention="se")  # hidden: 5, 10, 20, 40 of them; at width 64: 4, 8, 16, 32
    live = live_channels(given, 64)
    let_die(given, live)
    with torch.no_grad():
        for block in (block for stage in range(1, 5) for block in getattr(given, f"layer{stage}")):
            hidden = len(block.attention.reduce.weight)
            block.attention.expand.weight[:, : hidden // 5] = 0
    net = pruned(given, width=64, attention="se")
    assert len(net.layer4[0].attention.reduce.weight) == 32  # type: ignore[union-attr,arg-type]
    torch.testing.assert_close(logits(net), logits(given), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", sorted(NETS))
def test_every_net_can_be_narrowed_to_some_classes(name: str) -> None:
    torch.manual_seed(0)
    net = build_net(NetConfig(name=name, width=8), 10, SIDE).eval()
    x = torch.randn(2, 1, SIDE, SIDE)
    chosen = torch.tensor([7, 0, 3])
    with torch.no_grad():
        before = net(x)[:, chosen]
        select_classes(net, chosen)
        torch.testing.assert_close(net(x), before)
