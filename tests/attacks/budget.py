"""What an input of others may cost: processor time and memory, measured around a block."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SECONDS, MEGABYTES = 0.1, 50
"""What docs/reliability.md promises for an input that is refused."""
BUSY = 20
"""Processor time is so much longer at worst: on shared cores, at the first use of a module, or at a collection."""

_PEAK = Path("/proc/self/clear_refs")


@contextmanager
def budget(seconds: float = SECONDS, megabytes: float = MEGABYTES) -> Iterator[None]:
    """Fails if the block takes more processor time, or if memory grows by more at any moment of it.

    On Linux the peak is that of the whole process, the memory of C libraries included; elsewhere that of Python.
    """
    before = _start()
    start = time.process_time()
    yield
    spent, grown = time.process_time() - start, (_peak() - before) / 2**20
    assert spent < seconds * BUSY, f"{spent:.3f} s of processor time, {seconds} s are allowed"
    assert grown < megabytes, f"{grown:.0f} MiB, {megabytes} are allowed"


def _start() -> int:
    if not os.access(_PEAK, os.W_OK):
        tracemalloc.start()
        return tracemalloc.get_traced_memory()[0]
    with suppress(OSError):
        _PEAK.write_text("5")  # sets the peak back to what is in use now
    return _status("VmRSS")


def _peak() -> int:
    if tracemalloc.is_tracing():
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
