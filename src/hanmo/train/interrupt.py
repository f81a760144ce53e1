"""Ctrl-C takes effect between two steps: a run stopped within a step would save half an update."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], None]]:
    """Within the block Ctrl-C is only noted; then the yielded function raises :class:`KeyboardInterrupt`.

    A second Ctrl-C ends the program at once. Outside the main thread nothing changes, since Python delivers signals to
    the main thread only.
    """
    asked = False

    # A handler that does no more than note the wish. 130 is what shells return after Ctrl-C: 128 + SIGINT (2).
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
    # The handler of before comes back in any case, or Ctrl-C would do nothing after the training.
    before = signal.signal(signal.SIGINT, remember)
    try:
        yield stop_if_asked
    finally:
        signal.signal(signal.SIGINT, before)
