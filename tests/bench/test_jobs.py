"""Records of jobs on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from hanmo.bench.jobs import Results
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
