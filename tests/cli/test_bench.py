"""hanmo bench: what it says before it starts, what it leaves behind, and that it goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hanmo.cli.main import app
from hanmo.config import dump_toml

BENCH = """
name = "toy"
recipe = "{recipe}"
seeds = [0]
students = ["small"]
teachers = ["large/0"]
nets = [{{ name = "small", net = {{ width = 8 }} }}, {{ name = "large", title = "Large", net = {{ width = 16 }} }}]

[[methods]]
name = "kd"
title = "KD"
methods = [{{ name = "kd" }}]
"""


@pytest.fixture
def bench(small: Any, tmp_path: Path) -> Path:
    recipe = small(train={"epochs": 1, "evaluate_every": 0, "checkpoint_every": 0})
    (tmp_path / "recipe.toml").write_text(dump_toml(recipe), encoding="utf-8")
    path = tmp_path / "bench.toml"
    path.write_text(BENCH.format(recipe=tmp_path / "recipe.toml"), encoding="utf-8")
    return path


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["bench", *map(str, arguments)])


def test_the_plan_says_what_it_costs_and_trains_nothing(bench: Path, tmp_path: Path) -> None:
    result = run("distill", bench, "--out", tmp_path / "out", "--dry-run")
    assert result.exit_code == 0, result.stderr
    for part in ("kd+small", "0 of 1", "M images", "10^15 MACs"):
        assert part in result.stderr
    assert not (tmp_path / "out").exists()


def test_rows_are_trained_measured_and_told_and_done_once(bench: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("distill", bench, "--out", out, "--gpus", 0, "--only", "small", "--at-once", 2)
    assert result.exit_code == 0, result.output
    result = run("distill", bench, "--out", out, "--gpus", 0, "--report", tmp_path / "table.md")
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [(r["job"], r["seed"]) for r in records] == [("small", 0), ("large", 0), ("kd+small", 0)]
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| Large | 0.70 M |" in table
    assert "Student: **small**" in table
    assert f"| KD | 1 | {records[2]['top1']:.2f} |" in table
    assert (out / "accuracy.png").stat().st_size > 5_000
    result = run("steps", bench, "--out", out, "--only", "kd+small")
    assert result.exit_code == 0, result.output
    cost = json.loads((out / "steps.jsonl").read_text())
    assert cost["job"] == "kd+small"
    assert cost["ms"] > 0
    again = ("--only", "small", "--set", 'changes=["train.epochs=2"]')
    result = run("distill", bench, "--out", out, "--gpus", 0, *again)
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert records[-1]["epoch"] == 2, "what was changed is trained again"


def test_unknown_rows_and_no_time(bench: Path, tmp_path: Path) -> None:
    result = run("distill", bench, "--out", tmp_path / "out", "--only", "smal")
    assert result.exit_code == 2
    assert "--only smal: no such row; did you mean 'small'?" in result.stderr
    assert run("steps", bench, "--out", tmp_path / "out", "--only", "smal").exit_code == 2
    result = run("distill", bench, "--out", tmp_path / "out", "--gpus", 99)
    assert result.exit_code == 2
    assert "--gpus 99: there are" in result.stderr
    result = run("distill", bench, "--out", tmp_path / "out", "--gpus", 0, "--minutes", 0)
    assert result.exit_code == 1
    assert "left: small large kd+small" in result.stdout


def test_the_classic_baseline(drawn: Path) -> None:
    result = run("classic", drawn / "train", drawn / "test", "--json")
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures["n"] == 300
    assert figures["top1"] > 80


def test_the_classic_baseline_with_gabor_features_and_mce(drawn: Path) -> None:
    packs = (drawn / "train", drawn / "test")
    plain, gabor, trained = (
        json.loads(run("classic", *packs, "--json", *more).stdout)
        for more in ((), ("--features", "gabor"), ("--features", "gabor", "--mce", "1"))
    )
    assert plain["parameters"] == gabor["parameters"] == trained["parameters"]
    assert min(gabor["top1"], trained["top1"]) > 85
    assert run("classic", *packs, "--features", "wavelet").exit_code == 2
