"""What is refused before anything is read over Ray: addresses, options, clusters that do not answer. Needs no Ray."""

from __future__ import annotations

import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from hanmo.bulk import Options
from hanmo.bulk.cluster import _require_answer, check_address
from hanmo.errors import ArgumentError, WorkerError

Run = Callable[..., tuple[int, str, str]]
SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # how a server of gRPC begins


@contextmanager
def server(*parts: bytes, pause: float = 0.1) -> Iterator[str]:
    """The address of a server that gives ``parts``, with pauses, to whoever comes; without any it is silent."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):  # the other side has gone
                connection, _ = listening.accept()
                with connection:
                    for part in parts:
                        connection.sendall(part)
                        time.sleep(pause)
                    if not parts:
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
    monkeypatch.setattr("hanmo.bulk.cluster._ANSWER_SECONDS", 0.5)

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
    with server(*([] if kind == "silent" else [b"HTTP/1.1 400 Bad Request\r\n\r\n"])) as address:
        stderr = recognize(address)
    assert ("does not answer (timed out)" if kind == "silent" else "something else than Ray answers there") in stderr


def test_an_answer_may_come_in_several_parts() -> None:
    with server(SETTINGS[:2], SETTINGS[2:5], SETTINGS[5:]) as address:
        _require_answer(address)


def test_all_of_an_answer_has_one_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that gives a byte now and then is not waited for, byte by byte."""
    monkeypatch.setattr("hanmo.bulk.cluster._ANSWER_SECONDS", 0.4)
    with (
        server(*(SETTINGS[n : n + 1] for n in range(9)), pause=0.2) as address,
        pytest.raises(WorkerError, match=r"does not answer \(timed out\)"),
    ):
        _require_answer(address)


def test_all_addresses_of_a_host_have_one_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that do not answer leave time for the others."""
    waits: list[float] = []

    class Silent(socket.socket):
        def connect(self, place: object) -> None:
            waits.append(self.gettimeout() or 0.0)
            time.sleep(waits[-1])
            raise TimeoutError("timed out")

    def resolve(host: str, port: int, **kinds: object) -> Sequence[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))] * 4

    monkeypatch.setattr("hanmo.bulk.cluster._ANSWER_SECONDS", 0.4)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "socket", Silent)
    with pytest.raises(WorkerError, match=r"does not answer \(timed out\)"):
        _require_answer("head:6379")
    assert len(waits) == 4
    assert sum(waits) <= 0.4


def test_a_kind_of_address_that_the_system_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def make(family: int = -1, *options: int, **named: object) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, *options, **named)  # type: ignore[arg-type]

    with server() as address:
        port = int(address.rpartition(":")[2])
        places = [(socket.AF_INET6, ("::1", port, 0, 0)), (socket.AF_INET, ("127.0.0.1", port))]
        found = [(family, socket.SOCK_STREAM, 0, "", place) for family, place in places]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        monkeypatch.setattr(socket, "socket", make)
        monkeypatch.setenv("RAY_USE_TLS", "1")
        _require_answer(f"head:{port}")


def test_a_name_that_no_host_can_have_is_one_line() -> None:
    with pytest.raises(WorkerError, match="does not answer"):
        _require_answer(f"{'a' * 64}.example:6379")


def test_a_cluster_with_tls_only_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hanmo.bulk.cluster._ANSWER_SECONDS", 0.5)
    monkeypatch.setenv("RAY_USE_TLS", "1")
    with server() as address:
        _require_answer(address)
    with pytest.raises(WorkerError, match="Connection refused"):
        _require_answer(closed_port())


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
    head, readers = (group["template"]["spec"]["containers"][0]["resources"] for group in groups)
    assert head["limits"]["memory"] == readers["limits"]["memory"], "the head fetches and writes as the others do"
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
