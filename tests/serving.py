"""A real server on a free port, in a thread of the test process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    from hanmo.serve.config import ServeConfig


@contextmanager
def running(app: FastAPI, config: ServeConfig | None = None) -> Iterator[str]:
    """``with running(app) as address``: the server runs meanwhile; its address ends in a slash."""
    import uvicorn  # imported late: without a browser the tests that use this are skipped

    from hanmo.serve.config import ServeConfig
    from hanmo.serve.connections import server_config

    server = uvicorn.Server(server_config(app, config or ServeConfig(), port=0))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the server did not stop"
