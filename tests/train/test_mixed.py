"""Real samples among drawn ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hanmo.data.pack import write_pack
from hanmo.data.sample import Sample
from hanmo.errors import CharsetError, ConfigError, PackError
from hanmo.normalize import Normalization
from hanmo.train.config import DataConfig
from hanmo.train.data import open_training
from hanmo.train.loop import Trainer
from hanmo.train.mixed import MixedData
from hanmo.train.parallel import Processes
from hanmo.train.run import load_trained

CPU = torch.device("cpu")


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "drawn.toml"
    path.write_text(
        'characters = "永人山水"\nper_character = 8\n[normalization]\nside = 32\n[style]\nbinary = 0.0\n',
        encoding="utf-8",
    )
    return f"synth:{path}"


def pack_of(path: Path, characters: str, side: int = 32) -> str:
    """Black squares: no drawn character is one."""
    picture = np.full((40, 40), 255, np.uint8)
    picture[4:36, 4:36] = 0
    samples = [Sample(c, picture, "real.gnt") for c in characters for _ in range(3)]
    write_pack(path, samples, normalization=Normalization(side=side))
    return str(path)


def test_every_batch_has_its_share_of_real_samples(recipe: str, tmp_path: Path) -> None:
    real = pack_of(tmp_path / "real", "山人")
    data, described = open_training(DataConfig(train=recipe, real=real, real_share=0.25), CPU)
    assert isinstance(described, MixedData)
    batches = list(data.epoch(0, 8, 0, Processes(device=CPU)))
    assert len(batches) == 4
    seen = set()
    for images, labels in batches:
        black = (images[:, 4:28, 4:28] > 250).all(2).all(1)
        assert black.tolist() == [True] * 2 + [False] * 6
        seen |= {described.charset[int(c)] for c in labels[:2]}
    assert seen == {"山", "人"}
    again = list(data.epoch(0, 8, 0, Processes(device=CPU)))
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(batches, again, strict=True))
    late = list(data.epoch(0, 8, 0, Processes(device=CPU), start=2))
    assert torch.equal(late[0][0], batches[2][0])
    assert torch.equal(late[0][1], batches[2][1])


def test_a_run_records_both_sources(small: Any, recipe: str, tmp_path: Path) -> None:
    real = pack_of(tmp_path / "real", "山人")
    mixed = small(data={"train": recipe, "test": None, "real": real}, train={"epochs": 1})
    Trainer(mixed, tmp_path / "run", Processes.join("cpu")).run()
    sources = load_trained(tmp_path / "run").trained_on
    assert sources[0].startswith("drawn strokes: ")
    assert sources[-1] == "real.gnt"


def test_what_cannot_be_mixed_is_said(recipe: str, tmp_path: Path) -> None:
    with pytest.raises(CharsetError, match="other"):
        open_training(DataConfig(train=recipe, real=pack_of(tmp_path / "other", "山火")), CPU)
    with pytest.raises(PackError, match="wide"):
        open_training(DataConfig(train=recipe, real=pack_of(tmp_path / "wide", "山", side=48)), CPU)
    for share in (0.0, 1.0):
        with pytest.raises(ConfigError, match="real_share"):
            DataConfig(train=recipe, real="x", real_share=share)
    with pytest.raises(ConfigError, match="train is a pack"):
        DataConfig(train="packs/train", real="packs/real")
