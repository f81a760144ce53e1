"""Reading over Ray: a cluster of two nodes that loses one, and a Ray of this machine in another folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from hanmo.bulk import Options, Source, read_in_bulk, spread
from hanmo.data.gnt import write_gnt
from hanmo.errors import RunError, StorageError, WorkerError
from needs import RAY

from .conftest import samples


@pytest.fixture
def archive(folder: Path) -> Path:
    """4,306 pictures: of the folder, one of them damaged, and of four ``.gnt`` files and more pictures."""
    for number in range(4):
        write_gnt(folder / f"{1000 + number}-c.gnt", samples(1000))
    for number, sample in enumerate(samples(300)):
        Image.fromarray(sample.image).save(folder / f"{number:03d}.png")
    return folder


def run_apart(*command: str) -> subprocess.CompletedProcess[str]:
    """A script, which gets the time to end its Ray even where it takes too long."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        stdout, stderr = process.communicate(timeout=600)
    except subprocess.TimeoutExpired:
        process.terminate()
        stdout, stderr = process.communicate(timeout=60)
        pytest.fail(f"no end within ten minutes: {stderr[-2000:]}")
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


@pytest.mark.parametrize("place", ["address", pytest.param("file", marks=pytest.mark.soak)])
def test_a_killed_node_loses_no_picture_and_doubles_none(
    archive: Path, options: Options, tmp_path: Path, place: str
) -> None:
    """While the nodes write a folder at an address, and while their rows go into a file here."""
    RAY.get()
    out = tmp_path / "rows.parquet"
    places = [tmp_path / "facts.json", options.bundle, archive, out if place == "file" else out.as_uri()]
    done = run_apart(str(Path(__file__).with_name("killed_node.py")), *map(str, places))
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert 500 <= facts["killed_at"] < 4306, "the node was killed in the middle"
    assert sum(facts["counts"]) == 4306
    assert facts["counts"][2] == 1

    alone = tmp_path / "alone.parquet"
    read_in_bulk(Source([archive]), alone, options, processes=2)
    expected, written = pq.read_table(alone), pq.read_table(out)
    assert written.schema.names == expected.schema.names
    if place == "file":
        assert written.equals(expected), "the same rows, in the same order"
        return
    assert len(list(out.glob("*.parquet"))) > 2
    assert (out / "_SUCCESS").exists()
    order = [("file", "ascending"), ("sample", "ascending")]
    assert written.cast(expected.schema).sort_by(order).equals(expected.sort_by(order))


def test_the_command_on_this_machine(folder: Path, options: Options, tmp_path: Path) -> None:
    RAY.get()
    arguments = ["recognize", folder.as_uri(), "--out", "rows.csv", "--bundle", str(options.bundle), "--ray", "local"]
    script = f"import os; os.chdir({str(tmp_path)!r}); from hanmo.cli.main import main; main()"
    done = run_apart("-c", script, *arguments, "--processes", "1")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("hanmo: rows.csv: 6 rows; read 4, refused 1, unreadable 1; ")
    assert (tmp_path / "rows.csv").read_text(encoding="utf-8").count("\n") == 7
    assert not list(tmp_path.glob(".rows*"))


@pytest.fixture(scope="module")
def one_ray(options: Options, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder in which one_ray.py read over a Ray that was started elsewhere, and what it found."""
    RAY.get()
    folder = tmp_path_factory.mktemp("one-ray")
    (folder / "scans").mkdir()
    for number, sample in enumerate(samples(5)):
        Image.fromarray(sample.image).save(folder / "scans" / f"{number}.png")
    write_gnt(folder / "1001-c.gnt", samples(40))
    script, facts = Path(__file__).with_name("one_ray.py"), folder / "facts.json"
    done = run_apart(str(script), str(facts), str(options.bundle), str(folder))
    assert done.returncode == 0, done.stderr
    return folder, json.loads(facts.read_text())


def test_relative_paths_start_from_the_folder_of_the_command(one_ray: tuple[Path, dict[str, Any]]) -> None:
    rows = [json.loads(line) for line in (one_ray[0] / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    names = [(f"scans/{number}.png", None) for number in range(5)]
    assert [(row["file"], row["sample"]) for row in rows] == [*names, *(("1001-c.gnt", n) for n in range(1, 41))]
    assert not any(row["error"] for row in rows)


def test_the_settings_of_ray_are_afterwards_those_of_before(one_ray: tuple[Path, dict[str, Any]]) -> None:
    assert one_ray[1]["after"] == one_ray[1]["before"]


def test_fewer_files_than_processes_warn_nobody(one_ray: tuple[Path, dict[str, Any]]) -> None:
    assert len((one_ray[0] / "one.jsonl").read_text(encoding="utf-8").splitlines()) == 40
    assert one_ray[1]["warnings"] == []


def test_a_picture_that_ends_every_process_ends_the_run(one_ray: tuple[Path, dict[str, Any]]) -> None:
    assert one_ray[1]["killed"].startswith("WorkerError: Ray stopped the work (Actor")


def test_a_store_that_refuses_to_write_is_named(one_ray: tuple[Path, dict[str, Any]]) -> None:
    out = "file:///proc/nowhere/rows.parquet"
    assert one_ray[1]["unwritable"].startswith(f"StorageError: {out}: cannot be written (No such file or directory); ")
    assert f"remove {out} if it is there, and give the command again" in one_ray[1]["unwritable"]


class WrappedError(Exception):
    """As Ray's errors: a message with a trace, and the error of the other machine in ``cause``."""

    def __init__(self, message: str, cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.cause = cause


def test_an_error_of_another_machine_is_one_line() -> None:
    trace = "ray::MapWorker(pid=7)\n  File run.py, line 3\nMemoryError: no memory\n"
    inner = RunError("the bundle is gone; fetch it\nFailed to apply UDF transform after 1/1 attempts")
    with pytest.raises(RunError) as error, spread._stopping():
        raise WrappedError(trace) from WrappedError(trace, inner)
    assert str(error.value) == "the bundle is gone; fetch it"
    copy = type("RayTaskError(RunError)", (WrappedError, RunError), {})  # Ray makes such classes, too
    with pytest.raises(RunError, match=r"^the bundle is gone; fetch it$"), spread._stopping():
        raise copy(trace, RunError("the bundle is gone; fetch it"))
    with pytest.raises(WorkerError) as other, spread._stopping():
        raise WrappedError(trace, MemoryError())
    assert str(other.value).startswith("Ray stopped the work (WrappedError: MemoryError: no memory); check that all ")
    with pytest.raises(StorageError, match="a full disk"), spread._stopping():
        raise StorageError("a full disk")
    refused = PermissionError(13, "Permission denied")
    with pytest.raises(WorkerError), spread._stopping():
        raise WrappedError(trace, refused)
    cannot = r"^s3://b/r: cannot be written \(Permission denied\).*remove s3://b/r"
    with pytest.raises(StorageError, match=cannot), spread._stopping("s3://b/r"):
        raise WrappedError(trace, WrappedError(trace, refused))
    again = "then remove s3://b/r if it is there, and give the command again"
    with pytest.raises(WorkerError, match=again), spread._stopping("s3://b/r"):
        raise WrappedError(trace, MemoryError())
