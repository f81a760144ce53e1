"""Layers between the network and the application: limits of size and time, headers, a log line and metrics."""

from __future__ import annotations

import asyncio
import logging
import random
import time

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hanmo.serve.config import ServeConfig
from hanmo.serve.logs import facts
from hanmo.serve.metrics import Metrics
from hanmo.serve.problems import RefusedError, body_too_large, busy

logger = logging.getLogger("hanmo.serve")

SECURITY_HEADERS = {
    # Pictures that are dropped on the page are shown from memory: blob:.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
SHEETS = "/v1/sheets"
"""The address whose answers take seconds."""
CLIENT_GONE = 499
"""The status logged where nobody was left to answer."""


class Watch:
    """The outermost layer: adds headers, logs and counts every answer, and answers 500 if the server itself fails."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        # The number is no secret; asking the system for one would hand the interpreter's lock to a decoding thread.
        status, start, number = 0, time.perf_counter(), f"{random.getrandbits(64):016x}"

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], *_RAW_HEADERS, (b"x-request-id", number.encode())]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message["headers"] = headers
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except ClientDisconnect:
            status = CLIENT_GONE
        except Exception:  # a bug of ours: logged whole, never passed over
            # Starlette's own handler stands outside this layer: its answer would lack the headers and the number.
            logger.exception("failed", extra=facts(request=number))
            if status:  # too late for another answer; the server breaks the connection off
                raise
            await RefusedError(
                500, "internal_error", f"this is a fault of the server; its log has the details under {number}"
            ).response()(scope, receive, answer)
        finally:
            self._report(scope, status, time.perf_counter() - start, number)
        return None

    def _report(self, scope: Scope, status: int, seconds: float, number: str) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.count_request(route, scope["method"], status, seconds)
        logger.info(
            "request",
            extra=facts(
                request=number, route=route, method=scope["method"][:16], status=status, ms=round(seconds * 1000, 1)
            ),
        )


class Guard:
    """Limits the size of each body and of all bodies together, and the time to the answer."""

    def __init__(self, app: ASGIApp, config: ServeConfig) -> None:
        self.app, self._config = app, config
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        # Too large a declared size is refused before a byte is received. The header may lie, so take() counts as well.
        declared = Headers(scope=scope).get("content-length", "")
        # 20 digits hold every real size; int() refuses numbers of thousands of digits with an error.
        if declared.isdecimal() and int(declared[:20]) > self._config.max_body:
            return await body_too_large(self._config.max_body).response()(scope, receive, send)
        passage = _Passage(self, receive, send)
        try:
            async with asyncio.timeout(self._time_for(scope)) as passage.deadline:
                await self.app(scope, passage.receive, passage.send)
        except TimeoutError:
            # A TimeoutError from within the application is its own error and not our limit.
            if not passage.deadline.expired():
                raise
            await passage.too_late().response()(scope, receive, send)
        finally:
            # However the request ended, its bytes are free again.
            self._held -= passage.size
        return None

    def _time_for(self, scope: Scope) -> float:
        # By the end of the address, as the application may be mounted below a folder.
        is_sheet = scope["path"].endswith(SHEETS)
        return self._config.sheet_timeout if is_sheet else self._config.timeout

    def take(self, size: int, more: int) -> None:
        """Account for ``more`` bytes of a body that now has ``size``. Raises :class:`RefusedError`."""
        self._held += more
        if size > self._config.max_body:
            raise body_too_large(self._config.max_body)
        if self._held > self._config.max_held:
            raise busy()


class _Passage:
    """One request on its way through the guard."""

    deadline: asyncio.Timeout

    def __init__(self, guard: Guard, receive: Receive, send: Send) -> None:
        self._guard, self._receive, self._send = guard, receive, send
        self.size = 0
        self._complete = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            more = len(message.get("body", b""))
            self.size += more
            self._complete = not message.get("more_body", False)
            self._guard.take(self.size, more)
        return message

    async def send(self, message: Message) -> None:
        # The time is for making an answer; a large file may then take a slow line as long as it needs.
        self.deadline.reschedule(None)
        await self._send(message)

    def too_late(self) -> RefusedError:
        if self._complete:
            return RefusedError(504, "timeout", "reading took too long; send fewer or smaller pictures, or try again")
        headers = {"Connection": "close"}  # the rest of the body may never come
        return RefusedError(408, "body_timeout", "the body took too long to arrive; send it faster", headers)
