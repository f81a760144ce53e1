"""Reading over Ray: a cluster of two nodes that loses one, and what goes wrong before anything is read."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from hanmo.bulk import Options, Source, read_in_bulk, spread
from hanmo.bulk.cluster import check_address
from hanmo.data.gnt import write_gnt
from hanmo.errors import ArgumentError, RunError, StorageError, WorkerError
from needs import RAY

from .conftest import samples

Run = Callable[..., tuple[int, str, str]]


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
    with pytest.raises(WorkerError) as other, spread._stopping():
        raise WrappedError(trace, MemoryError())
    assert str(other.value).startswith(
        "Ray stopped the reading (WrappedError: MemoryError: no memory); check that all "
    )
    with pytest.raises(StorageError, match="a full disk"), spread._stopping():
        raise StorageError("a full disk")


@contextmanager
def server(answer: bytes | None) -> Iterator[str]:
    """The address of a server that gives ``answer`` to whoever comes, or is silent."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                if answer is not None:
                    connection.sendall(answer)
                else:
                    time.sleep(3)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["closed", "silent", "another"])
def test_an_address_that_does_not_answer_is_one_line_within_seconds(
    run: Run, folder: Path, options: Options, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("hanmo.bulk.cluster._require_ray", lambda: None)  # it is not needed to find out
    monkeypatch.setattr("hanmo.bulk.cluster._ANSWER_SECONDS", 1.0)

    def recognize(address: str) -> str:
        start = time.monotonic()
        command = ["recognize", str(folder), "--out", "a.parquet", "--bundle", str(options.bundle), "--ray", address]
        status, _, stderr = run(*command)
        assert status == 2
        assert stderr.count("\n") == 1
        assert f"--ray {address}: " in stderr
        assert time.monotonic() - start < 10
        assert not list(Path().glob(".a.parquet*")), "nothing is left behind"
        return stderr

    if kind == "closed":
        assert "does not answer (Connection refused); check the address" in recognize(closed_port())
        return
    with server(None if kind == "silent" else b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        stderr = recognize(address)
    assert ("does not answer (timed out)" if kind == "silent" else "something else than Ray answers there") in stderr


@pytest.mark.parametrize("address", ["", "nonsense", "ray://head:10001", "a b:1", "head:"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ArgumentError, match=r"--ray is .*give local .*, auto .*, or host:port"):
        check_address(address)


def test_without_ray_the_extra_is_named(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    status, _, stderr = run("recognize", str(folder), "--out", "a.parquet", "--ray", "local")
    assert status == 2
    assert "--ray needs Ray Data; pip install 'hanmo[ray]'" in stderr
    assert stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ray", "local"], "--ray is for reading in bulk; add --out FILE"),
        (["--out", "s3://bucket/a.parquet"], "only --ray writes to an address; add --ray local, or name a file"),
        (["--out", "file:///tmp/a.csv", "--ray", "local"], "at an address --ray writes a folder of Parquet files"),
        (["--out", "a.txt", "--ray", "local"], "a.txt: cannot be the result's name; name a file that ends in .parquet"),
        (["--out", "a.csv", "--ray", "local", "--device", "cuda"], "--ray reads on CPUs, not on cuda"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.setattr("hanmo.bulk.cluster._require_ray", lambda: None)
    status, _, stderr = run("recognize", str(folder), *arguments)
    assert status == 2
    assert message in stderr
    assert stderr.count("\n") == 1


def test_a_folder_at_an_address_is_not_replaced(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hanmo.bulk.cluster._require_ray", lambda: None)
    (tmp_path / "old.parquet").mkdir()
    address = (tmp_path / "old.parquet").as_uri()
    status, _, stderr = run("recognize", str(folder), "--out", address, "--ray", "local")
    assert status == 2
    assert f"{address}: exists already; name another folder, or remove it" in stderr


def test_the_rayjob_of_the_documents_is_what_kuberay_takes(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    from typer.main import get_command

    from hanmo.cli.main import app

    job = yaml.safe_load((Path(__file__).parents[2] / "docs" / "rayjob.yaml").read_text(encoding="utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        (container,) = group["template"]["spec"]["containers"]
        assert container["image"] == groups[0]["template"]["spec"]["containers"][0]["image"]
    (workers,) = cluster["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    program, verb, *arguments = shlex.split(job["spec"]["entrypoint"])
    assert program == "hanmo"
    command = get_command(app).commands[verb]  # type: ignore[attr-defined]
    values = command.make_context(verb, arguments).params
    assert values["ray"] == "auto"
    cores = int(workers["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"])
    assert values["processes"] == workers["maxReplicas"] * cores
