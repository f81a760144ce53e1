"""Runs that are stopped and go on; several processes; memory."""

from __future__ import annotations

import json
import os
import resource
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
from hanmo.bulk.pool import mapped
from hanmo.bulk.results import Shards, parts_of
from hanmo.bulk.rows import Arrow, Row
from hanmo.data.gnt import write_gnt
from hanmo.errors import ArgumentError, ImageError, RunError, StorageError, WorkerError

from .conftest import samples

FORMATS = ["csv", "jsonl", "parquet"]
KILLED = """
    import os, signal, sys
    from hanmo.bulk import Options, Source, read_in_bulk, results

    results._SHARD_ROWS = 512

    def report(done, total):
        if done >= 1024:
            os.kill(os.getpid(), signal.{signal})

    if __name__ == "__main__":
        bundle, gnt, out = sys.argv[1:]
        read_in_bulk(Source([gnt]), out, Options(bundle=bundle, top=2), processes=2, report=report)
"""


def content(path: Path) -> object:
    return pq.read_table(path) if path.suffix == ".parquet" else path.read_bytes()


def killed_run(bundle: object, gnt: Path, out: Path, how: str = "SIGKILL") -> subprocess.CompletedProcess[str]:
    script = out.with_name("run.py")
    script.write_text(textwrap.dedent(KILLED.format(signal=how)))
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
    assert stopped.returncode in (-signal.SIGKILL, -signal.SIGINT), stopped.stderr
    assert not out.exists()
    totals = read_in_bulk(Source([gnt]), out, options, processes=2)
    assert 1024 <= totals.before < 1300
    assert totals.counts.all == 1300 - totals.before, "no row is read twice"
    assert content(out) == content(whole)
    assert not parts_of(out).exists()


def test_the_workers_of_a_killed_run_end(gnt: Path, options: Options, tmp_path: Path) -> None:
    killed_run(options.bundle, gnt, tmp_path / "rows.csv")
    ends = time.monotonic() + 30
    while time.monotonic() < ends and any(
        str(tmp_path).encode() in path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()
    ):
        time.sleep(0.1)
    with sole_writer(parts_of(tmp_path / "rows.csv")):  # and none of them holds the lock
        pass
    assert time.monotonic() < ends


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
        assert total == 1300
        if next(left, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_in_bulk(Source([gnt]), out, options, processes=1, report=report)


def test_a_run_may_be_stopped_again_and_again(gnt: Path, options: Options, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.parquet", tmp_path / "rows.parquet"
    read_in_bulk(Source([gnt]), whole, options, processes=1)
    for _ in range(3):
        stop_after(1, gnt, out, options)
    assert [path.name for path in sorted(parts_of(out).glob("*.parquet"))] == [
        "000000000000.parquet",
        "000000000512.parquet",
        "000000001024.parquet",
    ]
    assert read_in_bulk(Source([gnt]), out, options, processes=1).before == 1300
    assert content(out) == content(whole)


def test_a_lost_part_is_noticed(gnt: Path, options: Options, tmp_path: Path) -> None:
    out = tmp_path / "rows.parquet"
    for _ in range(2):
        stop_after(1, gnt, out, options)
    (parts_of(out) / "000000000000.parquet").unlink()
    with pytest.raises(RunError, match="rows from 0 on are missing; remove this folder"):
        read_in_bulk(Source([gnt]), out, options)


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
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole.read_bytes()) // 2, hard))
    try:
        with pytest.raises(StorageError, match="cannot be written"):
            read_in_bulk(Source([gnt]), out, options, processes=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_in_bulk(Source([gnt]), out, options, processes=1).before > 0
    assert content(out) == content(whole)


@pytest.mark.soak
def test_memory_does_not_grow_with_the_pictures(options: Options, tmp_path: Path) -> None:
    peaks = []
    for count in (512, 2560):
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


def double(number: int) -> int:
    return 2 * number


def end_badly(number: int) -> int:
    os._exit(3)


def fail(number: int) -> int:
    raise RunError("the bundle is gone; fetch it")


def test_few_tasks_are_under_way_at_a_time() -> None:
    taken = 0

    def taking(task: int) -> int:
        nonlocal taken
        taken = task
        return task

    for number, answer in enumerate(mapped(double, map(taking, range(1, 101)), 2), start=1):
        assert answer == 2 * number, "answers come in the order of the tasks"
        assert taken <= number + 6


def test_a_worker_that_ends_stops_the_run_with_one_line() -> None:
    with pytest.raises(WorkerError, match="a worker process ended by itself"):
        list(mapped(end_badly, range(10), 2))


def test_an_error_of_a_worker_is_raised_as_it_is() -> None:
    with pytest.raises(RunError, match="the bundle is gone; fetch it"):
        list(mapped(fail, range(10), 2))


def test_the_command_of_before_goes_on(
    gnt: Path, options: Options, run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    out = tmp_path / "rows.jsonl"
    stop_after(1, gnt, out, options)
    status, _, stderr = run(
        "recognize", str(gnt), "--out", str(out), "--bundle", str(options.bundle), "--top", "2", "--processes", "1"
    )
    assert status == 0, stderr
    assert "1,300 rows; read 676, refused 112, unreadable 0; " in stderr
    assert stderr.rstrip().endswith(" characters a second; 512 rows were there before")
    assert [json.loads(line)["sample"] for line in out.read_text().splitlines()] == list(range(1, 1301))


def test_memory_that_runs_out_in_this_process_is_one_line() -> None:
    def full(number: int) -> int:
        raise MemoryError

    with pytest.raises(WorkerError, match="the memory was full"):
        list(mapped(full, range(10), 1, here=True))


def test_ctrl_c_while_rows_are_stored_stores_them_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Arrow()
    rows = [Row.of(Item(str(n), None, None, b""), ImageError("damaged")) for n in range(3)]
    shards = Shards(tmp_path)
    shards.write(encoder(rows), 3)

    def stop() -> float:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr("hanmo.bulk.results.time.monotonic", stop)
    with pytest.raises(KeyboardInterrupt):
        shards.flush()
    shards.flush()  # as read_in_bulk does whenever it is stopped
    assert shards.start == 3
    assert [path.name for path in tmp_path.iterdir()] == ["000000000000.parquet"]
    assert Shards(tmp_path).start == 3
