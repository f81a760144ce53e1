"""``hanmo serve`` as a process: where it listens, what it says, and how it ends."""

from __future__ import annotations

import http.client
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

# What runs in the background of a script is born deaf to Ctrl-C.
COMMAND = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom hanmo.cli.main import main; main()",
    "serve",
    "--bundle",
    "nano",
]


@contextmanager
def started(*arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """A server on a free port, the first line that it says, and the port."""
    command = [*COMMAND, "--port", "0", "--threads", "1", *arguments]
    environment = os.environ | variables
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=environment) as process:
        try:
            assert process.stderr is not None
            first = process.stderr.readline()
            found = re.search(r":(\d+) \(Ctrl-C stops\)$", first)
            assert found, first
            yield process, first, int(found[1])
        finally:
            process.kill()


def rest(process: subprocess.Popen[str]) -> list[str]:
    """What is said until the end. Not by communicate(), which would leave out what readline() has read ahead."""
    assert process.stderr is not None
    return process.stderr.read().splitlines()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped(how: signal.Signals) -> None:
    with started() as (process, first, port):
        assert first == f"hanmo: reading at http://127.0.0.1:{port} (Ctrl-C stops)\n"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        body = json.dumps({"strokes": [[[0, 50], [100, 50]], [[50, 0], [50, 100]]]})
        connection.request("POST", "/v1/recognize", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert json.loads(answer.read())["results"][0]["character"] == "十"
        assert answer.getheader("server") is None
        connection.close()
        process.send_signal(how)
        line, last = rest(process)
        assert process.wait(timeout=30) == 0
    assert json.loads(line)["route"] == "/v1/recognize"
    assert last == "hanmo: stopped"


def test_on_a_terminal_the_log_is_for_people() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, "--port", "0", "--threads", "1"], stderr=theirs)
    try:
        with os.fdopen(ours, "rb", buffering=0) as terminal:
            shown = b""
            while not (found := re.search(rb"reading at http://127\.0\.0\.1:(\d+)", shown)) or b"\n" not in shown:
                shown += terminal.read(1000)
            connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=20)
            connection.request("HEAD", "/")
            assert connection.getresponse().status == 200
            shown = b""
            while b"\n" not in shown:
                shown += terminal.read(1000)
            connection.close()
        assert re.fullmatch(r"\d\d:\d\d:\d\d  200  HEAD /  \d+ ms\s+", shown.decode())
    finally:
        process.kill()
        process.wait()
        os.close(theirs)


def ended(*arguments: str) -> str:
    """What a command that cannot serve says; it is one line."""
    process = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, encoding="utf-8", timeout=60)
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.count("\n") == 1
    return process.stderr


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = ended("--port", str(port))
    assert said == (
        f"hanmo: port {port} of 127.0.0.1 is in use; choose another one with --port, or stop what listens there\n"
    )


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "a" * 70])
def test_an_address_that_is_not_ours(host: str) -> None:
    assert f"port 8000 of {host} cannot be listened on" in ended("--host", host)


def test_a_bundle_that_is_not_there() -> None:
    assert "no such bundle folder" in ended("--bundle", "nowhere")


def test_without_the_extra_the_remedy_is_named() -> None:
    code = "import sys; sys.modules['uvicorn'] = None; from hanmo.cli.main import main; main()"
    process = subprocess.run([sys.executable, "-c", code, "serve"], capture_output=True, text=True)
    assert process.returncode == 2
    assert (
        process.stderr
        == "hanmo: this verb needs uvicorn; in the folder of the repository run: pip install '.[serve]'\n"
    )


def greeting(*arguments: str, **variables: str) -> tuple[int, list[str]]:
    """The status of the first answer, and what else is said."""
    with started(*arguments, **variables) as (process, _, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/v1/model")
        status = connection.getresponse().status
        connection.close()
        process.terminate()
        lines = rest(process)
    return status, [line for line in lines if line.startswith("hanmo: ") and line != "hanmo: stopped"]


def test_a_server_that_others_reach_asks_for_a_token() -> None:
    status, said = greeting("--host", "0.0.0.0")
    assert status == 200
    assert said == ["hanmo: warning: other computers may reach this server; set a token (HANMO_TOKEN)"]
    assert greeting("--host", "0.0.0.0", HANMO_TOKEN="some-token") == (401, [])
    assert greeting() == (200, [])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(["--token", "two words"], "the token must be"), (["--allow-host", "http://a.example"], "is no host's name")],
)
def test_impossible_names_and_tokens(arguments: list[str], reason: str) -> None:
    assert reason in ended(*arguments)
