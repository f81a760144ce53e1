"""A server for a long time: requests of every kind, clients that vanish, silent ones, and SIGTERM in the middle."""

from __future__ import annotations

import json
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from needs import PROC

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.*"))
PNG = EXAMPLES[0].read_bytes()
URL = "/v1/recognize"
BOUND = 15
"""Seconds from SIGTERM to the end of the server: 10 for requests in flight, the rest to end threads."""


@contextmanager
def server(log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    command = [sys.executable, "-m", "hanmo", "serve", "--port", "0", "--bundle", "nano", "--threads", "2"]
    with log.open("wb") as stderr, subprocess.Popen(command, stderr=stderr) as process:
        try:
            while not (found := re.search(r"reading at (\S+) ", log.read_text(encoding="utf-8"))):
                assert process.poll() is None, log.read_text(encoding="utf-8")
                time.sleep(0.05)
            yield process, found[1]
        finally:
            process.kill()


def resident(process: int) -> float:
    """Megabytes of memory."""
    text = Path(PROC.get().replace("self", str(process))).read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS:")) / 1024


@dataclass
class Crowd:
    """Clients that send requests of every kind, one after the other, until they have sent enough."""

    address: str
    statuses: Counter[int] = field(default_factory=Counter)
    vanished: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, requests: int, clients: int) -> None:
        threads = [threading.Thread(target=self._client, args=(seed, requests // clients)) for seed in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _client(self, seed: int, requests: int) -> None:
        chance = random.Random(seed)
        with httpx.Client(base_url=self.address, timeout=60, trust_env=False) as client:
            for _ in range(requests):
                if chance.random() < 0.1:
                    self._vanish(chance)
                    continue
                status = self._ask(client, chance)
                with self.lock:
                    self.statuses[status] += 1

    def _ask(self, client: httpx.Client, chance: random.Random) -> int:
        files = [("files", (path.name, path.read_bytes())) for path in chance.sample(EXAMPLES, 3)]
        kinds: list[Callable[[], httpx.Response]] = [
            lambda: client.post(URL, content=PNG),
            lambda: client.post(URL, files=files),
            lambda: client.post(URL, json={"strokes": [[[0, 5], [10, 5]], [[5, 0], [5, 10]]]}),
            lambda: client.post(URL, content=PNG[: chance.randrange(len(PNG))]),
            lambda: client.post(URL, content=b"%PDF-1.7"),
            lambda: client.post(URL, content=b"{", headers={"content-type": "application/json"}),
            lambda: client.post(f"{URL}?top=0", content=PNG),
            lambda: client.get("/v1/characters/永"),
            lambda: client.get("/v1/model", headers={"Host": "attacker.example"}),
            lambda: client.get("/health/live"),
            lambda: client.get("/nowhere"),
        ]
        return chance.choice(kinds)().status_code

    def _vanish(self, chance: random.Random) -> None:
        """A client that is killed while it sends, or before it has its answer."""
        head = f"POST {URL} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(PNG)}\r\n\r\n".encode() + PNG
        host, _, port = self.address.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head[: chance.randrange(len(head) + 1)])
        with self.lock:
            self.vanished += 1


@pytest.mark.parametrize("requests", [200, pytest.param(100_000, marks=pytest.mark.soak)])
def test_mixed_requests(tmp_path: Path, record: Callable[[str, str], None], requests: int) -> None:
    with server(tmp_path / "log") as (process, address):
        Crowd(address).run(max(400, requests // 20), 8)  # until caches and the allocator's arenas have their size
        before = resident(process.pid)
        crowd = Crowd(address)
        crowd.run(requests, 8)
        time.sleep(1)
        grown = resident(process.pid) - before
        metrics = httpx.get(f"{address}/metrics", trust_env=False).text
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    record("server", f"{requests:,} requests, {crowd.vanished:,} clients killed, no 5xx, {grown:+.1f} MB")
    assert not [status for status in crowd.statuses if status >= 500], crowd.statuses
    assert {200, 404, 415, 421, 422} <= set(crowd.statuses)
    assert "hanmo_pictures_in_progress 0.0" in metrics
    assert grown < (5 if requests >= 100_000 else 20)  # a short run may still meet a new size of array
    levels = {json.loads(line)["level"] for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")}
    assert levels <= {"info", "warning"}


@pytest.mark.parametrize("times", [1, pytest.param(30, marks=pytest.mark.soak)])
def test_sigterm_under_load_answers_what_is_in_flight(
    tmp_path: Path, record: Callable[[str, str], None], times: int
) -> None:
    longest = 0.0
    for _ in range(times):
        with server(tmp_path / "log") as (process, address):
            longest = max(longest, stopped_under_load(process, address))
    record("SIGTERM under load", f"{times} times, every call in flight answered, ended within {longest:.1f} s")
    assert longest < BOUND


def stopped_under_load(process: subprocess.Popen[bytes], address: str) -> float:
    """Seconds from SIGTERM to the end. Calls of many pictures are in flight then, and many small ones follow."""
    host, _, port = address.removeprefix("http://").partition(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(20)]
    silent[0].sendall(b"GET / HTTP/1.1\r\n")
    stop = threading.Event()
    with ThreadPoolExecutor(11) as pool:
        files = [("files", ("a.png", PNG))] * 64
        small = [pool.submit(keep_asking, host, int(port), stop) for _ in range(8)]
        large = [pool.submit(httpx.post, address + URL, files=files, timeout=60, trust_env=False) for _ in range(3)]
        while in_progress(address) < 100:  # of 192: at least two of the three calls have been opened
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        assert process.wait(60) == 0
        seconds = time.monotonic() - started
        stop.set()
        # A call that had not even been accepted is refused as by any server that is gone.
        answered = [call for call in large if not isinstance(call.exception(), httpx.ConnectError)]
        assert len(answered) >= 2
        for call in answered:
            assert len(call.result().json()["results"]) == 64
        assert all(call.result() > 0 for call in small)
    for connection in silent:
        connection.close()
    return seconds


def in_progress(address: str) -> float:
    text = httpx.get(f"{address}/metrics", trust_env=False, timeout=60).text
    (value,) = re.findall(r"^hanmo_pictures_in_progress (\S+)$", text, re.M)
    return float(value)


def keep_asking(host: str, port: int, stop: threading.Event) -> int:
    """Send one picture after the other until the server ends the connection; each answer is whole, or there is none."""
    ask = f"POST {URL} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(PNG)}\r\n\r\n".encode() + PNG
    answers = 0
    with socket.create_connection((host, port), timeout=60) as connection:
        while not stop.is_set():
            try:
                connection.sendall(ask)
            except ConnectionError:
                break
            if not (answer := received(connection)):
                break
            # 503: the places were taken by the large calls.
            assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 503 ")), answer[:100]
            answers += 1
    return answers


def received(connection: socket.socket) -> bytes:
    """One answer, or nothing where the connection ended before it."""
    answer = b""
    try:
        while b"\r\n\r\n" not in answer and (piece := connection.recv(2**16)):
            answer += piece
        if found := re.search(rb"content-length: (\d+)", answer):
            whole = answer.index(b"\r\n\r\n") + 4 + int(found[1])
            while len(answer) < whole and (piece := connection.recv(2**16)):
                answer += piece
            assert len(answer) == whole, "cut off"
    except ConnectionError:
        assert not answer, "cut off"
    return answer
