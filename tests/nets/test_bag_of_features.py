"""Bag-of-features pooling: histograms of the words that places resemble, in nets that train, load and export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hanmo.config import dump_toml
from hanmo.errors import ConfigError
from hanmo.export.onnx import export_onnx
from hanmo.export.quantize import run_onnx
from hanmo.net_rules import check_net
from hanmo.nets.bag_of_features import BagOfFeatures
from hanmo.nets.pruning import can_prune_to
from hanmo.nets.registry import NetConfig, build_net, build_shapes, count_parameters
from hanmo.normalize import standardise
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes
from hanmo.train.run import load_trained


def config(**options: Any) -> NetConfig:
    return NetConfig(**{"width": 8, "depths": (1, 1, 1, 1), "pool": "bag-of-features", "words": 6, **options})


def test_shares_are_the_formula_of_the_paper() -> None:
    torch.manual_seed(0)
    bag = BagOfFeatures(3, 4, 5)
    x = torch.rand(2, 3, 4, 4)
    distances = (x[:, None] - bag.codebook[None, :, :, None, None]).square().sum(2)
    expected = torch.softmax(-distances / bag.widths.square()[:, None, None], 1)
    torch.testing.assert_close(bag.shares(x), expected)
    histograms = bag(x).view(2, 5, 2, 2)
    torch.testing.assert_close(histograms[:, :, 0, 1], 5 * expected[:, :, :2, 2:].mean((2, 3)))
    torch.testing.assert_close(histograms.sum(1), torch.full((2, 2, 2), 5.0))


def test_a_place_belongs_to_the_word_that_it_equals() -> None:
    bag = BagOfFeatures(4, 2, 3)
    with torch.no_grad():
        bag.codebook.copy_(torch.tensor([[9.0, 0, 0, 0], [0, 9.0, 0, 0], [0, 0, 9.0, 0]]))
    x = bag.codebook[torch.tensor([2, 0, 1, 1])].T.reshape(1, 4, 2, 2)
    assert bag.shares(x).argmax(1).flatten().tolist() == [2, 0, 1, 1]
    assert bag.shares(x).amax(1).min() > 0.99


def test_mixed_precision_changes_no_word() -> None:
    torch.manual_seed(0)
    bag = BagOfFeatures(64, 4, 32)
    with torch.no_grad():
        bag.widths.fill_(0.1)  # narrow words: each place belongs to one of them
    x = torch.rand(4, 64, 4, 4).bfloat16()  # as the convolutions before give it under autocast
    with torch.autocast("cpu", torch.bfloat16):
        mixed = bag.shares(x)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, bag.shares(x.float()))


@pytest.mark.parametrize(("places", "outputs"), [(1, 5), (2, 20), (3, 20), (4, 20)])
def test_every_side_of_a_map(places: int, outputs: int) -> None:
    bag = BagOfFeatures(3, places, 5)
    assert bag.outputs == outputs
    assert bag(torch.rand(2, 3, places, places)).shape == (2, outputs)


def test_sizes_names_and_recipes() -> None:
    plain, bag = (count_parameters(build_shapes(NetConfig(pool=p), 100, 64)) for p in ("average", "bag-of-features"))
    assert bag - plain == 128 * 512 + 128, "words and widths; the classifier has 512 inputs as before"
    assert str(config()) == "resnet18+x0.125+1-1-1-1+bag-of-features-pool+words6"
    assert "words" not in dump_toml(NetConfig()), "recipes of before are written as before"
    with pytest.raises(ConfigError, match="words 6: is for pool 'bag-of-features'"):
        NetConfig(words=6)
    with pytest.raises(ConfigError, match="words 1: 2 to 16,384"):
        config(words=1)


def test_a_codebook_is_not_pruned() -> None:
    wide = build_net(config(width=16), 5, 32).state_dict()
    assert not can_prune_to(build_net(config(), 5, 32), wide)  # type: ignore[arg-type]


@pytest.mark.parametrize("side", [32, 48])
def test_it_exports_to_the_operators_that_bundles_may_have(side: int) -> None:
    torch.manual_seed(0)
    net = build_net(config(), 5, side).eval()
    model = export_onnx(net, side)
    check_net(model)
    given = np.random.default_rng(0).integers(0, 256, (3, side, side), np.uint8)
    with torch.no_grad():
        expected = net(standardise(torch.from_numpy(given)[:, None].float() / 255)).numpy()
    np.testing.assert_allclose(run_onnx(model, given), expected, rtol=1e-3, atol=1e-3)


def test_words_and_widths_are_trained_and_load(small: Any, tmp_path: Path) -> None:
    recipe = small(net={"pool": "bag-of-features", "words": 6}, train={"epochs": 2})
    trainer = Trainer(recipe, tmp_path / "run", Processes.join("cpu"))
    before = {name: tensor.clone() for name, tensor in trainer.state.net.state_dict().items()}
    trainer.run()
    after = load_trained(tmp_path / "run").net.state_dict()
    for name in ("pool.codebook", "pool.widths"):
        assert not torch.equal(before[name], after[name])


def test_a_net_with_a_codebook_learns_eight_pictures() -> None:
    torch.manual_seed(0)
    net = build_net(config(words=16), 8, 32).train()
    pictures, labels = torch.randn(8, 1, 32, 32), torch.arange(8)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(pictures), labels).backward()
        optimizer.step()
    assert (net(pictures).argmax(1) == labels).all()
