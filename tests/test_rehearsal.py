"""The rehearsal of the CASIA protocol: its archives, and what it makes of its results."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import pytest

from hanmo.data.read import read_samples
from scripts import load_script

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
archives = load_script(BENCHMARKS / "rehearsal_archives.py")  # first, because the next imports it
rehearsal = load_script(BENCHMARKS / "rehearsal.py")


def test_the_archives_have_casias_writers() -> None:
    names = [name for archive in rehearsal.TRAIN + rehearsal.TEST for name in archive.files()]
    assert len(set(names)) == len(names) == rehearsal.WRITERS == 720
    assert {"001-f.gnt", "420-f.gnt", "1001-c.gnt", "1300-c.gnt"} <= set(names)
    assert (rehearsal.characters_of(1), rehearsal.characters_of(0.01), rehearsal.characters_of(1e-9)) == (3755, 38, 1)


@pytest.mark.soak
def test_writers_are_drawn_and_zipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "TRAIN", (archives.Archive("a_gnt", 1, 2, 3, "f"),))
    monkeypatch.setattr(archives, "TEST", (archives.Archive("b_gnt", 3, 1, 3, "f"),))
    monkeypatch.setattr(archives, "WRITERS", 3)
    for stage in ("draw", "zip"):
        # 4 characters a writer, of them 2 drawn
        given = [str(tmp_path), "--do", stage, "--shares", "0.001", "--repeat", "2"]
        monkeypatch.setattr(sys, "argv", ["rehearsal.py", *given])
        rehearsal.main()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_gnt.zip", "b_gnt.zip"]
    samples = list(read_samples([tmp_path / "a_gnt.zip", tmp_path / "b_gnt.zip"]))
    assert [s.writer for s in samples] == ["001"] * 4 + ["002"] * 4 + ["003"] * 4
    assert len({s.label for s in samples}) == 6
    for sample in samples:  # cropped to the ink
        assert all(edge.min() < 255 for edge in (sample.image[0], sample.image[-1], sample.image[:, 0]))


def record(share: float, seconds: float, **changes: object) -> dict[str, object]:
    facts = {"stage": "pack", "share": share, "samples": round(rehearsal.FULL * share), "repeat": 1, "seconds": seconds}
    return {**facts, "processor": seconds, "peak_mb": 90, "bytes": round(1e10 * share), "limit": 0, **changes}


def test_all_samples_are_extrapolated_along_the_line_of_two_shares() -> None:
    lines = rehearsal.table([record(0.001, 11), record(0.01, 20, repeat=3)])
    assert "| pack | 1 % | 27,036, each 3 times | 20.0 s | 20.0 s | 90 | 100.0 MB |" in lines
    assert lines[-1] == "| pack | *100 %, extrapolated* | 2,703,600 | 16.8 min | 16.8 min |  | 10,000 MB |"
    assert rehearsal.extrapolated([record(0.01, 20), record(0.1, 19)], "seconds") == pytest.approx(190)


def test_nothing_is_extrapolated_from_little_or_from_a_part() -> None:
    for records in ([record(0.001, 11)], [record(0.01, 11, limit=100)], [record(1, 900)]):
        assert "extrapolated" not in "".join(rehearsal.table(records))


def test_a_finished_stage_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = {"pack": lambda share, args: [[sys.executable, "-c", "print('packed')"]]}
    monkeypatch.setattr(rehearsal, "STAGES", rehearsal.STAGES | commands)
    monkeypatch.setattr(sys, "argv", ["rehearsal.py", str(tmp_path), "--shares", "0.01", "--stages", "pack"])
    for _ in range(2):
        rehearsal.main()
    (result,) = rehearsal.results(tmp_path)
    assert (result["stage"], result["samples"]) == ("pack", 720 * 38)
    assert result["peak_mb"] > 1
    assert (tmp_path / "0.01" / "log.txt").read_text() == "packed\n"
    monkeypatch.setitem(rehearsal.STAGES, "zip", lambda share, args: [[sys.executable, "-c", "raise SystemExit(3)"]])
    monkeypatch.setattr(sys, "argv", ["rehearsal.py", str(tmp_path), "--shares", "0.01", "--stages", "zip"])
    with pytest.raises(SystemExit, match="exit status 3"):
        rehearsal.main()
    assert len(rehearsal.results(tmp_path)) == 1


@pytest.mark.parametrize(
    ("stage", "more", "message"),
    [
        ("evaluate", ["--bundle", "other"], "evaluate of share 0.01: has a result with bundle free, not other; leave"),
        ("evaluate", ["--limit", "5"], "limit 0, not 5"),
        ("zip", ["--repeat", "3"], "repeat 1, not 3"),
        ("teacher", ["--device", "cuda"], "device cpu, not cuda"),
        ("teacher", ["--set", "train.epochs=1"], r"settings \[\], not \['train.epochs=1'\]"),
    ],
)
def test_a_result_of_other_options_is_not_taken_for_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, more: list[str], message: str
) -> None:
    monkeypatch.setitem(rehearsal.STAGES, stage, lambda share, args: [[sys.executable, "-c", ""]])
    given = ["rehearsal.py", str(tmp_path), "--shares", "0.01", "--stages", stage]
    monkeypatch.setattr(sys, "argv", given)
    rehearsal.main()
    monkeypatch.setattr(sys, "argv", [*given, *more])
    with pytest.raises(SystemExit, match=message):
        rehearsal.main()
    monkeypatch.setattr(sys, "argv", [*given, *more, "--again"])
    rehearsal.main()
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 2


def test_results_without_options_are_compared_by_what_they_have(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text(json.dumps(record(0.01, 20, repeat=2)) + "\n")
    args = argparse.Namespace(folder=tmp_path, repeat=2, workers=4)
    assert rehearsal.is_done("pack", 0.01, args)
    args.repeat = 1
    with pytest.raises(SystemExit, match="repeat 2, not 1"):
        rehearsal.is_done("pack", 0.01, args)


def test_it_runs_where_cores_cannot_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS
    monkeypatch.setitem(rehearsal.STAGES, "pack", lambda share, args: [[sys.executable, "-c", ""]])
    monkeypatch.setattr(sys, "argv", ["rehearsal.py", str(tmp_path), "--shares", "0.01", "--stages", "pack"])
    rehearsal.main()
    (result,) = rehearsal.results(tmp_path)
    assert f"{os.cpu_count()} cores" in result["machine"]
