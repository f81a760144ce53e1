"""``hanmo train`` and ``hanmo distill`` from the outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hanmo.cli.main import app

RECIPE = """
name = "cli"
[data]
train = "{packs}/small-train"
test = "{packs}/small-test"
[net]
width = 4
[train]
epochs = 2
batch = 16
evaluate_every = 1
checkpoint_every = 1
"""
DISTILL = """
[distill]
teachers = ["{teacher}"]
[[distill.methods]]
name = "kd"
options = {{ temperature = 3 }}
[[distill.methods]]
name = "at"
weight = 10
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Exit status, stdout and stderr of a command, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return invoke


@pytest.fixture
def recipe(tmp_path: Path, drawn: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(packs=drawn), encoding="utf-8")
    return path


def test_train_then_distil(run: Run, recipe: Path, drawn: Path, tmp_path: Path) -> None:
    status, out, err = run("train", str(recipe), "--device", "cpu", "--json")
    assert status == 0, err
    record = json.loads(out)
    assert record["run"] == str(Path("runs", "cli"))
    assert {"top1", "top5", "loss", "seconds", "images_per_s"} <= set(record)
    assert "resnet18+x0.0625: 0.04 M parameters, " in err
    assert "5 classes, 80 samples on cpu" in err
    assert "epoch 1: top-1 " in err
    teacher = tmp_path / "runs" / "cli"
    assert sorted(p.name for p in (teacher / "plots").iterdir()) == ["accuracy.png", "learning_rate.png", "loss.png"]

    student = tmp_path / "student.toml"
    student.write_text(RECIPE.format(packs=drawn) + DISTILL.format(teacher=teacher), encoding="utf-8")
    assert run("distill", str(student), "--set", "train.epochs=1", "--out", "out/student", "--device", "cpu")[0] == 0
    records = [json.loads(line) for line in (tmp_path / "out/student/metrics.jsonl").read_text().splitlines()]
    assert set(records[0]["parts"]) == {"label", "kd", "at"}
    assert records[-1]["epoch"] == 1


def test_resume_continues_and_a_new_start_is_refused(run: Run, recipe: Path, tmp_path: Path) -> None:
    assert run("train", str(recipe), "--device", "cpu")[0] == 0
    status, out, err = run("train", str(recipe), "--device", "cpu")
    assert (status, out) == (2, "")
    assert "already holds a run; continue it with --resume" in err
    weights = tmp_path / "runs" / "cli" / "weights.safetensors"
    before = weights.read_bytes()
    weights.unlink()
    assert run("train", str(recipe), "--device", "cpu", "--resume")[0] == 0
    assert weights.read_bytes() == before


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train none.toml", "none.toml: cannot be read: No such file or directory"),
        ("train recipe.toml --set train.epoch=3", "unknown key 'train.epoch'; did you mean 'train.epochs'?"),
        ("train recipe.toml --set train.epochs=many", "train.epochs = 'many': a value of type int is needed"),
        ("train recipe.toml --set augment.rotate=-3", "augment: rotate is negative; 0 switches it off"),
        ("train recipe.toml --set net.name=resnet81", "net: net 'resnet81' is unknown; did you mean 'resnet18'"),
        ("train recipe.toml --set data.train=nowhere", "nowhere: not a pack"),
        ("train recipe.toml --set train.batch=1000", "train.batch 1000 is larger than the 80 training samples"),
        ("train recipe.toml --device quantum", "device 'quantum' cannot be used (Expected one of cpu, "),
        ("train recipe.toml --device cuda:99", "device 'cuda:99' cannot be used ("),
        ("train recipe.toml --device meta", "device 'meta' is not one hanmo trains on; take cpu, cuda or"),
        ("distill recipe.toml", "recipe.toml: has no [distill] section"),
        ('train recipe.toml --set distill.teachers=["x"]', "recipe.toml: has a [distill] section; use: hanmo"),
        ('distill recipe.toml --set distill.teachers=["x"]', "x: no such file"),
        ("distill recipe.toml --set distill.teachers=x", "distill.teachers = 'x': a list"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    run: Run, recipe: Path, tmp_path: Path, command: str, message: str
) -> None:
    status, out, err = run(*command.split())
    assert (status, out) == (2, "")
    line = err.strip().splitlines()[-1]
    assert message in line
    assert line.startswith("hanmo: ")
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()


def test_torchrun_starts_the_command_line(recipe: Path, tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["-m", "hanmo", "train", str(recipe), "--device", "cpu", "--set", "train.epochs=1", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*torchrun, *command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["step"] == 5, "one process reports"
    assert (tmp_path / "runs" / "cli" / "weights.safetensors").is_file()
