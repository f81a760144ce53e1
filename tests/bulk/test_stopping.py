"""Runs that are stopped and go on; several processes; memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hanmo.atomic import sole_writer
from hanmo.bulk import Options, Source, read_in_bulk
from hanmo.bulk.items import Item
from hanmo.bulk.results import ArrowBatches, parts_of
from hanmo.bulk.rows import Arrow, Row
from hanmo.data.gnt import write_gnt
from hanmo.errors import ArgumentError, ImageError, RunError, StorageError

from .conftest import BATCH, COUNT, ending_at, samples

pytestmark = pytest.mark.usefixtures("small_batches")

FORMATS = ["csv", "jsonl", "parquet"]
KILLED = """
    import os, signal, sys
    from hanmo.bulk import Options, Source, read_in_bulk, run

    # A shell that runs the tests in the background ignores SIGINT, and processes inherit this.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run._BATCH, run._FEW = {batch}, 2 * {batch}

    def report(done, total):
        if done >= 4 * {batch}:
            os.kill(os.getpid(), signal.{signal})

    if __name__ == "__main__":
        bundle, gnt, out = sys.argv[1:]
        read_in_bulk(Source([gnt]), out, Options(bundle=bundle, top=2), processes=2, report=report)
"""


def content(path: Path) -> object:
    return pq.read_table(path) if path.suffix == ".parquet" else path.read_bytes()


def killed_run(bundle: object, gnt: Path, out: Path, how: str = "SIGKILL") -> subprocess.CompletedProcess[str]:
    script = out.with_name("run.py")
    script.write_text(textwrap.dedent(KILLED.format(signal=how, batch=BATCH)))
    command = [sys.executable, str(script), str(bundle), str(gnt), str(out)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


SOAK = pytest.mark.soak
STOPS = [("csv", "SIGKILL"), ("parquet", "SIGINT")]
"""Of every format and both signals, those that each run of the tests tries."""


@pytest.mark.parametrize(
    ("suffix", "how"),
    [
        pytest.param(suffix, how, marks=[] if (suffix, how) in STOPS else SOAK)
        for suffix in FORMATS
        for how in ("SIGKILL", "SIGINT")
    ],
)
def test_a_stopped_run_goes_on(gnt: Path, options: Options, tmp_path: Path, suffix: str, how: str) -> None:
    whole, out = tmp_path / f"whole.{suffix}", tmp_path / f"rows.{suffix}"
    read_in_bulk(Source([gnt]), whole, options, processes=1)
    stopped = killed_run(options.bundle, gnt, out, how)
    assert stopped.returncode == -getattr(signal, how), stopped.stderr
    assert not out.exists()
    require_end_of_workers(tmp_path)
    totals = read_in_bulk(Source([gnt]), out, options, processes=2)  # none of the workers holds the lock
    assert 4 * BATCH <= totals.before < COUNT
    assert totals.counts.all == COUNT - totals.before, "no row is read twice"
    assert content(out) == content(whole)
    assert not parts_of(out).exists()


def require_end_of_workers(folder: Path) -> None:
    """The processes whose commands name ``folder`` end within some seconds."""
    ends = time.monotonic() + 30
    while any(
        str(folder).encode() in path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()
    ):
        assert time.monotonic() < ends
        time.sleep(0.1)


@pytest.mark.parametrize("suffix", ["csv", pytest.param("jsonl", marks=SOAK)])
def test_half_a_line_is_cut_off(gnt: Path, options: Options, tmp_path: Path, suffix: str) -> None:
    whole, out = tmp_path / f"whole.{suffix}", tmp_path / f"rows.{suffix}"
    read_in_bulk(Source([gnt]), whole, options, processes=1)
    for left in (0, 5, len(whole.read_bytes()) // 2):
        stop_after(1, gnt, out, options)
        (parts_of(out) / "rows").write_bytes(whole.read_bytes()[:left])
        read_in_bulk(Source([gnt]), out, options, processes=1)
        assert content(out) == content(whole)
        out.unlink()


def stop_after(reports: int, gnt: Path, out: Path, options: Options) -> None:
    """Begin a run, and stop it as Ctrl-C does after so many reports."""
    left = iter(range(reports))

    def report(done: int, total: int | None) -> None:
        assert total == COUNT
        if next(left, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_in_bulk(Source([gnt]), out, options, processes=1, report=report)


def test_a_run_may_be_stopped_again_and_again(gnt: Path, options: Options, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.parquet", tmp_path / "rows.parquet"
    read_in_bulk(Source([gnt]), whole, options, processes=1)
    for _ in range(3):
        stop_after(1, gnt, out, options)
    assert read_in_bulk(Source([gnt]), out, options, processes=1).before == COUNT
    assert content(out) == content(whole)


def test_a_changed_source_is_refused(folder: Path, options: Options, tmp_path: Path, gnt: Path) -> None:
    out = tmp_path / "rows.csv"
    own = tmp_path / "own.gnt"
    own.write_bytes(gnt.read_bytes())
    stop_after(1, own, out, options)
    os.utime(own, (1, 1))
    with pytest.raises(RunError, match=r"rows.csv: was begun with other values of: the pictures \(a file was") as error:
        read_in_bulk(Source([own]), out, options)
    assert str(parts_of(out)) in str(error.value)


def changes() -> list[tuple[str, Callable[[Options], Options]]]:
    return [
        ("--top", lambda o: Options(bundle=o.bundle, top=3)),
        ("--among", lambda o: Options(bundle=o.bundle, top=2, among="一十")),
        ("--bundle", lambda o: Options(bundle="nano", top=2)),
    ]


@pytest.mark.parametrize(("name", "change"), changes())
def test_other_options_are_refused(
    gnt: Path, options: Options, tmp_path: Path, name: str, change: Callable[[Options], Options]
) -> None:
    out = tmp_path / "rows.csv"
    stop_after(1, gnt, out, options)
    with pytest.raises(RunError, match=f"other values of: {name}; give the same as before, or remove"):
        read_in_bulk(Source([gnt]), out, change(options))
    (parts_of(out) / "state.json").write_text("no JSON")
    with pytest.raises(RunError, match=r"state.json: cannot be read"):
        read_in_bulk(Source([gnt]), out, options)


def test_a_second_process_is_refused(gnt: Path, options: Options, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    with sole_writer(parts_of(out)), pytest.raises(RunError, match="another process is writing there"):
        read_in_bulk(Source([gnt]), out, options)


def test_results_are_not_replaced(gnt: Path, options: Options, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    out.write_text("precious")
    with pytest.raises(ArgumentError, match=r"rows.csv: exists already; name another file, or remove it"):
        read_in_bulk(Source([gnt]), out, options)
    assert out.read_text() == "precious"


def test_a_kill_between_the_results_and_the_end_leaves_nothing(gnt: Path, options: Options, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    stop_after(1, gnt, out, options)
    (parts_of(out) / "done").touch()
    out.write_text("complete")
    with pytest.raises(ArgumentError, match="exists already"):
        read_in_bulk(Source([gnt]), out, options)
    assert not parts_of(out).exists()
    assert out.read_text() == "complete"


def test_a_full_disk_stops_the_run_with_one_line(gnt: Path, options: Options, tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk. With space again, the run goes on."""
    whole, out = tmp_path / "whole.csv", tmp_path / "rows.csv"
    read_in_bulk(Source([gnt]), whole, options, processes=1)
    with ending_at(len(whole.read_bytes()) // 2), pytest.raises(StorageError, match="cannot be written"):
        read_in_bulk(Source([gnt]), out, options, processes=1)
    assert read_in_bulk(Source([gnt]), out, options, processes=1).before > 0
    assert content(out) == content(whole)


@pytest.mark.soak
def test_memory_does_not_grow_with_the_pictures(options: Options, tmp_path: Path) -> None:
    peaks = []
    for count in (6 * BATCH, 30 * BATCH):
        gnt = tmp_path / f"{count}.gnt"
        write_gnt(gnt, samples(count))
        source = Source([gnt])
        tracemalloc.start()
        try:
            read_in_bulk(source, tmp_path / f"{count}.csv", options, processes=1)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + 300_000, peaks


def test_the_command_of_before_goes_on(
    gnt: Path, options: Options, run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    out = tmp_path / "rows.jsonl"
    stop_after(1, gnt, out, options)
    status, _, stderr = run(
        "recognize", str(gnt), "--out", str(out), "--bundle", str(options.bundle), "--top", "2", "--processes", "1"
    )
    assert status == 0, stderr
    refused = COUNT // 7 - 2 * BATCH // 7
    read = COUNT - 2 * BATCH - refused
    assert f"{COUNT} rows; read {read}, refused {refused}, unreadable 0; " in stderr
    assert stderr.rstrip().endswith(f" characters a second; {2 * BATCH} rows were there before")
    assert [json.loads(line)["sample"] for line in out.read_text().splitlines()] == list(range(1, COUNT + 1))


def arrow_rows(*files: str) -> bytes:
    return Arrow()([Row.of(Item(file, None, None, b""), ImageError("damaged")) for file in files])


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("kept", [1, 11, 12, 100, -300, -6])
def test_half_a_batch_is_cut_off(tmp_path: Path, kept: int, zeros: bool) -> None:
    """Of a killed process; zeros in place of the end are what a crash of the machine may leave."""
    file, target = tmp_path / "rows", tmp_path / "rows.parquet"
    ArrowBatches(file).write(arrow_rows("a.png", "b.png"), 2)
    whole = file.read_bytes()
    ArrowBatches(file).write(arrow_rows("lost.png"), 1)
    lost = file.read_bytes()[len(whole) :]
    file.write_bytes(whole + lost[:kept] + bytes(len(lost[kept:]) if zeros else 0))
    batches = ArrowBatches(file)
    assert batches.found == 2
    batches.write(arrow_rows("c.png"), 1)
    assert ArrowBatches(file).found == 3
    batches.publish(target)
    assert pq.read_table(target)["file"].to_pylist() == ["a.png", "b.png", "c.png"]


def test_rows_become_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group is full at so many rows, or at so many bytes."""
    batches, target = ArrowBatches(tmp_path / "rows"), tmp_path / "rows.parquet"
    for n in range(6):
        batches.write(arrow_rows(f"{n}.png", f"{n}-again.png"), 2)
    for name, most, sizes in (("_GROUP_ROWS", 4, [4, 4, 4]), ("_GROUP_BYTES", 1, [2] * 6)):
        monkeypatch.setattr(f"hanmo.bulk.results.{name}", most)
        batches.publish(target)
        groups = pq.ParquetFile(target).metadata
        assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == sizes
    assert pq.read_table(target).num_rows == 12


def test_rows_that_are_damaged_while_the_run_goes_on_are_named(tmp_path: Path) -> None:
    file, target = tmp_path / "rows", tmp_path / "rows.parquet"
    batches = ArrowBatches(file)
    for name in ("a.png", "b.png"):
        batches.write(arrow_rows(name), 1)
    file.write_bytes(file.read_bytes()[:-9] + b"otherwise")
    with pytest.raises(RunError, match=r"rows: damaged after row 1; give the same command again"):
        batches.publish(target)
    assert not target.exists()
    assert ArrowBatches(file).found == 1


def test_a_disk_that_is_full_at_the_end_keeps_the_rows(gnt: Path, options: Options, tmp_path: Path) -> None:
    """The Parquet file is written when all rows are there. A limit on the size of files stands for the full disk."""
    out = tmp_path / "rows.parquet"
    for _ in range(3):
        stop_after(1, gnt, out, options)
    with ending_at(500), pytest.raises(StorageError, match=r"rows\.parquet: cannot be written"):
        read_in_bulk(Source([gnt]), out, options, processes=1)
    assert not out.exists()
    assert not (parts_of(out) / "done").exists()
    assert read_in_bulk(Source([gnt]), out, options, processes=1).before == COUNT


def test_a_full_disk_keeps_whole_batches_of_arrow_rows(gnt: Path, options: Options, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.parquet", tmp_path / "rows.parquet"
    read_in_bulk(Source([gnt]), whole, options, processes=1)
    stop_after(COUNT // BATCH - 1, gnt, out, options)
    there = (parts_of(out) / "rows").stat().st_size
    with ending_at(there + 100), pytest.raises(StorageError, match="cannot be written"):
        read_in_bulk(Source([gnt]), out, options, processes=1)
    assert not out.exists()
    assert read_in_bulk(Source([gnt]), out, options, processes=1).before == COUNT - COUNT % BATCH
    assert content(out) == content(whole)
