"""A run that was stopped and continued is the run that was not: bit for bit on a CPU."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hanmo.errors import CheckpointError, RunError
from hanmo.train import speed
from hanmo.train.config import DistillConfig, MethodConfig, Recipe
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes

Record = dict[str, Any]
TIMES = {"images_per_s", "seconds"}
STEPS = 20


@pytest.fixture(autouse=True)
def _log_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "LOG_SECONDS", -1.0)


def train(
    recipe: Recipe, folder: Path, on_record: Callable[[Record], None] = lambda r: None, *, resume: bool = False
) -> Record:
    return Trainer(recipe, folder, Processes.join("cpu"), on_record).run(resume=resume)


def metrics(folder: Path) -> list[Record]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines]


def stop_at(step: int, kind: str = "train", *, by_signal: bool = False) -> Callable[[Record], None]:
    def on_record(record: Record) -> None:
        if record["step"] == step and record["kind"] == kind:
            if not by_signal:
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)

    return on_record


def assert_same(straight: Path, resumed: Path) -> None:
    assert (resumed / "weights.safetensors").read_bytes() == (straight / "weights.safetensors").read_bytes()
    assert metrics(resumed) == metrics(straight)


# The step to stop at, by the kind of record just written: mid-epoch, at an epoch's end, before its evaluation is
# logged and after, and after the last step of all.
STOPS = [(3, "train"), (12, "train"), (10, "train"), (10, "eval"), (STEPS, "train")]


def test_stopped_anywhere_it_goes_on_bit_for_bit(small: Any, tmp_path: Path) -> None:
    recipe = small(net={"attention": "cbam", "dropout": 0.2})
    train(recipe, tmp_path / "straight")
    kinds = [(r["step"], r["kind"]) for r in metrics(tmp_path / "straight")]
    assert kinds.count((10, "train")) == kinds.count((10, "eval")) == kinds.count((STEPS, "end")) == 1
    for number, (step, kind) in enumerate(STOPS):
        folder = tmp_path / f"stopped-{number}"
        with pytest.raises(KeyboardInterrupt):
            train(recipe, folder, stop_at(step, kind, by_signal=number % 2 == 1))
        assert not (folder / "weights.safetensors").exists()
        train(recipe, folder, resume=True)
        assert_same(tmp_path / "straight", folder)


@pytest.mark.parametrize("optim", [{"name": "sgd"}, {"name": "sgd", "momentum": 0.0, "ema": 0.0}, {"mixup": 0.4}])
def test_every_optimiser_and_mixup_go_on_bit_for_bit(small: Any, tmp_path: Path, optim: Record) -> None:
    recipe = small(optim=optim, train={"epochs": 2})
    train(recipe, tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "stopped", stop_at(4))
    train(recipe, tmp_path / "stopped", resume=True)
    assert_same(tmp_path / "straight", tmp_path / "stopped")


def test_distillation_goes_on_bit_for_bit(small: Any, tmp_path: Path) -> None:
    train(small(train={"epochs": 1}), tmp_path / "teacher")
    methods = (MethodConfig(name="kd", options={"temperature": 3.0}), MethodConfig(name="at", weight=50.0))
    recipe = small(
        distill=DistillConfig(teachers=(str(tmp_path / "teacher"),), methods=methods),
        optim={"mixup": 0.2},
        train={"epochs": 2},
    )
    train(recipe, tmp_path / "straight")
    assert set(metrics(tmp_path / "straight")[0]["parts"]) == {"label", "kd", "at"}
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "stopped", stop_at(7))
    train(recipe, tmp_path / "stopped", resume=True)
    assert_same(tmp_path / "straight", tmp_path / "stopped")


def test_stopped_twice_and_killed_before_any_checkpoint(small: Any, tmp_path: Path) -> None:
    recipe = small(train={"epochs": 2})
    train(recipe, tmp_path / "straight")
    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        train(recipe, folder, stop_at(3))
    for checkpoint in (folder / "checkpoints").iterdir():
        checkpoint.unlink()
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "tr')  # killed while writing
    with pytest.raises(KeyboardInterrupt):
        train(recipe, folder, stop_at(2), resume=True)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, folder, stop_at(6), resume=True)
    train(recipe, folder, resume=True)
    assert_same(tmp_path / "straight", folder)


def test_going_on_needs_nothing_to_go_on_from(small: Any, tmp_path: Path) -> None:
    assert train(small(train={"epochs": 1}), tmp_path / "run", resume=True)["step"] == 5


def test_a_finished_run_stays_as_it_is(small: Any, tmp_path: Path) -> None:
    record = train(small(train={"epochs": 2}), tmp_path / "run")
    kept = {name: (tmp_path / "run" / name).read_bytes() for name in ("weights.safetensors", "metrics.jsonl")}
    assert train(small(train={"epochs": 2}), tmp_path / "run", resume=True) == record
    assert {name: (tmp_path / "run" / name).read_bytes() for name in kept} == kept


def test_another_recipe_is_refused_and_loses_nothing(small: Any, tmp_path: Path) -> None:
    train(small(train={"epochs": 1}), tmp_path / "run")
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    with pytest.raises(RunError, match=r"holds another recipe \(optim\.learning_rate was 0\.005, now 0\.001\)"):
        train(small(train={"epochs": 1}, optim={"learning_rate": 1e-3}), tmp_path / "run", resume=True)
    with pytest.raises(RunError, match=r"already holds a run; continue it with --resume or choose another --out"):
        train(small(train={"epochs": 1}), tmp_path / "run")
    assert {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()} == before


def test_damaged_logs_are_named(small: Any, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(small(), tmp_path / "run", stop_at(3))
    for name, content, message in (
        ("metrics.jsonl", b"{\n{}\n", r"metrics\.jsonl: damaged"),
        ("metrics.jsonl", b"\xff\n", r"metrics\.jsonl: damaged"),
        ("metrics.jsonl", b"{}\n", r"metrics\.jsonl: line 1 is no record"),
        ("metrics.jsonl", b'{"kind": "end", "step": "3"}\n', r"metrics\.jsonl: line 1 is no record"),
        ("environment.json", b'{"data": ', r"environment\.json: damaged"),
        ("environment.json", b"[]", r"environment\.json: damaged"),
    ):
        file = tmp_path / "run" / name
        before = file.read_bytes()
        file.write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            train(small(), tmp_path / "run", resume=True)
        file.write_bytes(before)


def test_an_impatient_second_interrupt_ends_the_program(small: Any, tmp_path: Path) -> None:
    def twice(record: Record) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as caught:
        train(small(), tmp_path / "run", twice)
    assert caught.value.code == 130
    assert signal.getsignal(signal.SIGINT) is before
