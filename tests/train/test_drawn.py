"""Training on handwriting that is drawn as it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hanmo.errors import CharsetError, ConfigError
from hanmo.train.config import DataConfig
from hanmo.train.data import open_training
from hanmo.train.drawn import DrawnData
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes
from hanmo.train.run import load_trained

CPU = torch.device("cpu")
ALONE = Processes(device=CPU)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "drawn.toml"
    path.write_text('characters = "永人山水"\nper_character = 12\nseed = 3\n', encoding="utf-8")
    return path


def test_every_epoch_is_drawn_anew_and_the_same_again(recipe: Path) -> None:
    data = DrawnData(recipe, CPU)
    assert len(data) == 48
    first, again, second = (list(data.epoch(e, 16, 0, ALONE)) for e in (0, 0, 1))
    assert [labels.tolist() for _, labels in first] == [labels.tolist() for _, labels in again]
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(first, again, strict=True))
    pictures = torch.cat([images for images, _ in first + second])
    assert pictures.shape == (96, 64, 64)
    assert pictures.dtype == torch.uint8
    assert len(pictures.unique(dim=0)) == 96
    assert torch.cat([labels for _, labels in first]).bincount().tolist() == [12] * 4


def test_an_epoch_begun_late_or_shared_is_the_same(recipe: Path) -> None:
    data = DrawnData(recipe, CPU)
    whole = list(data.epoch(2, 16, 5, ALONE))
    late = list(data.epoch(2, 16, 5, ALONE, start=2))
    assert torch.equal(late[0][0], whole[2][0])
    shares = [list(data.epoch(2, 16, 5, Processes(rank=r, world=2, device=CPU))) for r in (0, 1)]
    for (images, labels), (one, a), (other, b) in zip(whole, *shares, strict=True):
        assert torch.equal(images, torch.cat([one, other]))
        assert torch.equal(labels, torch.cat([a, b]))


def test_the_digest_changes_with_what_is_drawn(recipe: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(recipe.read_text(encoding="utf-8") + "[style]\nlinks = 0.1\n", encoding="utf-8")
    assert DrawnData(recipe, CPU).digest == DrawnData(recipe, CPU).digest != DrawnData(other, CPU).digest


def test_a_run_says_what_it_was_drawn_from(small: Any, recipe: Path, tmp_path: Path) -> None:
    made = small(data={"train": f"synth:{recipe}", "test": None}, train={"epochs": 1})
    record = Trainer(made, tmp_path / "run", Processes.join("cpu")).run()
    assert record["step"] == 3
    trained = load_trained(tmp_path / "run")
    assert trained.charset.characters == ("永", "人", "山", "水")
    assert trained.trained_on[0].startswith("drawn strokes: ")


def test_a_resumed_run_goes_on_exactly(small: Any, recipe: Path, tmp_path: Path) -> None:
    made = small(data={"train": f"synth:{recipe}", "test": None}, train={"checkpoint_every": 1})
    Trainer(made, tmp_path / "whole", Processes.join("cpu")).run()

    def stop(record: dict[str, Any]) -> None:
        if trainer.state.step >= 5:
            raise KeyboardInterrupt

    trainer = Trainer(made, tmp_path / "parts", Processes.join("cpu"), stop)
    advance = trainer.advance

    def interrupted(*batch: Any) -> Any:
        if trainer.state.step == 5:
            raise KeyboardInterrupt
        return advance(*batch)

    trainer.advance = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    Trainer(made, tmp_path / "parts", Processes.join("cpu")).run(resume=True)
    whole, parts = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "parts"))
    assert whole == parts


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('characters = "永𪚥A"\n', encoding="utf-8")
    with pytest.raises(CharsetError, match=r"2 character\(s\): A 𪚥"):
        open_training(DataConfig(train=f"synth:{path}"), CPU)
    path.write_text('characters = "永"\n[normalization]\nmethod = "moment"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="drawn into training as fit, not moment"):
        open_training(DataConfig(train=f"synth:{path}"), CPU)
    with pytest.raises(ConfigError, match="cannot be read"):
        open_training(DataConfig(train=f"synth:{tmp_path / 'none.toml'}"), CPU)


def test_sets_of_characters_can_be_drawn_more_often(tmp_path: Path) -> None:
    path = tmp_path / "drawn.toml"
    path.write_text('characters = "永人臺國"\nper_character = 4\n', encoding="utf-8")
    data, _ = open_training(DataConfig(train=f"synth:{path}", oversample={"level1": 3}), CPU)
    assert len(data) == 4 * (2 * 3 + 2)
    labels = torch.cat([labels for _, labels in data.epoch(0, 16, 0, ALONE)])
    assert labels.bincount().tolist() == [12, 12, 4, 4]
    plain = DrawnData(path, CPU)
    assert plain.digest != data.digest  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="oversample level1 = 0 is impossible"):
        DataConfig(train="synth:x.toml", oversample={"level1": 0})
    with pytest.raises(CharsetError, match="'levl1' is no set"):
        DataConfig(train="synth:x.toml", oversample={"levl1": 2})
    with pytest.raises(ConfigError, match="oversample is for drawn samples"):
        DataConfig(train="pack", oversample={"level1": 2})


def test_a_run_records_groups_and_starts_from_fewer_characters(small: Any, recipe: Path, tmp_path: Path) -> None:
    first = small(data={"train": f"synth:{recipe}", "test": None}, train={"epochs": 1})
    Trainer(first, tmp_path / "first", ALONE).run()
    wider = tmp_path / "wider.toml"
    wider.write_text('characters = "永人山水口囗十+"\ngroups = true\nper_character = 4\n', encoding="utf-8")
    changes = {"epochs": 1, "start": str(tmp_path / "first")}
    onward = small(data={"train": f"synth:{wider}", "test": None}, train=changes)
    trainer = Trainer(onward, tmp_path / "onward", ALONE)
    began, before = trainer.state.net.fc.weight, load_trained(tmp_path / "first").net.fc.weight  # type: ignore[union-attr]
    assert torch.equal(began[:4], before)  # type: ignore[index,arg-type]
    trainer.run()
    trained = load_trained(tmp_path / "onward")
    assert trained.groups == {"口": "口囗", "十": "十+"}
    assert str(trained.charset) == "永人山水口十"
