"""One trial: a training that reports its evaluations to the study."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from optuna.exceptions import TrialPruned
from optuna.trial import Trial

from hanmo.errors import ConfigError, DeviceMemoryError, DivergedError, ModelError, one_line
from hanmo.search.report import State
from hanmo.train.config import Recipe
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes
from hanmo.train.run import RunFolder

Record = dict[str, Any]


class OutOfTime(KeyboardInterrupt):
    """The search has used up its time. A training handles it as Ctrl-C: it writes a checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a trial ended."""

    state: State
    top1: float | None = None
    images: int = 0
    seconds: float = 0.0
    why: str = ""


class _Reporter:
    """Called with every record of a training: reports to the study, and stops the training when it falls behind.

    Raises :class:`TrialPruned` for a trial that the pruner stops, :class:`OutOfTime` after the deadline.
    """

    def __init__(self, trial: Trial, batch: int, deadline: float, on_record: Callable[[int, Record], None]) -> None:
        self.trial, self.batch, self.deadline, self.on_record = trial, batch, deadline, on_record
        self.images = 0
        self.reported: set[int] = set()

    def __call__(self, record: Record) -> None:
        self.images = record["step"] * self.batch
        self.on_record(self.trial.number, record)
        if record["kind"] == "eval":
            self.report(record)
            if self.trial.should_prune():
                raise TrialPruned
        # Not at the end: the training is finished then, and its result counts.
        if record["kind"] != "end" and time.monotonic() >= self.deadline:
            raise OutOfTime

    def report(self, record: Record) -> None:
        epoch = round(record["epoch"])
        if epoch not in self.reported:  # a resumed training may evaluate its last epoch again
            self.reported.add(epoch)
            self.trial.report(record["top1"], epoch)


def train_trial(
    recipe: Recipe,
    folder: Path,
    trial: Trial,
    processes: Processes,
    deadline: float,
    on_record: Callable[[int, Record], None],
) -> Outcome:
    """Train ``recipe`` into ``folder``, or resume from its checkpoint.

    Errors of this recipe alone (it diverges, runs out of memory, does not fit the teacher) become its outcome.
    """
    start = time.perf_counter()
    reporter = _Reporter(trial, recipe.train.batch, deadline, on_record)
    # The repetition of an interrupted trial is a new trial to Optuna: it is told the evaluations before the stop again.
    for record in RunFolder(folder).records():
        if record["kind"] == "eval":
            reporter.report(record)
    state: State = "complete"
    top1, why = None, ""
    try:
        trainer = Trainer(recipe, folder, processes, reporter)
    except (ConfigError, ModelError) as error:  # for example a teacher's layer that does not fit this student
        return Outcome(state="refused", why=one_line(error))
    try:
        record = trainer.run(resume=True)
        top1, reporter.images = record["top1"], record["step"] * recipe.train.batch
    except TrialPruned:
        state, why = "pruned", "fell behind"
    except DivergedError:
        state, why = "diverged", "the loss is not a number"
    # It counts as a trained trial, so the search goes on and does not try these settings again.
    except (torch.OutOfMemoryError, DeviceMemoryError):
        state, why = "diverged", "more memory than the device has"
    seconds = round(time.perf_counter() - start, 2)
    return Outcome(state=state, top1=top1, images=reporter.images, seconds=seconds, why=why)
