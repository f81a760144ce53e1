"""Several domains in one training: equal parts of every batch, and a student for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hanmo.config import dump_toml
from hanmo.data.pack import write_pack
from hanmo.data.sample import Sample
from hanmo.errors import CharsetError, ConfigError, PackError
from hanmo.normalize import Normalization
from hanmo.train import speed
from hanmo.train.config import DataConfig, DistillConfig, MethodConfig, Recipe
from hanmo.train.data import open_training
from hanmo.train.domains import DomainData
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes
from hanmo.train.run import load_trained
from stopped_runs import stop_at

CPU = torch.device("cpu")
ALONE = Processes(device=CPU)


def synth(path: Path, more: str = "", characters: str = "永人山水", side: int = 32) -> str:
    head = f'characters = "{characters}"\nper_character = 8\n[normalization]\nside = {side}\n'
    path.write_text(f"{head}[style]\nbinary = 0.0\n{more}", encoding="utf-8")
    return f"synth:{path}"


def pack_of(path: Path, characters: str, side: int = 32, each: int = 3) -> str:
    """Black squares: no drawn character is one."""
    picture = np.full((40, 40), 255, np.uint8)
    picture[4:36, 4:36] = 0
    samples = [Sample(c, picture, "real.gnt") for c in characters for _ in range(each)]
    write_pack(path, samples, normalization=Normalization(side=side))
    return str(path)


@pytest.fixture
def config(tmp_path: Path) -> DataConfig:
    drawn, other = synth(tmp_path / "a.toml"), synth(tmp_path / "b.toml", characters="水山人永")
    return DataConfig(train=drawn, domains=(other, pack_of(tmp_path / "real", "山人")))


def test_every_batch_has_as_many_of_each_domain(config: DataConfig) -> None:
    data, info = open_training(config, CPU)
    assert isinstance(info, DomainData)
    assert len(data) == 3 * 32
    batches = list(data.epoch(0, 12, 0, ALONE))
    assert len(batches) == len(data) // 12 == 8
    for squares, labels in batches:
        black = (squares[:, 4:28, 4:28] > 250).all(2).all(1)
        assert black.tolist() == [False] * 8 + [True] * 4
        assert {info.charset[int(c)] for c in labels[8:]} <= {"山", "人"}
    assert info.sources[-1] == "real.gnt"


def test_classes_have_the_numbers_of_the_first_domain(tmp_path: Path) -> None:
    first, second = pack_of(tmp_path / "one", "山人"), pack_of(tmp_path / "two", "人", each=4)
    data, info = open_training(DataConfig(train=first, domains=(second,)), CPU)
    (_, labels), *_ = data.epoch(0, 8, 0, ALONE)
    assert {info.charset[int(c)] for c in labels[4:]} == {"人"}


def test_a_smaller_domain_begins_anew_and_every_sample_has_its_turn(tmp_path: Path) -> None:
    numbered = []
    for number in range(4):
        picture = np.full((40, 40), 255, np.uint8)
        picture[4:36, 4 : 12 + 8 * number] = 0
        numbered.append(Sample("山", picture, "real.gnt"))
    write_pack(tmp_path / "four", numbered, normalization=Normalization(side=32))
    large = pack_of(tmp_path / "large", "山", each=12)
    data, _ = open_training(DataConfig(train=large, domains=(str(tmp_path / "four"),)), CPU)
    seen = [int(s.sum()) for epoch in range(2) for squares, _ in data.epoch(epoch, 4, 0, ALONE) for s in squares[2:]]
    assert len(seen) == 24
    for start in range(0, 24, 4):  # its own epochs go on over the ends of the first domain's
        assert len(set(seen[start : start + 4])) == 4
    late = [int(s.sum()) for squares, _ in data.epoch(1, 4, 0, ALONE, start=2) for s in squares[2:]]
    assert late == seen[12 + 2 * 2 :]


def test_unfit_domains_are_named(tmp_path: Path) -> None:
    drawn = synth(tmp_path / "a.toml")

    def opened(domain: str) -> None:
        open_training(DataConfig(train=drawn, domains=(domain,)), CPU)

    with pytest.raises(CharsetError, match=r"other: .*take a domain of the first one's characters"):
        opened(pack_of(tmp_path / "other", "山火"))
    with pytest.raises(PackError, match="wide"):
        opened(pack_of(tmp_path / "wide", "山", side=48))
    with pytest.raises(ConfigError, match=r"large.toml: draws .*the first domain has"):
        opened(synth(tmp_path / "large.toml", side=48))
    with pytest.raises(ConfigError, match="draws on pages, which domains cannot"):
        opened(synth(tmp_path / "page.toml", "[page]\n"))
    with pytest.raises(ConfigError, match="name at least one source beside train"):
        DataConfig(train=drawn, real="x", domains=("y",))
    assert "\ndomains" not in dump_toml(DataConfig(train=drawn)), "recipes of before are written as before"


def taught(small: Any, config: DataConfig, **changes: Any) -> Recipe:
    methods = (MethodConfig(name="distral", options={"domains": 3}),)
    train = {"epochs": 2, "batch": 12, "checkpoint_every": 0}
    distill = DistillConfig(methods=methods, label_weight=0.0)
    recipe: Recipe = small(train=train, data=config, **changes, distill=distill)
    return recipe


def test_distral_trains_and_goes_on_bit_for_bit(
    small: Any, config: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "LOG_SECONDS", -1.0)
    recipe = taught(small, config)
    trainer = Trainer(recipe, tmp_path / "straight", ALONE)
    before = {k: v.clone() for k, v in trainer.state.net.state_dict().items()}
    assert len(trainer.state.learners[1].methods[0].students) == 3  # type: ignore[index, union-attr, arg-type]
    trainer.run()
    kept = load_trained(tmp_path / "straight")
    assert kept.net.state_dict().keys() == before.keys()
    assert not torch.equal(kept.net.state_dict()["conv1.weight"], before["conv1.weight"])
    assert "real.gnt" in kept.trained_on

    with pytest.raises(KeyboardInterrupt):
        Trainer(recipe, tmp_path / "stopped", ALONE, stop_at(11)).run()  # in the second epoch
    Trainer(recipe, tmp_path / "stopped", ALONE).run(resume=True)
    one, other = (tmp_path / name / "weights.safetensors" for name in ("straight", "stopped"))
    assert one.read_bytes() == other.read_bytes()


def test_distral_needs_domains_whole_batches_and_unmixed_pictures(small: Any, config: DataConfig) -> None:
    with pytest.raises(ConfigError, match=r"method 'distral': domains = 3, but data has 1; set data.domains"):
        taught(small, DataConfig(train=config.train))
    with pytest.raises(ConfigError, match=r"mixed pictures belong to two domains; set optim.mixup = 0"):
        taught(small, config, optim={"mixup": 0.2})
    with pytest.raises(ConfigError, match=r"train.batch 16: 3 domains cannot share it; take a multiple"):
        small(data=config)
