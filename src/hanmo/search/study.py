"""The search itself: draws settings, trains each, and goes on where it was stopped.

  OUT/
    study.journal   what Optuna knows of every trial
    trials.jsonl    the same to read: a JSON object a trial
    trials/N/       the run of trial N; weights only of the best so far
    data/           the two parts of the training pack, when a part is held out
    best.toml       the winner's recipe, for all the training data
    search.png      accuracy over images seen

One process at a time may search in a folder. Under cma-es the journal holds the sampler's state as Optuna pickles it,
so go on only with a folder of your own.
"""

from __future__ import annotations

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
from hanmo.config import dump_toml, from_table, to_table
from hanmo.errors import CheckpointError, ConfigError, one_line
from hanmo.search.problem import SearchProblem
from hanmo.search.report import TRAINED, State, TrialRow, best_of, lines
from hanmo.search.sampling import pruner, quiet, require, sampler
from hanmo.search.space import changed
from hanmo.search.training import Outcome, OutOfTime, train_trial
from hanmo.train.config import Recipe
from hanmo.train.parallel import Processes
from hanmo.train.run import WEIGHTS

IN_VAIN = 200
"""Trials in a row that are not worth a training, after which the search ends."""

NO_BUDGET = "beyond what is left of the budget"

_TOLD = ("state", "images", "parameters", "macs", "seconds", "why")

_STATES: dict[TrialState, State] = {
    TrialState.RUNNING: "running",
    TrialState.FAIL: "failed",
    TrialState.PRUNED: "pruned",
}


class Search:
    """Carries out ``problem``; :meth:`open` it, then :meth:`run`."""

    def __init__(self, problem: SearchProblem, processes: Processes) -> None:
        if processes.world > 1:
            raise ConfigError("a search trains in one process; start it without torchrun")
        quiet()
        require(problem.config)
        self.problem, self.config, self.out, self.processes = problem, problem.config, problem.out, processes

    def open(self) -> None:
        """Begin the study in ``out`` or take up the one there.

        What ran when the last search was stopped is queued again, unless it was lost without a word twice. Raises
        :class:`ConfigError` when the folder holds another search, :class:`CheckpointError` when it is damaged.
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
        self._same_as_before()
        self.problem.judging.prepare()
        for trial in self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            lost = trial.user_attrs.get("lost", 0) + 1
            self.study.tell(trial.number, state=TrialState.FAIL)
            if lost < 2:
                self._again(trial, lost)

    def _same_as_before(self) -> None:
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
        for part, value in now.items():
            if before[part] != value:
                keys = value.keys() | before[part].keys() if isinstance(value, dict) else ()
                other = sorted(key for key in keys if before[part].get(key) != value.get(key))
                what = f"{part} ({', '.join(other)})" if other else part
                raise ConfigError(f"{self.out}: holds a search with another {what}; take a new --out")

    def _again(self, trial: FrozenTrial, lost: int) -> None:
        told = {"instead of": trial.number, "lost": lost}
        self.study.enqueue_trial(trial.params, user_attrs=told)

    def run(
        self,
        deadline: float = math.inf,
        *,
        on_record: Callable[[int, dict[str, Any]], None],
        on_trial: Callable[[TrialRow], None],
    ) -> bool:
        """Search on until ``deadline`` (of :func:`time.monotonic`); whether all trials are done or the budget spent.

        ``on_record`` hears the records of the training of each trial, ``on_trial`` of each trial that is over. Ctrl-C
        raises :class:`KeyboardInterrupt` when the trial's training is saved and queued again.
        """
        in_vain = 0
        while in_vain < IN_VAIN and self._is_room():
            if time.monotonic() >= deadline:
                return False
            trial = self._ask()
            try:
                outcome = self._try(trial, deadline, on_record)
            except BaseException as error:
                self._give_up(trial, error)
                if isinstance(error, OutOfTime):
                    return False
                raise
            self._tell(trial, outcome)
            on_trial(self._row(self.study.get_trials(deepcopy=False)[trial.number]))
            if outcome.why == NO_BUDGET:
                break
            in_vain = 0 if outcome.state in TRAINED else in_vain + 1
            if in_vain == IN_VAIN and not best_of(self.rows()):
                raise ConfigError(
                    f"the last {in_vain} draws were not worth a training ({outcome.why}); loosen the limits"
                )
        return True

    def _is_room(self) -> bool:
        rows = self.rows()
        if sum(row.state in TRAINED for row in rows) >= self.config.trials:
            return False
        return not self.problem.fixed_length or self._left(rows) >= self.problem.images_of(self.problem.short)

    def _left(self, rows: list[TrialRow]) -> float:
        return math.inf if self.config.budget is None else self.config.budget - sum(row.images for row in rows)

    def _ask(self) -> Trial:
        trials = self.study.get_trials(deepcopy=False)
        number = sum("instead of" not in trial.user_attrs for trial in trials)  # as if none had been interrupted
        in_vain = sum(row.state in ("refused", "repeated") for row in self.rows())
        self.study.sampler = sampler(self.config, number, in_vain)
        return self.study.ask(self.problem.drawing.distributions)

    def _try(self, trial: Trial, deadline: float, on_record: Callable[[int, dict[str, Any]], None]) -> Outcome:
        """Train what was drawn, unless it is not worth it."""
        try:
            recipe = from_table(changed(self.problem.drawing.base, self.problem.drawing.settings(trial.params)), Recipe)
            parameters, macs = self.problem.size_of(recipe.net)
            images = self.problem.images_of(recipe)
        except ConfigError as error:  # each value is possible, but not all of them together
            return Outcome(state="refused", why=one_line(error))
        trial.set_user_attr("parameters", parameters)
        trial.set_user_attr("macs", macs)
        for name, value in (("parameters", parameters), ("macs", macs)):
            most = getattr(self.config, f"most_{name}")
            if most is not None and value > most:
                return Outcome(state="refused", why=f"more than {most:,} {name}")
        rows, settings = self.rows(), self.problem.drawing.settings(trial.params)
        if images > self._left(rows):
            return Outcome(state="refused", why=NO_BUDGET)
        for row in rows:
            if row.state in TRAINED and row.settings == settings:
                top1 = row.top1 if row.state == "complete" else None
                return Outcome(state="repeated", top1=top1, why=f"as trial {row.trial}")
        return train_trial(recipe, self._folder_of(trial), trial, self.processes, deadline, on_record)

    def _folder_of(self, trial: Trial) -> Path:
        """The run folder of a trial; one that is made up for takes over the run that was interrupted."""
        folder = self.out / "trials" / str(trial.number)
        before = self.out / "trials" / str(trial.user_attrs.get("instead of"))
        if before.exists() and not folder.exists():
            with storing(folder):
                before.rename(folder)
        return folder

    def _tell(self, trial: Trial, outcome: Outcome) -> None:
        for name in ("state", "images", "seconds", "why"):
            trial.set_user_attr(name, getattr(outcome, name))
        if outcome.top1 is None:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, outcome.top1)
        self._tidy(trial.number)
        write_whole(self.out / "trials.jsonl", lines(self.rows()).encode())

    def _give_up(self, trial: Trial, error: BaseException) -> None:
        """Note that a trial failed; one that was interrupted is queued again."""
        interrupted = isinstance(error, KeyboardInterrupt)
        trial.set_user_attr("state", "interrupted" if interrupted else "failed")
        trial.set_user_attr("why", "" if interrupted else one_line(error))
        frozen = self.study.tell(trial, state=TrialState.FAIL)
        if interrupted:
            self._again(frozen, lost=0)
        write_whole(self.out / "trials.jsonl", lines(self.rows()).encode())

    def _tidy(self, number: int) -> None:
        """Keep weights of the best trial only, and no checkpoints."""
        best = best_of(self.rows(), 1)
        for folder in (self.out / "trials").glob("*"):
            if not best or folder.name != str(best[0].trial):
                (folder / WEIGHTS).unlink(missing_ok=True)
        shutil.rmtree(self.out / "trials" / str(number) / "checkpoints", ignore_errors=True)

    def rows(self) -> list[TrialRow]:
        """All trials drawn so far."""
        trials = self.study.get_trials(deepcopy=False)
        return [self._row(trial) for trial in trials if trial.state != TrialState.WAITING]

    def _row(self, trial: FrozenTrial) -> TrialRow:
        told = {name: trial.user_attrs[name] for name in _TOLD if name in trial.user_attrs}
        if trial.state == TrialState.FAIL and told.get("state") != "failed":  # killed, maybe at its very end
            told |= {"state": "interrupted", "images": 0}  # the trial that makes up for it counts them
        return TrialRow(
            trial=trial.number,
            **{"state": _STATES.get(trial.state, "complete"), **told},
            top1=trial.value if trial.state == TrialState.COMPLETE else None,
            settings=self.problem.drawing.settings(trial.params),
        )

    def write_winner(self) -> Path | None:
        """``best.toml``; None while no trial is complete."""
        best = best_of(self.rows(), 1)
        if not best:
            return None
        path = self.out / "best.toml"
        write_whole(path, dump_toml(self.problem.winner(best[0].settings)).encode())
        return path
