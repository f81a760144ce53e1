"""One net out of several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from hanmo.cli.main import app
from hanmo.errors import ArgumentError, CheckpointError
from hanmo.nets.quantization import FakeQuantize
from hanmo.train.average import AverageOptions, average_runs
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


def test_runs_count_as_much_as_they_are_told_to(legs: list[Path], tmp_path: Path) -> None:
    average_runs(legs, tmp_path, AverageOptions(shares=(3.0, 1.0)))
    mean, one, other = (load_trained(run).net.state_dict()["fc.weight"] for run in (tmp_path, *legs))
    torch.testing.assert_close(mean, 0.75 * one + 0.25 * other)


def test_large_layers_are_rounded(legs: list[Path], tmp_path: Path) -> None:
    average_runs(legs, tmp_path / "free")
    average_runs(legs, tmp_path / "few", AverageOptions(weight_bits=4))
    free, few = (load_trained(tmp_path / name).net.state_dict() for name in ("free", "few"))
    changed = [name for name in free if not torch.equal(free[name], few[name])]
    assert changed
    for name in changed:
        torch.testing.assert_close(few[name], FakeQuantize(4)(free[name]))


def test_statistics_move_to_those_of_a_pack(legs: list[Path], drawn: Path, tmp_path: Path) -> None:
    pack = drawn / "small-train"
    for share in (0.0, 0.5, 1.0):
        average_runs(legs[:1], tmp_path / str(share), AverageOptions(statistics=pack, statistics_share=share))
    own, half, there = (load_trained(tmp_path / str(share)).net.state_dict() for share in (0.0, 0.5, 1.0))
    before = load_trained(legs[0]).net.state_dict()
    moved = 0
    for name, tensor in before.items():
        torch.testing.assert_close(own[name], tensor)
        if not name.endswith(("running_mean", "running_var")):
            assert torch.equal(there[name], own[name]), name
            continue
        torch.testing.assert_close(half[name], (own[name] + there[name]) / 2)
        moved += not torch.allclose(own[name], there[name])
    assert moved
    assert load_trained(tmp_path / "1.0").trained_on[-1].startswith("statistics of the norms: ")
    command = ["average", str(legs[0]), "--out", str(tmp_path / "verb"), "--statistics-share", "0.5"]
    assert "name it by --statistics" in CliRunner().invoke(app, command).output
    result = CliRunner().invoke(app, [*command, "--statistics", str(pack)])
    assert "with other statistics" in result.output
    torch.testing.assert_close(load_trained(tmp_path / "verb").net.state_dict(), half)


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
    with pytest.raises(ArgumentError, match="at least two"):
        average_runs(legs[:1], tmp_path / "out")
    with pytest.raises(ArgumentError, match="3 shares for 2 runs; one each"):
        average_runs(legs, tmp_path / "out", AverageOptions(shares=(1.0, 1.0, 1.0)))
    for wrong in ({"shares": (0.5, 0.0)}, {"weight_bits": 9}, {"statistics_share": 1.5}):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            AverageOptions(**wrong)
    with pytest.raises(CheckpointError, match=r"its (net|charset) is"):
        average_runs([legs[0], tiny_run], tmp_path / "out")
    Trainer(small(train={"epochs": 1}, net={"width": 16}), tmp_path / "wide", Processes.join("cpu")).run()
    with pytest.raises(CheckpointError, match=r"wide: its net is resnet18\+x0.25, resnet18\+x0.125 in .*alike"):
        average_runs([legs[0], tmp_path / "wide"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
