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
from hanmo.bulk.results import Shards, parts_of
from hanmo.bulk.rows import Arrow, Row
from hanmo.data.gnt import write_gnt
from hanmo.errors import ArgumentError, ImageError, RunError, StorageError

from .conftest import BATCH, COUNT, ending_at, samples

pytestmark = pytest.mark.usefixtures("small_batches")

FORMATS = ["csv", "jsonl", "parquet"]
KILLED = """
    import os, signal, sys
    from hanmo.bulk import Options, Source, read_in_bulk, results, run

    # A shell that runs the tests in the background ignores SIGINT, and processes inherit this.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run._BATCH, run._FEW, results._SHARD_ROWS = {batch}, 2 * {batch}, 2 * {batch}

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
    assert [path.name for path in sorted(parts_of(out).glob("*.parquet"))] == [
        f"{rows:012d}.parquet" for rows in (0, 2 * BATCH, 4 * BATCH)
    ]
    assert read_in_bulk(Source([gnt]), out, options, processes=1).before == COUNT
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


def test_a_part_that_a_crash_left_empty_is_named(tmp_path: Path) -> None:
    (tmp_path / "000000000000.parquet").touch()
    with pytest.raises(RunError, match=r"000000000000\.parquet: damaged .*; remove .* to begin again"):
        Shards(tmp_path)


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
