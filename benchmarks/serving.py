"""Load on ``hanmo serve``: many clients, mixed requests, every answer checked.

    python benchmarks/serving.py --requests 20000

The clients run in this process, on the same cores as the server. Of the requests half are small PNG files, a quarter
the files in ``examples/`` as they are, a seventh strokes, a tenth forms of four small files and the rest pictures that
have to be refused. A failure is an unexpected status, or another character than the same reader gives without a server.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from hanmo.image import load
from hanmo.recognizer import Recognizer

EXAMPLES = Path(__file__).parents[1] / "examples"
STROKES: list[list[list[list[float]]]] = [
    [[[0, 50], [100, 48]]],
    [[[0, 50], [100, 50]], [[50, 0], [50, 100]]],
    [[[0, 0], [5, 90]], [[0, 0], [100, 0], [95, 90]], [[5, 88], [95, 88]]],
]
SMALL_SIDE = 96
BOUNDARY = "----hanmo"


@dataclass(frozen=True)
class Request:
    """The bytes to send, and what must come back."""

    data: bytes
    status: int
    characters: str


@dataclass
class Outcome:
    """Response times and failures of all clients."""

    seconds: list[float] = field(default_factory=list)
    characters: int = 0
    failures: list[str] = field(default_factory=list)


def request(content_type: str, body: bytes, status: int, characters: str) -> Request:
    head = (
        f"POST /v1/recognize HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return Request(head.encode() + body, status, characters)


def small(path: Path) -> bytes:
    """A picture as a page or a program would send it."""
    picture = Image.fromarray(load(path))
    picture.thumbnail((SMALL_SIDE, SMALL_SIDE))
    file = io.BytesIO()
    picture.save(file, "png")
    return file.getvalue()


def form(files: list[bytes]) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{n}.png"\r\n\r\n'.encode() + data
        for n, data in enumerate(files)
    ]
    return b"\r\n".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def mixture(number: int, bundle: str, seed: int = 1) -> list[Request]:
    paths = sorted(EXAMPLES.iterdir())
    files, small_files = [path.read_bytes() for path in paths], [small(path) for path in paths]
    blank = io.BytesIO()
    Image.new("L", (80, 80), 255).save(blank, "png")
    refused = [request("image/svg+xml", b"<svg/>", 415, ""), request("image/png", blank.getvalue(), 422, "")]
    # The answers of the same reader without a server.
    reader = Recognizer(bundle)
    small_read, read, strokes_read = (
        [prediction.character or "?" for prediction in reader.recognize_batch(sources, 1)]
        for sources in (small_files, files, STROKES)
    )
    plain = [request("image/png", data, 200, c) for c, data in zip(small_read, small_files, strict=True)]
    large = [request("application/octet-stream", data, 200, c) for c, data in zip(read, files, strict=True)]
    written = [
        request("application/json", json.dumps({"strokes": strokes}).encode(), 200, c)
        for c, strokes in zip(strokes_read, STROKES, strict=True)
    ]
    forms = [
        request(
            f"multipart/form-data; boundary={BOUNDARY}",
            form(small_files[n : n + 4]),
            200,
            "".join(small_read[n : n + 4]),
        )
        for n in range(5)
    ]
    draw = random.Random(seed)
    kinds = draw.choices([plain, large, written, forms, refused], [50, 25, 14, 10, 1], k=number)
    return [draw.choice(kind) for kind in kinds]


async def client(port: int, waiting: list[Request], outcome: Outcome) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while waiting:
        wanted = waiting.pop()
        start = time.perf_counter()
        writer.write(wanted.data)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        outcome.seconds.append(time.perf_counter() - start)
        outcome.characters += len(wanted.characters)
        status = int(head[9:12])
        read = "".join(result.get("character") or "?" for result in json.loads(body).get("results", []))
        if (status, read) != (wanted.status, wanted.characters):
            outcome.failures.append(f"{status} {read!r} instead of {wanted.status} {wanted.characters!r}")
    writer.close()


async def press(port: int, requests: list[Request], clients: int) -> Outcome:
    outcome, waiting = Outcome(), list(requests)
    await asyncio.gather(*(client(port, waiting, outcome) for _ in range(clients)))
    return outcome


def resident_mb(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def cpu_seconds(process: int) -> float:
    """Processor time a process has used: unlike the clock it hardly depends on who else is busy."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(bundle: str, threads: int, number: int, clients: int) -> str:
    """One row of the table."""
    requests = mixture(number, bundle)
    command = [sys.executable, "-m", "hanmo", "serve", "--port", "0", "--bundle", bundle, "--threads", str(threads)]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        server = subprocess.Popen(command, stderr=log)
        try:
            while "reading at" not in (line := (log.seek(0), log.readline())[1]):
                if server.poll() is not None:
                    raise SystemExit(f"the server ended: {line}")
                time.sleep(0.1)
            port = int(line.split("(")[0].rpartition(":")[2])
            log.seek(0, os.SEEK_END)
            time.sleep(1)
            asyncio.run(press(port, requests[: max(400, number // 10)], clients))
            before, used = resident_mb(server.pid), cpu_seconds(server.pid)
            start = time.perf_counter()
            outcome = asyncio.run(press(port, requests, clients))
            seconds = time.perf_counter() - start
            growth, used = resident_mb(server.pid) - before, cpu_seconds(server.pid) - used
        finally:
            server.terminate()
            server.wait()
    for failure in outcome.failures[:5]:
        print(failure, file=sys.stderr)
    half, late, latest = np.percentile(np.array(outcome.seconds) * 1000, [50, 99, 100])
    return (
        f"| {bundle} | {threads} | {len(outcome.seconds):,} | {len(outcome.failures)} | {half:.1f} | {late:.1f} "
        f"| {latest:.0f} | {outcome.characters / seconds:.0f} "
        f"| {used / outcome.characters * 1000:.2f} | {seconds:.0f} | {before:.0f} | {growth:+.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--threads", type=int, nargs="+", default=[2])
    parser.add_argument("--bundles", nargs="+", default=["free", "nano"])
    args = parser.parse_args()
    heads = "bundle, threads, requests, failed, p50 ms, p99 ms, max ms, characters/s, CPU ms a character, s, MB, growth"
    columns = heads.split(", ")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for bundle in args.bundles:
        for threads in args.threads:
            print(measure(bundle, threads, args.requests, args.clients), flush=True)


if __name__ == "__main__":
    main()
