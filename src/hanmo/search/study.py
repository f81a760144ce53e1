"""The search loop: samples settings, trains each, and resumes where it was stopped.

  OUT/
    study.journal   Optuna's record of every trial
    trials.jsonl    the same for people: one JSON object a trial
    trials/N/       the run folder of trial N; weights only of the best so far
    data/           the two parts of the training pack, when a part is held out
    best.toml       the recipe of the best trial, for all the training data
    search.png      accuracy over training images

Only one process at a time may search in a folder. With cma-es the journal holds the sampler's state as a pickle of
Optuna, and reading a pickle runs its code: resume only folders that you trust.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from hanmo.atomic import storing, write_whole
from hanmo.builtin import with_current_names
from hanmo.config import dump_toml, from_table, to_table
from hanmo.errors import ArgumentError, CheckpointError, ConfigError, RunError, one_line
from hanmo.search.problem import SearchProblem
from hanmo.search.report import TRAINED, State, TrialRow, best_of, lines
from hanmo.search.sampling import pruner, quiet, require, sampler
from hanmo.search.space import with_settings
from hanmo.search.training import Outcome, OutOfTime, train_trial
from hanmo.train.config import Recipe
from hanmo.train.parallel import Processes
from hanmo.train.run import WEIGHTS

MAX_UNTRAINED = 200
"""Trials in a row that were refused or repeated, after which the search ends: the space seems to be exhausted."""

NO_BUDGET = "more than what is left of the budget"

_ATTRIBUTES = ("state", "images", "parameters", "macs", "seconds", "why")
"""User attributes of a trial in the journal that become fields of its row."""

_STATES: dict[TrialState, State] = {
    TrialState.RUNNING: "running",
    TrialState.FAIL: "failed",
    TrialState.PRUNED: "pruned",
}


class Search:
    """Runs the search of ``problem``: first :meth:`open`, then :meth:`run`."""

    def __init__(self, problem: SearchProblem, processes: Processes) -> None:
        if processes.world > 1:
            raise ArgumentError("a search trains in one process; start it without torchrun")
        quiet()
        require(problem.config)
        self.problem, self.config, self.out, self.processes = problem, problem.config, problem.out, processes

    def open(self) -> None:
        """Create the study in ``out``, or resume the one there.

        Trials that were killed are queued again, unless that happened twice with the same settings. Raises
        :class:`RunError` when the folder holds another search, :class:`CheckpointError` when it is damaged.
        """
        journal = self.out / "study.journal"
        with storing(journal):
            self.out.mkdir(parents=True, exist_ok=True)
            try:
                storage = JournalStorage(JournalFileBackend(str(journal)))
                self.study: Study = optuna.create_study(
                    storage=storage,
                    study_name="search",
                    direction="maximize",
                    load_if_exists=True,
                    pruner=pruner(self.config),
                )
            except (ValueError, KeyError) as error:
                raise CheckpointError(f"{journal}: damaged ({one_line(error)}); search in another folder") from error
        # Before anything is changed in the folder.
        self._require_same_search()
        self.problem.judging.prepare()
        # Nothing runs in this process yet: a trial that counts as running belongs to a process that was killed.
        for trial in self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            kills = trial.user_attrs.get("lost", 0) + 1
            self.study.tell(trial.number, state=TrialState.FAIL)
            if kills < 2:  # settings that kill the process twice would kill it a third time
                self._requeue(trial, kills)

    def _require_same_search(self) -> None:
        """Raise :class:`RunError` when the folder holds a search of another recipe, space or data."""
        # With more trials or a larger budget it is still the same search.
        config = {k: v for k, v in to_table(self.config).items() if k not in ("trials", "budget")}
        now: dict[str, Any] = {
            "search": config,
            "recipe": to_table(self.problem.base),
            "data": self.problem.judging.digest,
        }
        before = self.study.user_attrs.get("search of")
        if before is None:
            self.study.set_user_attr("search of", now)
            return
        # A search that was begun with the names of before, of keys and of recipes, is still the same.
        before = {**before, "recipe": to_table(from_table(before["recipe"], Recipe, str(self.out)))}
        before, now = (json.loads(with_current_names(json.dumps(table))) for table in (before, now))
        for part, value in now.items():
            if before[part] != value:
                keys = value.keys() | before[part].keys() if isinstance(value, dict) else ()
                other = sorted(key for key in keys if before[part].get(key) != value.get(key))
                what = f"{part} ({', '.join(other)})" if other else part
                raise RunError(f"{self.out}: holds a search with another {what}; take a new --out")

    def _requeue(self, trial: FrozenTrial, kills: int) -> None:
        """Queue the settings of a trial again; journals hold these names of the attributes."""
        self.study.enqueue_trial(trial.params, user_attrs={"instead of": trial.number, "lost": kills})

    def run(
        self,
        deadline: float = math.inf,
        *,
        on_record: Callable[[int, dict[str, Any]], None],
        on_trial: Callable[[TrialRow], None],
    ) -> bool:
        """Run trials until ``deadline`` (of :func:`time.monotonic`); True when the search is finished.

        ``on_record`` is called with every record of a trial's training, ``on_trial`` with every finished trial. Ctrl-C
        raises :class:`KeyboardInterrupt` after the trial's training is saved and its settings are queued again. Raises
        :class:`ConfigError` when :data:`MAX_UNTRAINED` trials in a row were refused and none was ever trained.
        """
        untrained = 0  # in a row
        while untrained < MAX_UNTRAINED and self._has_budget():
            if time.monotonic() >= deadline:
                return False
            trial = self._ask()
            try:
                outcome = self._try(trial, deadline, on_record)
            # BaseException, so that Ctrl-C is noted in the journal, too.
            except BaseException as error:
                self._give_up(trial, error)
                if isinstance(error, OutOfTime):
                    return False
                raise
            self._tell(trial, outcome)
            on_trial(self._row(self.study.get_trials(deepcopy=False)[trial.number]))
            # The budget counts as used up with the first trial that does not fit into what is left.
            if outcome.why == NO_BUDGET:
                break
            untrained = 0 if outcome.state in TRAINED else untrained + 1
            if untrained == MAX_UNTRAINED and not best_of(self.rows()):
                raise ConfigError(f"the last {untrained} trials were all refused ({outcome.why}); loosen the limits")
        return True

    def _has_budget(self) -> bool:
        """Whether another trial may be trained; where trials differ in length, :meth:`_try` decides about each."""
        rows = self.rows()
        if sum(row.state in TRAINED for row in rows) >= self.config.trials:
            return False
        return not self.problem.fixed_length or self._images_left(rows) >= self.problem.images_of(self.problem.short)

    def _images_left(self, rows: list[TrialRow]) -> float:
        """What is left of the budget of training images."""
        return math.inf if self.config.budget is None else self.config.budget - sum(row.images for row in rows)

    def _ask(self) -> Trial:
        """The next trial, with sampled settings or with those of an interrupted one."""
        trials = self.study.get_trials(deepcopy=False)
        # Repetitions of interrupted trials do not count, so a resumed search samples what it would have sampled.
        number = sum("instead of" not in trial.user_attrs for trial in trials)
        untrained = sum(row.state in ("refused", "repeated") for row in self.rows())
        # A new sampler for every trial, seeded by its number: a search that was resumed goes on as one that was not.
        self.study.sampler = sampler(self.config, number, untrained, self.problem.drawing.distributions)
        return self.study.ask(self.problem.drawing.distributions)

    def _recipe_of(self, trial: Trial) -> Recipe:
        drawing = self.problem.drawing
        return from_table(with_settings(drawing.base, drawing.settings(trial.params)), Recipe)

    def _try(self, trial: Trial, deadline: float, on_record: Callable[[int, dict[str, Any]], None]) -> Outcome:
        """Train a trial, unless its settings are impossible, beyond a limit, or those of an earlier trial."""
        try:
            recipe = self._recipe_of(trial)
            parameters, macs = self.problem.size_of(recipe.net)
            images = self.problem.images_of(recipe)
        except ConfigError as error:  # every value is possible by itself, but not in this combination
            return Outcome(state="refused", why=one_line(error))
        trial.set_user_attr("parameters", parameters)
        trial.set_user_attr("macs", macs)
        # The cheap checks come first; a trial that fails one costs no training.
        for name, value in (("parameters", parameters), ("macs", macs)):
            most = getattr(self.config, f"most_{name}")
            if most is not None and value > most:
                return Outcome(state="refused", why=f"more than {most:,} {name}")
        rows, settings = self.rows(), self.problem.drawing.settings(trial.params)
        if images > self._images_left(rows):
            return Outcome(state="refused", why=NO_BUDGET)
        for row in rows:
            # The same settings and the same seed would give the same net once more.
            if row.state in TRAINED and row.settings == settings:
                top1 = row.top1 if row.state == "complete" else None
                return Outcome(state="repeated", top1=top1, why=f"as trial {row.trial}")
        return train_trial(recipe, self._folder_of(trial), trial, self.processes, deadline, on_record)

    def _folder_of(self, trial: Trial) -> Path:
        """The run folder of a trial. The repetition of an interrupted trial takes over its folder and so resumes it."""
        folder = self.out / "trials" / str(trial.number)
        before = self.out / "trials" / str(trial.user_attrs.get("instead of"))
        if before.exists() and not folder.exists():
            with storing(folder):
                before.rename(folder)
        return folder

    def _tell(self, trial: Trial, outcome: Outcome) -> None:
        """Store the outcome of a trial in the journal and in trials.jsonl."""
        for name in ("state", "images", "seconds", "why"):
            trial.set_user_attr(name, getattr(outcome, name))
        if outcome.top1 is None:
            # Not FAIL: samplers take no notice of failed trials, but learn from pruned ones to avoid such settings.
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, outcome.top1)
        self._tidy(trial.number)
        write_whole(self.out / "trials.jsonl", lines(self.rows()).encode())

    def _give_up(self, trial: Trial, error: BaseException) -> None:
        """Store that a trial failed; the settings of an interrupted one are queued again."""
        interrupted = isinstance(error, KeyboardInterrupt)
        trial.set_user_attr("state", "interrupted" if interrupted else "failed")
        trial.set_user_attr("why", "" if interrupted else one_line(error))
        frozen = self.study.tell(trial, state=TrialState.FAIL)
        if interrupted:
            self._requeue(frozen, kills=0)
        write_whole(self.out / "trials.jsonl", lines(self.rows()).encode())

    def _tidy(self, number: int) -> None:
        """Delete the checkpoints of a finished trial, and all weights but those of the best one."""
        best = best_of(self.rows(), 1)
        for folder in (self.out / "trials").glob("*"):
            if not best or folder.name != str(best[0].trial):
                (folder / WEIGHTS).unlink(missing_ok=True)
        # Checkpoints hold the optimiser's state as well and are only needed to resume.
        shutil.rmtree(self.out / "trials" / str(number) / "checkpoints", ignore_errors=True)

    def rows(self) -> list[TrialRow]:
        """All trials so far."""
        trials = self.study.get_trials(deepcopy=False)
        return [self._row(trial) for trial in trials if trial.state != TrialState.WAITING]

    def _row(self, trial: FrozenTrial) -> TrialRow:
        stored = {name: trial.user_attrs[name] for name in _ATTRIBUTES if name in trial.user_attrs}
        if trial.state == TrialState.FAIL and stored.get("state") != "failed":  # killed, maybe at its very end
            stored |= {"state": "interrupted", "images": 0}  # its repetition counts these images
        return TrialRow(
            trial=trial.number,
            **{"state": _STATES.get(trial.state, "complete"), **stored},
            top1=trial.value if trial.state == TrialState.COMPLETE else None,
            settings=self.problem.drawing.settings(trial.params),
        )

    def write_winner(self) -> Path | None:
        """Write ``best.toml`` and return its path; None while no trial is complete."""
        best = best_of(self.rows(), 1)
        if not best:
            return None
        path = self.out / "best.toml"
        write_whole(path, dump_toml(self.problem.winner(best[0].settings)).encode())
        return path
