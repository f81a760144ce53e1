"""Limits on connections, before there is a request: their number, size and time of a head, clients that do not read.

uvicorn has none of these for its quick parser: a silent connection stays open for ever, and a head may have any size.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from hanmo.serve.config import ServeConfig

if TYPE_CHECKING:
    from fastapi import FastAPI

_GRACE = 10
"""Seconds that requests get to end when the server is stopped; only sheets may take longer to be answered."""

MAX_HEAD = 64 * 1024
"""Bytes of a request that are not its body: request line, header fields, lengths of chunks, trailer."""
MAX_FIELDS = 100
"""Header fields of a request; browsers send about 15."""
MAX_PIPELINED = 16
"""Requests that a client may send ahead of their answers."""
_SPARE_FILES = 100
"""File descriptors left for everything but connections: libraries, the listener, files that are read."""


class Connection(HttpToolsProtocol):
    """One client's connection. :func:`server_config` derives the class that holds a server's limits."""

    most = 1000
    head_timeout = 10.0
    write_timeout = 30.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._since = time.monotonic()
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        # Of the current request: whether it began in the chunk being parsed, its fields, and its bytes.
        self._began, self._fields, self._overhead, self._body = False, 0, 0, 0

    @property
    def _idle(self) -> bool:
        """Whether no request is in progress: none has come, or its head is incomplete, or all have been answered."""
        return self.cycle is None or (self.cycle.response_complete and not self.pipeline)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self._await_head()
        if len(self.connections) > self.most:
            self._make_room()

    def _make_room(self) -> None:
        # The one that has been silent for longest goes: who opens connections and sends nothing shuts out nobody.
        others = cast("set[Connection]", self.connections) - {self}
        idle = [connection for connection in others if connection._idle]
        oldest = min(idle, key=lambda connection: connection._since, default=None)
        if oldest is None:
            self._refuse(503, "too many connections")
        else:
            oldest.transport.abort()
            # Its transport reports the loss in a later turn of the loop; until then it must not be chosen again.
            self.connections.discard(oldest)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_deadline()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._deadline is None and self._idle:
            self._await_head()
        self._began, body = False, self._body
        super().data_received(data)
        if not self._began:  # of a chunk that holds the end of one request and the beginning of another, nothing counts
            self._overhead += len(data) - (self._body - body)
        # Counted against the body, as chunked bodies need more lengths the longer they are.
        if self._overhead > MAX_HEAD + self._body and not self.transport.is_closing():
            self._refuse(431, f"the request's head is larger than {MAX_HEAD // 1024} KiB")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._began, self._fields, self._overhead, self._body = True, 0, 0, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise ValueError  # ends the parser, which asks for the answer below
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError
        self._unset_deadline()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        if self._fields > MAX_FIELDS:
            self._refuse(431, f"the request has more than {MAX_FIELDS} header fields")
        else:
            super().send_400_response(msg)

    def pause_writing(self) -> None:
        super().pause_writing()
        # A client that asks and does not read would hold its answer, and the server's end, for ever.
        self._stalled = self._stalled or self.loop.call_later(self.write_timeout, self._abort)

    def resume_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def _abort(self) -> None:
        self.transport.abort()

    def _await_head(self) -> None:
        self._since = time.monotonic()
        self._deadline = self.loop.call_later(self.head_timeout, self._too_late)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        # Without an answer: browsers open connections ahead of time and would take it for that to their next request.
        self.transport.close()

    def _refuse(self, status: int, reason: str) -> None:
        text = reason.encode()
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
            + b"content-length: %d\r\n\r\n" % len(text)
            + text
        )
        self.transport.close()


def server_config(app: FastAPI, config: ServeConfig, **settings: Any) -> Config:
    """uvicorn's settings for ``app``, with the limits of ``config``; ``settings`` go before."""
    limits = {"most": _affordable(config.connections), "head_timeout": config.head_timeout}
    usual: dict[str, Any] = {
        "http": type("LimitedConnection", (Connection,), limits),
        "log_config": None,  # uvicorn's loggers are set up with our own
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": _GRACE,
        "ws": "none",
        "lifespan": "on",
    }
    return Config(app, **usual | settings)


def _affordable(connections: int) -> int:
    """As many of ``connections`` as the process has file descriptors for."""
    try:
        import resource
    except ImportError:  # Windows knows no such limit
        return connections
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections if soft == resource.RLIM_INFINITY else max(1, min(connections, soft - _SPARE_FILES))
