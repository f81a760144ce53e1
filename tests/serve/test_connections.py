"""Connections before there is a request: heads of any size, silent clients, clients that do not read."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from hanmo.serve.connections import MAX_FIELDS, MAX_HEAD, Connection, server_config

HEAD = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = b"POST /v1/recognize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECE = b"x" * 2**18


@contextmanager
def connected(client: httpx.Client) -> Iterator[socket.socket]:
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=20) as connection:
        yield connection


def answer(connection: socket.socket) -> bytes:
    """All that the server sends until it closes."""
    received = b""
    try:
        while piece := connection.recv(2**16):
            received += piece
    except ConnectionError:  # it was closed while there was more to come from here
        pass
    return received


def send(connection: socket.socket, piece: bytes, times: int) -> int:
    """Bytes sent until the server closed."""
    for number in range(times):
        try:
            connection.sendall(piece)
        except OSError:
            return number * len(piece)
    return times * len(piece)


@pytest.mark.parametrize(
    "beginning",
    [
        pytest.param(HEAD + b"X-Large: ", id="a header field"),
        pytest.param(b"GET /", id="an address"),
        pytest.param(CHUNKED + b"0\r\nX: ", id="a trailer"),
    ],
)
def test_a_head_of_100_megabytes_ends_after_the_first_kilobytes(serving: Any, beginning: bytes) -> None:
    with serving() as client, connected(client) as connection:
        connection.sendall(beginning)
        started = time.monotonic()
        sent = send(connection, PIECE, 400)
        assert sent < 64 * 2**20, "the server closed long before the end; the rest lies in buffers of the system"
        assert client.get("/health/live").status_code == 200
        assert time.monotonic() - started < 4


def test_a_head_too_large_is_answered(serving: Any) -> None:
    with serving() as client, connected(client) as connection:
        connection.sendall(HEAD)
        time.sleep(0.05)
        connection.sendall(b"X: " + b"x" * MAX_HEAD)
        assert answer(connection).startswith(b"HTTP/1.1 431 ")


def test_thousands_of_fields_are_refused(serving: Any) -> None:
    with serving() as client:
        with connected(client) as connection:
            connection.sendall(HEAD + b"a: b\r\n" * MAX_FIELDS + b"\r\n")
            assert answer(connection).startswith(b"HTTP/1.1 431 ")
        with connected(client) as connection:
            connection.sendall(HEAD + b"a: b\r\n" * (MAX_FIELDS - 2) + b"Connection: close\r\n\r\n")
            assert answer(connection).startswith(b"HTTP/1.1 200 ")


def test_bodies_in_small_pieces_are_taken(serving: Any, picture: Any) -> None:
    with serving() as client:
        large = picture("十", "bmp") + bytes(2**20)
        pieces = (large[start : start + 1000] for start in range(0, len(large), 1000))
        assert client.post("/v1/recognize", content=pieces).json()["results"][0]["character"] == "十"


def test_a_thousand_requests_at_once_are_not_held(serving: Any) -> None:
    with serving() as client, connected(client) as connection:
        connection.sendall((HEAD + b"\r\n") * 1000)
        assert answer(connection).count(b"HTTP/1.1 200 ") < 100


def test_silent_connections_shut_nobody_out(serving: Any) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))  # for this end of the connections
    try:
        with serving(connections=50) as client, ExitStack() as stack:
            silent = [stack.enter_context(connected(client)) for _ in range(1010)]
            for half in silent[::3]:
                send(half, b"GET / HT", 1)
            for _ in range(5):
                assert httpx.get(f"{client.base_url}health/ready", trust_env=False).status_code == 200
            assert answer(silent[0]) == b"", "closed, to make room"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_limit_leaves_files_for_other_things() -> None:
    from hanmo.serve.connections import _affordable

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert _affordable(10**9) < soft
    assert _affordable(10) == 10


@pytest.mark.parametrize("beginning", [b"", b"\r\n", HEAD, HEAD + b"\r\n", HEAD + b"\r\nGET"])
def test_a_head_that_never_ends_is_cut_off(serving: Any, beginning: bytes) -> None:
    with serving(head_timeout=0.4) as client, connected(client) as connection:
        started = time.monotonic()
        connection.sendall(beginning)
        # A byte now and then does not prolong the time.
        while time.monotonic() - started < 8:
            time.sleep(0.1)
            if beginning == HEAD + b"\r\n":  # answered; the usual time for a further request is another one, 5 s
                break
            try:
                connection.sendall(b"\r\n" if beginning in (b"", b"\r\n") else b"X")
            except OSError:
                break
        assert time.monotonic() - started < 8
        answer(connection)


def test_a_client_that_does_not_read_is_cut_off(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "write_timeout", 0.5)
    with serving() as client, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((client.base_url.host, client.base_url.port))
        connection.settimeout(20)
        ask = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        started = time.monotonic()
        while time.monotonic() - started < 15 and send(connection, ask * 8, 1):
            time.sleep(0.05)
        assert time.monotonic() - started < 15


def test_every_request_may_follow_another_on_one_connection(serving: Any) -> None:
    with serving(head_timeout=0.5) as client:
        for _ in range(6):
            assert client.get("/health/live").status_code == 200
            time.sleep(0.2)


def test_settings_may_be_changed() -> None:
    from fastapi import FastAPI

    from hanmo.serve.config import ServeConfig

    config = server_config(FastAPI(), ServeConfig(connections=7), port=81)
    config.load()
    assert (config.port, config.http_protocol_class.most) == (81, 7)  # type: ignore[attr-defined]
