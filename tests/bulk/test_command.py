"""``hanmo recognize --out`` and its progress."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from hanmo.bulk import Options, Totals
from hanmo.bulk.progress import describe, showing, summary
from hanmo.bulk.run import Report
from hanmo.bulk.work import Counts
from hanmo.errors import ArgumentError

Run = Callable[..., tuple[int, str, str]]


def test_one_line_with_the_totals(run: Run, folder: Path, options: Options) -> None:
    status, stdout, stderr = run("recognize", str(folder), "--out", "rows.csv", "--bundle", str(options.bundle))
    assert (status, stdout) == (0, ""), stderr
    (line,) = stderr.splitlines()
    assert line.startswith("hanmo: rows.csv: 6 rows; read 4, refused 1, unreadable 1; ")
    assert line.endswith(" characters a second")
    assert Path("rows.csv").read_text(encoding="utf-8").count("\n") == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "--processes", "2"], "--processes is for reading in bulk; add --out FILE"),
        (["a.png", "--column", "x"], "--column is for reading in bulk; add --out FILE"),
        (["a.png", "--out", "a.csv", "--json"], "--out writes a file instead of --json and --sheet"),
        (["a.png", "--out", "a.csv", "--sheet", "a.png"], "--out writes a file instead of --json and --sheet"),
        (["-", "--out", "a.csv"], "the standard input is one picture; leave out --out"),
        (["nowhere", "--out", "a.csv"], "nowhere: no such file or folder, and no glob that matches pictures"),
        (["nowhere", "--out", "a.txt"], "a.txt: cannot be the result's name; name a file that ends in .parquet"),
    ],
)
def test_options_that_do_not_fit_are_one_line(run: Run, arguments: list[str], message: str) -> None:
    status, _, stderr = run("recognize", *arguments)
    assert status == 2
    assert message in stderr
    assert stderr.count("\n") == 1


def test_a_gpu_that_is_not_there_is_one_line(run: Run, folder: Path) -> None:
    status, _, stderr = run("recognize", str(folder), "--out", "rows.csv", "--device", "cuda")
    assert status == 2
    assert "not CUDAExecutionProvider" in stderr


def test_a_gnt_file_without_out_is_what_it_was(run: Run, gnt: Path, options: Options) -> None:
    status, stdout, _ = run("recognize", str(gnt), "--bundle", str(options.bundle))
    assert status == 2
    assert "not a picture" in stdout


def test_the_progress_names_count_rate_and_time_left() -> None:
    assert describe(0, None, 0.0) == "0 pictures"
    assert describe(1280, None, 612.4) == "1,280 pictures  612/s"
    assert describe(12_800, 50_000, 610.0) == "12,800 of 50,000 pictures  610/s  1:01 left"
    assert describe(0, 10_000_000, 1000.0) == "0 of 10,000,000 pictures  1,000/s  2:46:40 left"
    assert describe(50_000, 50_000, 610.0) == "50,000 of 50,000 pictures  610/s  0:00 left"


def test_the_progress_is_shown_on_a_terminal_only() -> None:
    for terminal in (True, False):
        text = io.StringIO()
        with showing(Console(file=text, force_terminal=terminal, width=100)) as report:
            report(256, 1024)
            report(512, 1024)
        assert ("512 of 1,024 pictures" in text.getvalue()) == terminal


def test_the_totals() -> None:
    totals = Totals(Counts(900, 90, 10), 0, 2.0)
    assert summary(Path("a.csv"), totals) == (
        "a.csv: 1,000 rows; read 900, refused 90, unreadable 10; 500 characters a second"
    )
    assert summary(Path("a.csv"), Totals(Counts(), 7, 0.0)) == (
        "a.csv: 7 rows; read 0, refused 0, unreadable 0; 0 characters a second; 7 rows were there before"
    )


def test_no_process_is_refused(folder: Path, options: Options, tmp_path: Path) -> None:
    from hanmo.bulk import Source, read_in_bulk

    with pytest.raises(ArgumentError, match="processes is 0"):
        read_in_bulk(Source([folder]), tmp_path / "a.csv", options, processes=0)


def test_where_the_machines_write_the_bar_says_so(
    monkeypatch: pytest.MonkeyPatch, run: Run, folder: Path, options: Options
) -> None:
    """They report nothing, so this is all that there is to see."""
    texts: list[str] = []

    @contextmanager
    def noting(console: Console, first_text: str) -> Iterator[Report]:
        text = io.StringIO()
        with showing(Console(file=text, force_terminal=True, width=200), first_text) as report:
            yield report
        texts.append(text.getvalue())

    def read(*args: object, **more: object) -> Totals:
        return Totals(Counts(), 0, 1.0)

    monkeypatch.setattr("hanmo.bulk.cluster._require_ray", lambda: None)
    monkeypatch.setattr("hanmo.bulk.progress.showing", noting)
    monkeypatch.setattr("hanmo.bulk.run.read_in_bulk", read)
    for out, shown in (
        ("memory://[b]/r.parquet", "the machines write to memory://[b]/r.parquet"),
        ("r.csv", "starting"),
    ):
        status, _, stderr = run("recognize", str(folder), "--out", out, "--ray", "local")
        assert status == 0, stderr
        assert shown in texts.pop()
