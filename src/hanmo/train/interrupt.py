"""Ctrl-C between steps: a run stopped in the middle of one would save half an update."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], None]]:
    """Within the block Ctrl-C is only remembered; the function given raises :class:`KeyboardInterrupt` after one.

    A second Ctrl-C, for those who cannot wait, ends the program at once. Outside the main thread, where Python delivers
    no signals, nothing changes.
    """
    asked = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise SystemExit(130)
        asked = True

    def stop_if_asked() -> None:
        if asked:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield stop_if_asked
        return
    before = signal.signal(signal.SIGINT, remember)
    try:
        yield stop_if_asked
    finally:
        signal.signal(signal.SIGINT, before)
