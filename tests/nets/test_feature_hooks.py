"""Reading inner features without touching the net."""

from __future__ import annotations

import pytest
import torch

from hanmo.errors import ConfigError
from hanmo.nets.ensemble import Ensemble, resize, resize_input
from hanmo.nets.feature_hooks import FeatureHooks
from hanmo.nets.registry import NetConfig, build_net


def test_features_come_by_name_and_the_net_stays_as_it_is() -> None:
    net = build_net(NetConfig(width=8), 5, 32).eval()
    x = torch.rand(2, 1, 32, 32)
    before, keys = net(x), list(net.state_dict())
    hooked = FeatureHooks(net, ["layer1", "layer4", "layer2.0.conv1", "pool"])
    logits, features, _ = hooked(x)
    torch.testing.assert_close(logits, before, rtol=0, atol=0)
    assert list(net.state_dict()) == keys
    assert {name: tuple(f.shape) for name, f in features.items()} == {
        "layer1": (2, 8, 16, 16),
        "layer2.0.conv1": (2, 16, 8, 8),
        "layer4": (2, 64, 2, 2),
        "pool": (2, 64),
    }
    torch.testing.assert_close(net.get_submodule("fc")(features["pool"]), logits)
    assert FeatureHooks(net)(x).features == {}
    net(x)
    hooked(x)
    assert hooked._features == {}, "features are not held beyond the call"


def test_features_are_those_of_this_call_and_carry_gradients() -> None:
    net = build_net(NetConfig(width=8), 5, 32)
    hooked = FeatureHooks(net, ["layer2"])
    assert hooked.training
    one, two = hooked(torch.rand(2, 1, 32, 32)), hooked(torch.rand(2, 1, 32, 32))
    assert not torch.equal(one.features["layer2"], two.features["layer2"])
    one.features["layer2"].sum().backward()
    weight = net.get_parameter("conv1.weight")
    assert weight.grad is not None
    assert weight.grad.abs().sum() > 0
    assert net.get_parameter("fc.weight").grad is None


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("layer5", r"no layer 'layer5'; did you mean 'layer\d'\? it has: conv1, bn1, .*layer4\.1"),
        ("", "no layer ''; it has: conv1"),
        ("x", "no layer 'x'; it has: conv1"),
    ],
)
def test_unknown_layers_list_the_known(layer: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FeatureHooks(build_net(NetConfig(width=8), 5, 32), [layer])


def test_an_ensemble_is_the_mean_of_log_probabilities() -> None:
    nets = [build_net(NetConfig(width=8), 5, 32).eval() for _ in range(3)]
    x = torch.rand(2, 1, 32, 32)
    ensemble = Ensemble(nets)
    expected = sum(net(x).log_softmax(-1) for net in nets) / 3
    torch.testing.assert_close(ensemble(x), expected)
    hooked = FeatureHooks(ensemble, ["members.1.layer3"])
    assert hooked(x).features["members.1.layer3"].shape == (2, 32, 4, 4)
    torch.testing.assert_close(Ensemble(nets[:1])(x).softmax(-1), nets[0](x).softmax(-1))


def test_weights_of_an_ensemble_are_shares() -> None:
    nets = [build_net(NetConfig(width=8), 5, 32).eval() for _ in range(2)]
    x = torch.rand(2, 1, 32, 32)
    expected = (3 * nets[0](x).log_softmax(-1) + nets[1](x).log_softmax(-1)) / 4
    torch.testing.assert_close(Ensemble(nets, (1.5, 0.5))(x), expected)


def test_a_net_sees_pictures_at_its_own_side_and_keeps_its_names() -> None:
    net = build_net(NetConfig(width=8), 5, 32).eval()
    sizes: list[int] = []
    net.get_submodule("conv1").register_forward_pre_hook(lambda m, inputs: sizes.append(inputs[0].shape[-1]))
    names = list(net.state_dict())
    hooked = FeatureHooks(resize_input(net, 32), ["layer1"])
    for side in (24, 32, 48):
        hooked(torch.rand(2, 1, side, side))
    assert sizes == [32, 32, 32]
    assert list(net.state_dict()) == names


@pytest.mark.parametrize("side", [16, 32, 64])
def test_resizing_keeps_ink_where_it_was(side: int) -> None:
    x = torch.zeros(1, 1, 32, 32)
    x[..., 8:24, 4:12] = 1.0
    resized = resize(x, side)
    assert resized.shape == (1, 1, side, side)
    assert resized.mean().item() == pytest.approx(x.mean().item(), rel=0.02)
    places = torch.arange(side) + 0.5
    assert ((resized[0, 0].sum(0) * places).sum() / resized.sum() / side).item() == pytest.approx(0.25, abs=0.01)
