"""Size, time and places: what a server does when it is asked for too much."""

from __future__ import annotations

import json
import logging
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from attacks.budget import BUSY
from hanmo.bundle import Bundle
from hanmo.errors import ArgumentError, BundleError
from hanmo.prediction import Prediction
from hanmo.recognizer import Recognizer
from hanmo.serve.config import ServeConfig
from hanmo.serve.logs import JsonFormatter, TextFormatter, facts
from hanmo.serve.problems import RefusedError
from hanmo.serve.uploads import parse

URL = "/v1/recognize"
Picture = Callable[..., bytes]


class SlowReader(Recognizer):
    """Reads when it is let, and remembers the sizes of its batches."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self.go, self.sizes = threading.Event(), list[int]()

    def predict(self, squares: NDArray[np.uint8], top: int = 5) -> list[Prediction]:
        self.sizes.append(len(squares))
        if len(self.sizes) > 1:  # the first is the server's own, to warm up
            self.go.wait(20)
        return super().predict(squares, top)


class BrokenReader(Recognizer):
    def predict(self, squares: NDArray[np.uint8], top: int = 5) -> list[Prediction]:
        if squares.any():
            raise BundleError("/secret/model.onnx: the net fails to run")
        return super().predict(squares, top)


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_bodies_too_large(client: httpx.Client) -> None:
    large = bytes(8 * 2**20 + 1)

    def in_pieces() -> Iterator[bytes]:
        for start in range(0, len(large), 2**16):
            yield large[start : start + 2**16]

    assert code_of(client.post(URL, content=large)) == (413, "body_too_large")
    assert code_of(client.post(URL, content=in_pieces())) == (413, "body_too_large")
    assert code_of(client.post(URL, content=bytes(8 * 2**20))) == (415, "unsupported_format")
    json_type = {"content-type": "application/json"}
    assert code_of(client.post(URL, content=b" " * (2 * 2**20 + 1), headers=json_type)) == (413, "body_too_large")
    assert client.get("/health/live").status_code == 200


def test_all_bodies_together(serving: Any) -> None:
    with serving(max_body=100, max_held=100) as client:
        host, port = client.base_url.host, client.base_url.port
        with socket.create_connection((host, port)) as other:
            other.sendall(b"POST /v1/recognize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90\r\n\r\n" + b"x" * 80)
            until(lambda: client.post(URL, content=b"x" * 50).status_code == 503)
            assert client.post(URL, content=b"x" * 10).status_code == 415
            other.sendall(b"x" * 10)
            assert b" 415 " in other.recv(100)
        assert client.post(URL, content=b"x" * 50).status_code == 415, "what was held is freed"


def test_a_full_house_sends_clients_away(serving: Any, bundle: Bundle, picture: Picture) -> None:
    reader = SlowReader(bundle)
    with serving(reader, queue=4, max_pictures=4, batch=2) as client, ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(client.post, URL, content=picture("十")) for _ in range(4)]
        until(lambda: client.get("/health/ready").status_code == 503)
        refused = client.post(URL, content=picture("一"))
        assert code_of(refused) == (503, "busy")
        assert refused.headers["retry-after"] == "1"
        assert client.get("/health/live").status_code == 200
        reader.go.set()
        assert [answer.result().json()["results"][0]["character"] for answer in waiting] == ["十"] * 4
        assert client.get("/health/ready").status_code == 200
        assert client.post(URL, content=picture("一")).status_code == 200


def test_a_call_of_many_takes_as_many_places(serving: Any, bundle: Bundle, picture: Picture) -> None:
    reader = SlowReader(bundle)
    with serving(reader, queue=4, max_pictures=4) as client, ThreadPoolExecutor(1) as pool:
        files = [("file", ("a.png", picture("口")))] * 3
        waiting = pool.submit(client.post, URL, files=files)
        until(lambda: "hanmo_pictures_in_progress 3.0" in client.get("/metrics").text)
        assert code_of(client.post(URL, files=files)) == (503, "busy")
        reader.go.set()
        assert len(waiting.result().json()["results"]) == 3


def test_reading_that_takes_too_long(serving: Any, bundle: Bundle, picture: Picture) -> None:
    reader = SlowReader(bundle)
    with serving(reader, timeout=0.4) as client, ThreadPoolExecutor(3) as pool:
        late = [pool.submit(client.post, URL, content=picture("十")) for _ in range(3)]
        assert {code_of(answer.result()) for answer in late} == {(504, "timeout")}
        assert "hanmo_pictures_in_progress 0.0" in client.get("/metrics").text
        reader.go.set()
        until(lambda: client.post(URL, content=picture("一")).status_code == 200)


def test_what_nobody_waits_for_is_not_read(serving: Any, bundle: Bundle, picture: Picture) -> None:
    reader = SlowReader(bundle)
    with serving(reader, timeout=0.4, batch=1) as client, ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: client.post(URL, content=picture("十")), range(5)))
        reader.go.set()
        until(lambda: client.post(URL, content=picture("一")).status_code == 200)
        assert len(reader.sizes) == 3, "one to warm up, one that was under way, one that was waited for"


def test_pictures_of_clients_that_left_are_not_read(serving: Any, bundle: Bundle, picture: Picture) -> None:
    reader = SlowReader(bundle)
    with serving(reader, batch=1) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, URL, content=picture("十"))
        until(lambda: len(reader.sizes) == 2)
        head = f"POST {URL} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(picture('口'))}\r\n\r\n".encode()
        for _ in range(5):
            with socket.create_connection((client.base_url.host, client.base_url.port)) as gone:
                gone.sendall(head + picture("口"))
                until(lambda: "hanmo_pictures_in_progress 2.0" in client.get("/metrics").text)
            until(lambda: "hanmo_pictures_in_progress 1.0" in client.get("/metrics").text)
        reader.go.set()
        assert first.result().status_code == 200
        assert client.post(URL, content=picture("一")).status_code == 200
        assert len(reader.sizes) == 3, "one to warm up and the two that were waited for"
        assert 'status="499"} 5.0' in client.get("/metrics").text


LARGE = {
    "points": b'{"strokes":[[' + b"[0,0]," * 330_000 + b"[0,0]]]}",
    "strokes": b'{"strokes":[' + b"[]," * 650_000 + b"[]]}",
    "numbers": b'{"strokes":[[[' + b"1," * 1_000_000 + b"1]]]}",
    "keys": b"{" + b",".join(b'"%d":0' % number for number in range(180_000)) + b"}",
    "characters": b'{"characters":[' + b"{}," * 600_000 + b"{}]}",
    "brackets": b'{"strokes":' + b"[" * 1_000_000,
    "digits": b'{"strokes":[[[0,' + b"1" * 2_000_000 + b"]]]}",
    "most": json.dumps({"characters": [{"strokes": [[[0.123456789, 1]] * 1_020]}] * 64}).encode(),
}


@pytest.mark.parametrize("name", LARGE)
def test_strokes_do_not_hold_the_lock(name: str) -> None:
    started = time.thread_time()
    refused = nullcontext() if name == "most" else pytest.raises(RefusedError)
    with refused:
        parse("application/json", LARGE[name], ServeConfig())
    assert time.thread_time() - started < 0.15 * BUSY


def test_too_many_points_are_refused(client: httpx.Client) -> None:
    json_type = {"content-type": "application/json"}
    assert code_of(client.post(URL, content=LARGE["points"], headers=json_type)) == (422, "too_many_points")


def test_a_body_that_never_ends(serving: Any) -> None:
    with serving(timeout=0.3) as client:
        with socket.create_connection((client.base_url.host, client.base_url.port)) as slow:
            slow.sendall(b"POST /v1/recognize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90\r\n\r\nx")
            slow.settimeout(10)
            answer = b"".join(iter(lambda: slow.recv(4096), b""))  # until the server closes
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"body_timeout" in answer


def test_a_client_that_goes_away(serving: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "hanmo.serve"), serving() as client:
        with socket.create_connection((client.base_url.host, client.base_url.port)) as gone:
            gone.sendall(b"POST /v1/recognize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90\r\n\r\nx")
        until(lambda: 'status="499"' in client.get("/metrics").text)
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_batches_are_gathered_across_clients(serving: Any, bundle: Bundle, picture: Picture) -> None:
    reader = SlowReader(bundle)
    with serving(reader, batch=4) as client, ThreadPoolExecutor(9) as pool:
        first = pool.submit(client.post, URL, content=picture("十"))
        until(lambda: len(reader.sizes) == 2)
        others = [pool.submit(client.post, URL, content=picture("口")) for _ in range(8)]
        until(lambda: "hanmo_pictures_in_progress 9.0" in client.get("/metrics").text)
        time.sleep(0.3)  # for the last to be decoded
        reader.go.set()
        assert {answer.result().status_code for answer in [first, *others]} == {200}
        assert reader.sizes == [1, 1, 4, 4]


def test_our_own_fault_is_a_typed_500_that_tells_nothing(
    serving: Any, bundle: Bundle, picture: Picture, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "hanmo.serve"), serving(BrokenReader(bundle)) as client:
        for _ in range(2):
            failed = client.post(URL, content=picture("十"))
            assert code_of(failed) == (500, "internal_error")
            assert "secret" not in failed.text
            assert failed.headers["x-request-id"] in failed.json()["error"]["message"]
            assert "content-security-policy" in failed.headers
    assert "the net fails to run" in caplog.text


def test_nothing_is_written_to_the_disk(
    client: httpx.Client, picture: Picture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a temporary file")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp", "mkdtemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    large = picture("十", "bmp") + bytes(3 * 2**20)  # beyond what a spooled upload keeps in memory
    files = [("files", ("a.bmp", large)), ("files", ("b.bmp", large))]
    answer = client.post(URL, files=files)
    assert [result["character"] for result in answer.json()["results"]] == ["十", "十"]
    assert not list(tmp_path.iterdir())


def test_logs_hold_facts_and_no_content(
    client: httpx.Client, picture: Picture, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "hanmo.serve"):
        client.post(URL, files={"file": ("secret-name.png", picture("十"))})
        client.post(URL, json={"strokes": [[[31337, 0], [4, 4]]]})
        client.get("/secret-address?secret=query")
        number = client.post(URL, content=b"secret content").headers["x-request-id"]
        until(lambda: len([r for r in caplog.records if r.name == "hanmo.serve"]) >= 4)
    records = [record for record in caplog.records if record.name == "hanmo.serve"]
    lines = [json.loads(JsonFormatter().format(record)) for record in records]
    text = json.dumps(lines, ensure_ascii=False)
    for secret in ("secret", "十", "31337"):
        assert secret not in text
    assert [line["status"] for line in lines] == [200, 200, 404, 415]
    assert lines[3]["request"] == number
    assert set(lines[0]) == {"time", "level", "logger", "event", "request", "route", "method", "status", "ms"}


def record(level: int, event: str, **fields: Any) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"levelno": level, "levelname": logging.getLevelName(level), "msg": event} | facts(**fields)
    )


def test_a_line_for_people_is_short() -> None:
    request = record(logging.INFO, "request", request="3f", route=URL, method="POST", status=200, ms=31.4)
    assert re.fullmatch(r"\d\d:\d\d:\d\d  200  POST /v1/recognize  31 ms", TextFormatter().format(request))
    failed = record(logging.ERROR, "failed", request="3f")
    try:
        raise BundleError("the net fails to run")
    except BundleError:
        failed.exc_info = sys.exc_info()
    first, *rest = TextFormatter().format(failed).splitlines()
    assert first.endswith("  error: failed (request 3f)")
    assert rest[-1].endswith("BundleError: the net fails to run")


@pytest.mark.parametrize(
    "wrong", [{"threads": 0}, {"batch": 0}, {"queue": 10}, {"max_held": 10}, {"window": 5.0}, {"window": -1.0}]
)
def test_impossible_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        ServeConfig(**wrong)


def test_every_line_on_stderr_is_json_and_quotes_no_body(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hanmo", "serve", "--port", "0", "--bundle", "nano"]
    log = tmp_path / "log"
    with log.open("wb") as stderr, subprocess.Popen(command, stderr=stderr) as server:
        try:
            until(lambda: b"reading at" in log.read_bytes())
            port = int(log.read_text().partition(" (")[0].rpartition(":")[2])
            form = {"content-type": "multipart/form-data; boundary=x"}
            refused = httpx.post(f"http://127.0.0.1:{port}{URL}", content=b"?!secret", headers=form, trust_env=False)
            assert code_of(refused) == (422, "malformed_form")
            until(lambda: b'"status": 422' in log.read_bytes())
        finally:
            server.terminate()
    first, *lines = log.read_text().splitlines()
    assert first.startswith("hanmo: reading at ")
    assert [json.loads(line)["event"] for line in lines if not line.startswith("hanmo: ")] == ["request"]
