"""Trainings on the CPU that stop in the middle, as by Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hanmo.train.config import Recipe
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes


def start(recipe: Recipe, folder: Path, on_record: Callable[[dict[str, Any]], None] = lambda r: None) -> Trainer:
    """A trainer of ``recipe`` in one process on the CPU."""
    return Trainer(recipe, folder, Processes.join("cpu"), on_record)


def stop_at(step: int) -> Callable[[dict[str, Any]], None]:
    """An ``on_record`` that stops the run at the first record of ``step``."""

    def stop(record: dict[str, Any]) -> None:
        if record["step"] == step:
            raise KeyboardInterrupt

    return stop
