"""The scripts of benchmarks/scale.md, where there are no workers, no cluster, no GPU, or few pictures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hanmo.bulk import Options
from scripts import load_script

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bulk.py"


def test_without_workers_there_is_no_peak_of_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = load_script(SCRIPT)
    monkeypatch.setattr(script, "Source", lambda paths: None)
    monkeypatch.setattr(script, "read_in_bulk", lambda *args, report, **more: report(300, 300))
    script.print_peak("pictures.gnt")
    own, workers = capsys.readouterr().out.split()
    assert int(own) > 0
    assert workers == "none"


def test_too_few_batches_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    script = load_script(SCRIPT)
    monkeypatch.setattr(sys, "argv", ["bulk.py", "--batches", "4"])
    with pytest.raises(SystemExit):
        script.main()
    assert "--batches is 4; at least 5 are needed" in capsys.readouterr().err


@pytest.mark.usefixtures("small_batches")
def test_the_benchmark_of_nodes_tells_rates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: Options, gnt: Path
) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)  # for bulk
    script = load_script(SCRIPT.with_name("bulk_nodes.py"))
    steady, in_all = script.rates(gnt, tmp_path, str(options.bundle), 1, None)
    assert steady > 0
    assert in_all > 0
    assert not list(tmp_path.glob("*.parquet"))


def test_the_benchmark_of_a_gpu_runs_without_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: Options, gnt: Path
) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)  # for bulk_gpu_checks
    script = load_script(SCRIPT.with_name("bulk_gpu.py"))
    # Without workers: they would import the script.
    toy = ["--device", "cpu", "--pictures", "900", "--batch", "512", "--rounds", "1", "--processes", "1"]
    out = tmp_path / "table.md"
    monkeypatch.setattr(
        sys, "argv", ["bulk_gpu.py", *toy, "--bundle", str(options.bundle), "--gnt", str(gnt), "--out", str(out)]
    )
    script.main()
    head, _, titles, rule, *rows, _, agreement = out.read_text(encoding="utf-8").splitlines()
    assert "have the same best answer" in agreement
    assert "900 pictures" in head
    assert {line.count("|") for line in (titles, rule, *rows)} == {titles.count("|")}
    assert [row.split("|")[1].strip() for row in rows] == [
        "net",
        "normalise",
        "normalise + net",
        "normalise + net, in lanes",
        "whole run, without device, `.gnt`",
        "whole run, `.gnt`",
        "whole run, Parquet of PNG",
    ]
