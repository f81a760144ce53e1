"""One recogniser for many calls, threads and processes."""

from __future__ import annotations

import gc
import multiprocessing
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from hanmo import Recognizer
from needs import PROC

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.*"))
Record = Callable[[str, str], None]
Answer = tuple[str | None, float]


@pytest.fixture(scope="module")
def reader() -> Recognizer:
    return Recognizer("nano")


def answers(reader: Recognizer, calls: int) -> list[Answer]:
    seen = (reader.recognize(EXAMPLES[number % len(EXAMPLES)]) for number in range(calls))
    return [(prediction.character, prediction.probability) for prediction in seen]


@pytest.mark.parametrize("calls", [40, pytest.param(10_000, marks=pytest.mark.soak)])
def test_eight_threads_answer_as_one(reader: Recognizer, record: Record, calls: int) -> None:
    alone = answers(reader, calls)
    with ThreadPoolExecutor(8) as pool:
        for together in pool.map(lambda _: answers(reader, calls), range(8)):
            assert together == alone
    record("threads", f"8 threads x {calls:,} calls, identical to {calls:,} serial ones")


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_other_processes_answer_alike(reader: Recognizer, method: str) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        assert pool.submit(answers, reader, 20).result(timeout=120) == answers(reader, 20)


def resident() -> int:
    """Bytes of memory in use."""
    gc.collect()
    text = Path(PROC.get()).read_text(encoding="ascii")
    return 1024 * next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS:"))


@pytest.mark.parametrize("calls", [400, pytest.param(200_000, marks=pytest.mark.soak)])
def test_memory_does_not_grow(reader: Recognizer, record: Record, calls: int) -> None:
    for _ in range(10):  # until caches and the allocator's arenas have their size
        answers(reader, 2 * len(EXAMPLES))
    before = resident()
    for _ in range(calls // 100):
        answers(reader, 100)
    grown = (resident() - before) / 2**20
    record("memory of one recogniser", f"{calls:,} calls, {grown:+.1f} MB")
    assert grown < 10


INTERRUPTED = """
import sys
from hanmo import Recognizer
reader, picture = Recognizer("nano"), sys.argv[1]
expected = reader.recognize(picture).character
print("reading", flush=True)
try:
    while True:
        reader.recognize(picture)
except KeyboardInterrupt:
    pass
assert reader.recognize(picture).character == expected
assert [p.character for p in reader.recognize_batch([picture] * 20)] == [expected] * 20
print("reads on", flush=True)
"""


@pytest.mark.parametrize("times", [2, pytest.param(50, marks=pytest.mark.soak)])
def test_ctrl_c_in_the_middle_of_a_call(record: Record, times: int) -> None:
    for number in range(times):
        command = [sys.executable, "-c", "import signal; signal.signal(2, signal.default_int_handler)\n" + INTERRUPTED]
        with subprocess.Popen([*command, str(EXAMPLES[0])], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"reading\n"
            threading.Event().wait(0.05 + 0.013 * number)
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == b"reads on\n"
            assert process.wait(30) == 0
    record("Ctrl-C", f"{times} in the middle of calls, the recogniser reads on")
