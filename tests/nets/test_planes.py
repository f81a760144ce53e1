"""Hand-made input planes: the numbers of the classic features, inside nets that train, prune and export as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hanmo.classic.features import direction_planes
from hanmo.config import dump_toml
from hanmo.errors import CheckpointError, ConfigError
from hanmo.export.onnx import export_onnx
from hanmo.export.quantize import run_onnx
from hanmo.net_rules import check_net
from hanmo.nets.planes import InputPlanes
from hanmo.nets.registry import NetConfig, build_net, build_shapes, count_parameters
from hanmo.normalize import standardise
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes
from hanmo.train.run import load_trained


def squares(count: int, side: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side), np.uint8)


def pictures(given: np.ndarray) -> torch.Tensor:
    return standardise(torch.from_numpy(given)[:, None].float() / 255)


def test_the_planes_are_those_of_the_classic_features() -> None:
    given = squares(3)
    expected = torch.from_numpy(np.stack(direction_planes(given, 8), axis=1))
    torch.testing.assert_close(InputPlanes("directmap")(pictures(given)), expected, rtol=1e-4, atol=1e-5)
    both = InputPlanes("gradient")(pictures(given))
    torch.testing.assert_close(both[:, :1], pictures(given))
    torch.testing.assert_close(both[:, 1:], expected, rtol=1e-4, atol=1e-5)


def test_an_edge_is_in_the_plane_of_its_direction() -> None:
    """Ink grows to the right: by a full step over two pixels, in direction 0 alone. Blank paper has no gradient."""
    given = np.zeros((1, 8, 8), np.uint8)
    assert InputPlanes("directmap")(pictures(given)).abs().max() < 1e-6
    given[:, :, 4:] = 255
    middle = InputPlanes("directmap")(pictures(given))[0, :, 4, 4]
    torch.testing.assert_close(middle, torch.tensor([0.5, 0, 0, 0, 0, 0, 0, 0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["resnet18", "stn-resnet18", "googlenet"])
@pytest.mark.parametrize(("planes", "more"), [("gradient", 8), ("directmap", 7)])
def test_only_the_first_convolution_grows(name: str, planes: Any, more: int) -> None:
    plain, rich = (NetConfig(name=name, planes=p) for p in (None, planes))
    kernel = 49 if name == "googlenet" else 9
    shapes = [count_parameters(build_shapes(config, 100, 64)) for config in (plain, rich)]
    assert shapes[1] - shapes[0] == more * kernel * 64
    net = build_net(NetConfig(name=name, width=8, planes=planes), 5, 32).train()
    x = pictures(squares(2)).requires_grad_()
    net(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0, "the planes pass the gradient on to the picture"
    assert not any("along" in key for key in net.state_dict()), "constants are not saved"


def test_the_directional_maps_of_the_paper_on_googlenet() -> None:
    plain, rich = (NetConfig(name="googlenet", planes=p) for p in (None, "gradient"))
    assert count_parameters(build_shapes(rich, 3755, 64)) - count_parameters(build_shapes(plain, 3755, 64)) == 25_088


def test_names_and_recipes() -> None:
    assert str(NetConfig(planes="directmap")) == "resnet18+directmap-planes"
    assert "planes" not in dump_toml(NetConfig()), "recipes of before are written as before"
    with pytest.raises(ConfigError, match="planes = 'gradient': net 'vit' has no option planes"):
        NetConfig(name="vit", planes="gradient")


def test_a_net_with_planes_exports_to_the_operators_that_bundles_may_have() -> None:
    torch.manual_seed(0)
    net = build_net(NetConfig(width=8, planes="gradient"), 5, 32).eval()
    model = export_onnx(net, 32)
    check_net(model)
    given = squares(3)
    with torch.no_grad():
        expected = net(pictures(given)).numpy()
    np.testing.assert_allclose(run_onnx(model, given), expected, rtol=1e-3, atol=1e-3)


def test_it_trains_and_its_weights_load(small: Any, tmp_path: Path) -> None:
    recipe = small(net={"planes": "directmap"}, train={"epochs": 1})
    Trainer(recipe, tmp_path / "run", Processes.join("cpu")).run()
    assert load_trained(tmp_path / "run").config.planes == "directmap"
    onward = small(train={"epochs": 1, "start": str(tmp_path / "run")})
    with pytest.raises(CheckpointError, match=r"of another net: it has another shape of 'conv1.weight'"):
        Trainer(onward, tmp_path / "onward", Processes.join("cpu"))
