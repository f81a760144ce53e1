"""``hanmo search`` from the outside: what is drawn, kept, refused, and gone on with."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hanmo.config import load_toml
from hanmo.data.pack import Pack
from hanmo.train.config import Recipe
from hanmo.train.loop import Trainer
from hanmo.train.run import RunFolder

Run = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]
CHOICE = """
[[space]]
key = "net.attention"
choices = ["none", "se"]
"""


def trials(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text(encoding="utf-8").splitlines()]


def settings(folder: Path) -> list[dict[str, Any]]:
    return [trial["settings"] for trial in trials(folder)]


@pytest.mark.parametrize("sampler", ["tpe", "cma-es"])
def test_a_search_leaves_the_winners_recipe(run: Run, write: Write, tmp_path: Path, drawn: Path, sampler: str) -> None:
    status, out, err = run("search", str(write(sampler=sampler, space=CHOICE)), "--device", "cpu", "--json")
    assert status == 0, err
    said = json.loads(out.splitlines()[-1])
    folder = tmp_path / "runs" / "search"
    found = trials(folder)
    trained = [trial for trial in found if trial["state"] == "complete"]
    assert (said["finished"], said["trials"], len(trained)) == (True, 3, 3)
    assert all(trial["images"] == 128 for trial in trained), "two epochs of four steps of 16"
    assert said["images"] == 384
    for trial in found:
        drawn_now = trial["settings"]
        assert 1e-3 <= drawn_now["optim.learning_rate"] <= 1e-2
        assert drawn_now["net.width"] in (8, 12, 16)
        assert drawn_now["net.depths.3"] in (1, 2)
        assert drawn_now["net.attention"] in ("none", "se")

    assert ("cma:generation" in (folder / "study.journal").read_text()) == (sampler == "cma-es")
    best = said["best"]
    assert best["top1"] == max(trial["top1"] for trial in trained)
    kept = [path.parent.name for path in folder.glob("trials/*/weights.safetensors")]
    assert kept == [str(best["trial"])]
    recipe = load_toml(folder / "best.toml", Recipe)
    assert recipe.net.width == best["settings"]["net.width"]
    assert recipe.net.depths == (1, 1, 1, best["settings"]["net.depths.3"])
    assert (recipe.train.epochs, recipe.train.evaluate_every) == (3, 0), "trial_changes are not the winner's"
    assert recipe.data.train == str(drawn / "small-train")
    assert run("train", str(folder / "best.toml"), "--device", "cpu", "--set", "train.epochs=1")[0] == 0
    assert (folder / "search.png").stat().st_size > 10_000


def test_the_test_pack_is_not_looked_at(run: Run, write: Write, tmp_path: Path, drawn: Path) -> None:
    assert run("search", str(write(trials=1)), "--device", "cpu")[0] == 0
    folder = tmp_path / "runs" / "search"
    recipe = load_toml(folder / "trials" / "0" / "recipe.toml", Recipe)
    assert recipe.data.test == str(Path("runs", "search", "data", "held-out"))
    whole = Pack.open(drawn / "small-train")
    parts = [Pack.open(folder / "data" / name) for name in ("train", "held-out")]
    assert sum(map(len, parts)) == len(whole)
    writers = [{part.writer_of(i) for i in range(len(part))} for part in parts]
    assert not writers[0] & writers[1]
    assert parts[1].charset == whole.charset


def test_a_stopped_search_goes_on_as_if_it_had_not_been(
    run: Run, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("search", str(write(trials=4)), "--device", "cpu")
    assert run(*command, "--out", "straight")[0] == 0
    log = RunFolder.log

    def stop(folder: RunFolder, record: dict[str, Any]) -> None:
        log(folder, record)
        if folder.path.name == "2" and record["kind"] == "eval":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "log", stop)
        status, _, err = run(*command, "--out", "stopped")
    assert status == 130
    assert "2 trials, 256 images; the same command resumes" in err
    assert trials(tmp_path / "stopped")[-1]["state"] == "interrupted"
    assert run(*command, "--out", "stopped")[0] == 0
    straight, stopped = trials(tmp_path / "straight"), trials(tmp_path / "stopped")
    assert [trial["state"] for trial in stopped] == ["complete", "complete", "interrupted", "complete", "complete"]
    assert not (tmp_path / "stopped" / "trials" / "2").exists(), "its run went on as trial 3"
    assert [trial["settings"] for i, trial in enumerate(stopped) if i != 2] == settings(tmp_path / "straight")
    assert [trial["top1"] for i, trial in enumerate(stopped) if i != 2] == [trial["top1"] for trial in straight]
    assert stopped[3]["images"] == 128

    assert run(*command, "--out", "stopped", "--set", "trials=5")[0] == 0, "more trials may be asked for"
    assert len(trials(tmp_path / "stopped")) > 5
    status, _, err = run(*command, "--out", "stopped", "--set", "seed=1")
    assert status == 2
    assert "stopped: holds a search with another search (seed); take a new --out" in err


def test_a_killed_trial_is_made_up_for_once(
    run: Run, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("search", str(write(trials=1)), "--device", "cpu")
    with monkeypatch.context() as patch:  # as a kill leaves it: nobody notes anything
        patch.setattr(Trainer, "run", lambda *a, **k: sys.exit(9))
        patch.setattr("hanmo.search.study.Search._give_up", lambda *a: None)
        for _ in range(2):
            assert run(*command)[0] == 9
    assert run(*command)[0] == 0
    found = trials(tmp_path / "runs" / "search")
    assert [trial["state"] for trial in found] == ["interrupted", "interrupted", "complete"]
    assert found[0]["settings"] == found[1]["settings"]
    assert found[1]["settings"] != found[2]["settings"], "twice is enough"


def test_time_and_budget_are_kept(run: Run, write: Write, tmp_path: Path) -> None:
    search = str(write(trials=9, more="budget = 300"))
    status, out, _ = run("search", search, "--device", "cpu", "--minutes", "0", "--json")
    assert (status, json.loads(out)["finished"], json.loads(out)["trials"]) == (0, False, 0)
    assert not (tmp_path / "runs" / "search" / "best.toml").exists()
    status, out, _ = run("search", search, "--device", "cpu", "--json")
    said = json.loads(out)
    assert (status, said["finished"], said["trials"], said["images"]) == (0, True, 2, 256)


def test_a_trial_that_is_out_of_time_goes_on(
    run: Run, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = str(write(trials=1))
    with monkeypatch.context() as patch:
        patch.setattr("hanmo.search.training.time", SimpleNamespace(monotonic=lambda: math.inf, perf_counter=time.time))
        status, out, _ = run("search", search, "--device", "cpu", "--minutes", "1", "--json")
    assert (status, json.loads(out)["finished"], json.loads(out)["states"]) == (0, False, {"interrupted": 1})
    assert list((tmp_path / "runs/search/trials/0/checkpoints").iterdir())
    assert run("search", search, "--device", "cpu")[0] == 0
    assert [trial["state"] for trial in trials(tmp_path / "runs" / "search")] == ["interrupted", "complete"]


def test_nets_beyond_the_limits_are_not_trained(
    run: Run, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hanmo.search.study.MAX_UNTRAINED", 20)
    more = "most_parameters = 100_000\nseed = 3"
    search = str(write(trials=2, more=more).absolute())
    assert run("search", search, "--device", "cpu")[0] == 0
    found = trials(tmp_path / "runs" / "search")
    refused = [trial for trial in found if trial["state"] == "refused"]
    assert refused
    assert all(trial["why"] == "more than 100,000 parameters" and trial["images"] == 0 for trial in refused)
    assert not any((tmp_path / "runs/search/trials" / str(trial["trial"])).exists() for trial in refused)
    assert all(trial["parameters"] <= 100_000 for trial in found if trial["state"] == "complete")
    status, _, err = run("search", search, "--device", "cpu", "--out", "none", "--set", "most_macs=10")
    assert status == 2
    assert "the last 20 trials were all refused (more than " in err


def test_diverged_and_pruned_trials_are_stopped(
    run: Run, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optuna.trial.Trial.should_prune", lambda trial: trial.number == 0)
    real = Trainer.advance

    def advance(trainer: Trainer, *batch: Any) -> Any:
        loss, parts = real(trainer, *batch)
        return (loss * float("nan") if trainer.folder.path.name == "1" else loss), parts

    monkeypatch.setattr(Trainer, "advance", advance)
    assert run("search", str(write()), "--device", "cpu")[0] == 0
    found = trials(tmp_path / "runs" / "search")
    assert [trial["state"] for trial in found] == ["pruned", "diverged", "complete"]
    assert found[0]["images"] == 64, "an epoch was seen, and counts"


def test_the_search_may_be_told_to_tune_on_the_test_pack(run: Run, write: Write, drawn: Path, tmp_path: Path) -> None:
    search = str(write(trials=1, more='objective = "test"'))
    status, _, err = run("search", search, "--device", "cpu")
    assert status == 0
    assert f"trials compared on {drawn / 'small-test'}, which is then no independent test any more" in err
    assert not (tmp_path / "runs" / "search" / "data").exists()


def test_a_dry_run_prints_the_costs_and_trains_nothing(run: Run, write: Write, tmp_path: Path) -> None:
    command = ("search", str(write(trials=3)), "--device", "cpu")
    status, out, err = run(*command, "--dry-run")
    assert (status, out) == (0, ""), err
    for part in ("10^15 MACs", "a trial, cheapest value", "all trials, at most", "trials compared on"):
        assert part in err
    assert not (tmp_path / "runs").exists()
    (tmp_path / "runs" / "search").mkdir(parents=True)
    (tmp_path / "runs" / "search" / "trials.jsonl").write_text('{"state": "complete"}\n{"state": "refused"}\n')
    line = next(line for line in run(*command, "--dry-run")[2].splitlines() if "all trials" in line)
    assert [cell.strip() for cell in line.split("\u2502")[1:-1]][1::3] == ["3", "1"], "trials asked for, and trained"
