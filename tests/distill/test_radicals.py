"""Radicals: what they are, what the head learns, and that it finds their regions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hanmo.distill import build_method
from hanmo.distill.radicals import radical_loss, radicals_of
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output
from hanmo.train.config import DistillConfig, MethodConfig
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes

CHARACTERS = "湖话树语村明"


def test_radicals_are_the_components_of_all_characters() -> None:
    assert set(radicals_of(CHARACTERS)) == set("氵十口月讠千木又寸五日")
    assert radicals_of("A1") == ("1", "A")


def test_the_loss_is_that_of_the_best_place() -> None:
    members = torch.tensor([[1.0, 0], [1, 1]])
    maps = torch.full((1, 2, 2, 2), -20.0)
    maps[0, 0, 1, 0] = 20
    assert radical_loss(maps, torch.tensor([0]), members).item() == pytest.approx(0, abs=1e-6)
    assert radical_loss(maps, torch.tensor([1]), members).item() == pytest.approx(20, abs=1e-3), "the second is missing"
    half = radical_loss(maps, torch.tensor([[0.5, 0.5]]), members).item()
    assert half == pytest.approx(10, abs=1e-3), "mixed pictures have half of the radical"


def test_the_head_starts_with_how_frequent_radicals_are_and_is_no_part_of_the_weights() -> None:
    method: Any = build_method("radicals", {})
    method.name_classes(CHARACTERS)
    features = Output(torch.zeros(2, 6), {"layer4": torch.zeros(2, 8, 3, 3)})
    method.connect(features, features)
    chances = torch.sigmoid(method.head.bias)
    torch.testing.assert_close(chances, method.members.mean(0))
    assert set(method.state_dict()) == {"head.weight", "head.bias"}


def test_the_head_finds_regions() -> None:
    """Two radicals, each a channel of the map at a place of its own; only the class is given."""
    method: Any = build_method("radicals", {})
    method.name_classes("明朋沐汨")  # 日月, 月, 氵木, 氵日
    torch.manual_seed(0)
    parts = radicals_of("明朋沐汨")
    assert set(parts) == set("日月氵木")
    maps = torch.zeros(3, 4, 4, 4)
    maps[0, 0, 0, 1] = maps[0, 1, 0, 3] = maps[1, 1, 2, 2] = maps[2, 2, 3, 0] = maps[2, 3, 3, 3] = 3.0
    shown, labels = Output(torch.zeros(3, 4), {"layer4": maps}), torch.tensor([0, 1, 2])
    method.connect(shown, shown)
    optimizer = torch.optim.Adam(method.parameters(), 0.1)
    for _ in range(200):
        optimizer.zero_grad()
        method(shown, shown, labels).backward()
        optimizer.step()
    moon = method.head(maps)[:, parts.index("月")].detach()
    assert moon[0].argmax() == 3, "row 0, column 3"
    assert moon[1].argmax() == 2 * 4 + 2
    assert moon[2].max() < 0


def test_what_cannot_be() -> None:
    method: Any = build_method("radicals", {})
    method.name_classes(CHARACTERS)
    tokens = Output(torch.zeros(2, 6), {"layer4": torch.zeros(2, 9, 8)})
    with pytest.raises(ConfigError, match=r"radicals: layer 'layer4' gives \(2, 9, 8\), no map"):
        method.connect(tokens, tokens)


def test_it_trains_and_resumes(small: Any, drawn: Path, tmp_path: Path) -> None:
    distill = DistillConfig(methods=(MethodConfig(name="radicals"), MethodConfig(name="mce")), label_weight=1.0)
    recipe = small(distill=distill, train={"epochs": 2, "checkpoint_every": 1})
    records: list[dict[str, Any]] = []
    trainer = Trainer(recipe, tmp_path / "run", Processes.join("cpu"), records.append)
    trainer.run()
    parts = [record["parts"] for record in records if record["kind"] == "train"]
    assert {"label", "radicals", "mce"} == set(parts[-1])
    again = Trainer(recipe, tmp_path / "run", Processes.join("cpu"))
    (tmp_path / "run" / "weights.safetensors").unlink()
    again._load_checkpoint()
    assert again.state.step > 0
    names = set(again.state.net.state_dict())
    assert not any("head" in name for name in names)
