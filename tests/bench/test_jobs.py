"""Records of jobs on disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hanmo.bench.dry_run import Cost, print_dry_run
from hanmo.bench.jobs import Job, Results, run_jobs
from hanmo.errors import CheckpointError


def test_of_two_records_about_the_same_the_later_counts(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    assert results.load() == {}
    results.add([{"job": "a", "seed": 0, "key": "k", "top1": 1.0}, {"job": "a", "seed": 1, "key": "k", "top1": 2.0}])
    results.add([{"job": "a", "seed": 0, "key": "k", "top1": 3.0}])
    assert {run: record["top1"] for run, record in results.load().items()} == {("a", 0): 3.0, ("a", 1): 2.0}


def test_a_last_line_that_was_cut_off_is_passed_over_and_other_damage_is_named(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    results.add([{"job": "a", "seed": 0, "key": "k"}])
    whole = results.path.read_text()
    results.path.write_text(whole + '{"job": "a", "se')
    assert list(results.load()) == [("a", 0)]
    results.add([{"job": "b", "seed": 0, "key": "k"}])
    assert list(results.load()) == [("a", 0), ("b", 0)]
    results.path.write_text(whole + "nonsense\n" + whole)
    with pytest.raises(CheckpointError, match=r"results.jsonl: line 2 is no record"):
        results.load()


def test_results_are_written_only_when_there_are_new_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Running jobs are asked several times a second; each time all results would be read and written."""
    written, add = [], Results.add
    monkeypatch.setattr(Results, "add", lambda results, records: (written.append(records), add(results, records)))
    job = Job(name="fails", arguments=("train", "none.toml"), seeds=(0,), key="k")
    assert not run_jobs([job], tmp_path / "bench", slots={"gpu": 1, "cpu": 1}, minutes=2)
    assert written == [()], "once at the start, which cuts off a broken last line"


def test_a_dry_run_lists_jobs_and_costs(capsys: pytest.CaptureFixture[str]) -> None:
    cost = Cost(images=2_000_000, macs=3 * 10**15)
    known = Job(name="known", arguments=("none",), seeds=(0, 1), key="k", cost=cost)
    unknown = Job(name="unknown", arguments=("none",), seeds=(0,), key="k")
    print_dry_run("bench", [known], {("known", 1): "k", ("known", 0): "of other settings"})
    lines = capsys.readouterr().err.splitlines()
    assert any("known" in line and "2.00" in line and "3.00" in line and "1 of 2" in line for line in lines)
    assert any("all" in line and "2.00" in line for line in lines)
    print_dry_run("[old] bench [/b]", [known, unknown], {})
    err = capsys.readouterr().err
    assert "[old] bench [/b]" in err
    total = next(line for line in err.splitlines() if " all " in line)
    assert not any(c.isdigit() for c in total), "a sum without one of its parts would mislead"


@pytest.mark.parametrize(("chosen", "threads"), [(None, "2"), ("1", "1")])
def test_on_a_cpu_jobs_have_as_many_threads_as_the_user_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str | None, threads: str
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if chosen:
        monkeypatch.setenv("OMP_NUM_THREADS", chosen)
    environments = []

    def start(command: list[str], *, env: dict[str, str], **options: Any) -> subprocess.Popen[bytes]:
        environments.append(env)
        return popen([sys.executable, "-c", ""], env=env, **options)

    popen = subprocess.Popen
    monkeypatch.setattr("hanmo.bench.jobs.subprocess.Popen", start)
    run_jobs([Job(name="a", arguments=(), seeds=(0,), key="k")], tmp_path, slots={"gpu": 1}, minutes=1, devices=0)
    assert [environment["OMP_NUM_THREADS"] for environment in environments] == [threads]
