"""The particle swarm: it finds optima, keeps to its ranges, and needs nothing but the finished trials."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState

from hanmo.config import load_toml
from hanmo.search.config import SearchConfig
from hanmo.search.swarm import next_place, outcomes_of, value_at
from hanmo.train.run import RunFolder

Run = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]


def generator(number: int) -> np.random.Generator:
    return np.random.default_rng(number)


def searched(target: np.ndarray, trials: int, refuse: Callable[[np.ndarray], bool] = lambda x: False) -> np.ndarray:
    """The places of so many proposals on the way to ``target``, (trials, axes)."""
    outcomes: list[float | None] = []
    places = []
    for _ in range(trials):
        place = next_place(outcomes, len(target), 8, generator)
        places.append(place)
        outcomes.append(None if refuse(place) else -float(((place - target) ** 2).sum()))
    return np.array(places)


def test_a_swarm_finds_an_optimum_inside_and_one_in_a_corner() -> None:
    for target in (np.array([0.3, 0.8, 0.55]), np.array([0.0, 1.0, 0.0])):
        places = searched(target, 240)
        distances = np.linalg.norm(places - target, axis=1)
        assert distances.min() < 0.02
        assert np.median(distances[-40:]) < 0.08 < 0.1 < distances[:8].min(), "the first places are random"
        assert ((places >= 0) & (places <= 1)).all()


def test_particles_whose_settings_are_impossible_start_anew() -> None:
    target = np.array([0.2, 0.2])
    places = searched(target, 160, refuse=lambda place: place[0] > 0.5)
    assert np.linalg.norm(places[-20:] - target, axis=1).max() < 0.1
    assert len(np.unique(places[:8], axis=0)) == 8


def test_a_move_follows_the_formula() -> None:
    outcomes = [0.5, 0.9]  # the second particle leads
    first, second = (next_place(outcomes[:n], 2, 2, generator) for n in (0, 1))
    own, others = generator(2).random((2, 2))
    expected = np.clip(first + 1.49618 * others * (second - first), 0, 1)  # it is at its own best place, and at rest
    np.testing.assert_allclose(next_place(outcomes, 2, 2, generator), expected)
    velocity = np.where((expected > 0) & (expected < 1), 1.49618 * others * (second - first), 0)
    third = next_place([*outcomes, 0.1, 0.1], 2, 2, generator)  # its own best place is still the first
    own, others = generator(4).random((2, 2))
    pull = own * (first - expected) + others * (second - expected)
    np.testing.assert_allclose(third, np.clip(expected + 0.7298 * velocity + 1.49618 * pull, 0, 1))


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (IntDistribution(8, 16, step=4), [8, 12, 16]),
        (IntDistribution(1, 4), [1, 2, 3, 4]),
        (FloatDistribution(0.1, 0.4, step=0.1), [0.1, 0.2, 0.3, 0.4]),
    ],
)
def test_steps_have_equal_parts_of_a_range(distribution: Any, values: list[float]) -> None:
    drawn = [value_at(distribution, place) for place in np.linspace(0, 1, 1201)]
    counts = [sum(value == pytest.approx(wanted) for value in drawn) for wanted in values]
    assert sum(counts) == 1201
    assert max(counts) - min(counts) <= 1
    assert all(isinstance(value, int) for value in drawn) == isinstance(distribution, IntDistribution)


def test_ranges_with_a_logarithm() -> None:
    rate = FloatDistribution(1e-4, 1e-2, log=True)
    assert value_at(rate, 0.5) == pytest.approx(1e-3)
    assert (value_at(rate, 0), value_at(rate, 1)) == (pytest.approx(1e-4), pytest.approx(1e-2))
    assert all(rate._contains(value_at(rate, place)) for place in (0.0, 1.0)), "rounding leads to no value outside"
    whole = IntDistribution(1, 64, log=True)
    drawn = [value_at(whole, place) for place in np.linspace(0, 1, 999)]
    assert set(drawn) >= {1, 2, 3, 63, 64}
    assert drawn == sorted(drawn)


def test_a_repetition_answers_for_the_trial_that_was_interrupted() -> None:
    def trial(number: int, state: TrialState, value: float | None = None, instead: int | None = None) -> Any:
        attributes = {} if instead is None else {"instead of": instead}
        made = optuna.trial.create_trial(state=state, value=value, user_attrs=attributes)
        made.number = number
        return made

    complete, pruned, failed = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
    trials = [trial(0, failed), trial(1, failed, instead=0), trial(2, complete, 0.5, instead=1)]
    trials += [trial(3, pruned), trial(4, complete, 0.7), trial(5, failed)]
    assert outcomes_of(trials) == [0.5, None, 0.7, None]


def settings(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "trials.jsonl").read_text(encoding="utf-8").splitlines()]
    return [row["settings"] for row in rows if row["state"] != "interrupted"]


def test_a_killed_search_goes_on_to_the_same_proposals(
    run: Run, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = '[[space]]\nkey = "net.attention"\nchoices = ["none", "se"]\n'
    command = ("search", str(write(sampler="pso", trials=5, more="swarm = 2", space=choice)), "--device", "cpu")
    assert run(*command, "--out", "straight")[0] == 0
    log = RunFolder.log

    def stop(folder: RunFolder, record: dict[str, Any]) -> None:
        log(folder, record)
        if folder.path.name == "2" and record["kind"] == "eval":
            raise SystemExit(9)

    with monkeypatch.context() as patch:  # as a kill leaves it: nobody notes anything
        patch.setattr(RunFolder, "log", stop)
        patch.setattr("hanmo.search.study.Search._give_up", lambda *a: None)
        assert run(*command, "--out", "killed")[0] == 9
    assert run(*command, "--out", "killed")[0] == 0
    straight, killed = (settings(tmp_path / name) for name in ("straight", "killed"))
    assert killed == straight
    assert len(straight) >= 5
    assert "cma" not in (tmp_path / "killed" / "study.journal").read_text(), "nothing of the sampler is stored"


def test_the_swarm_of_the_recipe_can_be_read() -> None:
    config = load_toml("@pso-cnn", SearchConfig)
    assert (config.sampler, config.swarm, config.name) == ("pso", 10, "pso-cnn")
