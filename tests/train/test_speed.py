"""The speedometer, with a clock of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hanmo.train import speed
from hanmo.train.config import Recipe
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes
from hanmo.train.run import RunFolder
from hanmo.train.speed import Speedometer


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """One number, the time in seconds, for tests to set."""
    now = [0.0]
    monkeypatch.setattr(speed.time, "perf_counter", lambda: now[0])
    return now


def test_pauses_take_no_time(clock: list[float]) -> None:
    meter = Speedometer(torch.device("cpu"))
    meter.count(100)
    clock[0] = 1.0
    with meter.paused():
        clock[0] = 60.0
    assert not meter.is_due()
    meter.count(100)
    clock[0] = 63.0
    assert meter.is_due()
    assert meter.rate() == pytest.approx(200 / 4)
    assert not meter.is_due()


def test_epochs_shorter_than_the_interval_are_logged_too(
    clock: list[float], small: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four epochs of five steps, a second each: a record follows every third second."""
    advance = Trainer.advance

    def slow(self: Trainer, *args: object) -> object:
        clock[0] += 1.0
        return advance(self, *args)

    monkeypatch.setattr(Trainer, "advance", slow)
    Trainer(small(), tmp_path / "run", Processes.join("cpu")).run()
    steps = [r["step"] for r in RunFolder(tmp_path / "run").records() if r["kind"] == "train"]
    assert steps == [3, 6, 9, 12, 15, 18, 20]
