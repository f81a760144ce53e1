"""A polite kill tidies up like Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def tidy_kill() -> Iterator[None]:
    """Within the block SIGTERM (``kill``, a batch system's last word) raises :class:`KeyboardInterrupt`.

    By default it ends Python on the spot, and what was half written stays beside its place. Outside the main thread,
    where Python takes no signal handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # The handler of before is put back, so that a caller's own one is not lost.
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
