"""Makes SIGTERM stop a verb as Ctrl-C does, so that it tidies up."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def tidy_kill() -> Iterator[None]:
    """Within the block SIGTERM (sent by ``kill`` and by batch systems) raises :class:`KeyboardInterrupt`.

    By default it ends Python at once, and half-written files are left behind. Outside the main thread,
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
