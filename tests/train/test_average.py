"""One net out of several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from hanmo.cli.main import app
from hanmo.errors import CheckpointError
from hanmo.train.average import average_runs
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes
from hanmo.train.run import load_trained


@pytest.fixture(scope="module")
def legs(small: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A run, and one that goes on from it."""
    folder = tmp_path_factory.mktemp("legs")
    first, second = folder / "first", folder / "second"
    Trainer(small(train={"epochs": 1}), first, Processes.join("cpu")).run()
    onward = small(train={"epochs": 1, "seed": 5, "start": str(first)})
    Trainer(onward, second, Processes.join("cpu")).run()
    return [first, second]


def test_weights_and_statistics_are_the_mean(legs: list[Path], tmp_path: Path) -> None:
    average_runs(legs, tmp_path)
    mean, *each = (load_trained(run) for run in (tmp_path, *legs))
    for name, tensor in mean.net.state_dict().items():
        one, other = (trained.net.state_dict()[name] for trained in each)
        torch.testing.assert_close(tensor, (one + other) / 2 if tensor.is_floating_point() else one)
    assert (mean.config, mean.charset, mean.normalization) == (each[0].config, each[0].charset, each[0].normalization)
    assert mean.trained_on == each[0].trained_on
    assert mean.accuracy == {}, "nothing is known of it yet"


def test_the_verb_tells_what_it_wrote(legs: list[Path], tmp_path: Path) -> None:
    command = ["average", *map(str, legs), "--out", str(tmp_path / "mean")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert result.output.strip().endswith("weights.safetensors: the mean of 2 runs")
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 2
    assert "has a run or weights already; take another folder" in again.output
    assert CliRunner().invoke(app, [*command[:-1], str(legs[0])]).exit_code == 2


def test_what_cannot_be_averaged(legs: list[Path], tiny_run: Path, small: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="at least two"):
        average_runs(legs[:1], tmp_path / "out")
    with pytest.raises(CheckpointError, match=r"its (net|charset) is"):
        average_runs([legs[0], tiny_run], tmp_path / "out")
    Trainer(small(train={"epochs": 1}, net={"width": 16}), tmp_path / "wide", Processes.join("cpu")).run()
    with pytest.raises(CheckpointError, match=r"wide: its net is resnet18\+x0.25, resnet18\+x0.125 in .*alike"):
        average_runs([legs[0], tmp_path / "wide"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
