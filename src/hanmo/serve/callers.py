"""Who may call: the name a client uses for the server, the page that a browser's call comes from, and the token.

Browsers run pages of strangers, and these reach a server that listens on this computer only. Two ways are closed here:
a page whose own name is made to point to this computer (DNS rebinding) is refused by that name, and a page that posts
to this server from elsewhere by the origin that browsers state.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from hanmo.serve.config import ServeConfig
from hanmo.serve.problems import RefusedError

_SAFE = {"GET", "HEAD", "OPTIONS"}
"""Methods that change nothing and whose answers pages of other origins cannot read."""
_OPEN = {"/health/live", "/health/ready"}
"""Addresses that need no token, as those who watch a server have none."""


class Callers:
    """Refuses calls by a foreign name, from a page of another origin, or without the token."""

    def __init__(self, app: ASGIApp, config: ServeConfig) -> None:
        self.app, self._token = app, config.token
        self._hosts = {"localhost", *(name.lower().rstrip(".") for name in config.hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._check(scope["method"], scope["path"], Headers(scope=scope))
            except RefusedError as problem:
                return await problem.response()(scope, receive, send)
        return await self.app(scope, receive, send)

    def _check(self, method: str, path: str, headers: Headers) -> None:
        hosts = headers.getlist("host")
        # A call without a name (HTTP/1.0) comes from no browser.
        if len(hosts) > 1 or (hosts and not self._own(_name(hosts[0]))):
            raise RefusedError(
                421, "unknown_host", "this server does not go by that name; start it with --allow-host and the name"
            )
        if method not in _SAFE and self._foreign(headers):
            raise RefusedError(403, "foreign_page", "pages of other sites may not use this server")
        if self._token is not None and path not in _OPEN and not _shows(self._token, headers.get("authorization", "")):
            challenge = {"WWW-Authenticate": 'Basic realm="hanmo", charset="UTF-8", Bearer realm="hanmo"'}
            raise RefusedError(
                401, "token_needed", "send the server's token: Authorization: Bearer, or as a password", challenge
            )

    def _own(self, name: str) -> bool:
        """Whether ``name`` is one of the server's. Any IP address is: rebinding needs a name that can be pointed."""
        return name in self._hosts or _is_address(name)

    def _foreign(self, headers: Headers) -> bool:
        """Whether a browser makes this call for a page of another origin."""
        # Stated by browsers where the connection is trustworthy (HTTPS, localhost), also through proxies that change
        # the host; other clients state neither this nor an origin.
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site not in ("same-origin", "none")
        origin = headers.get("origin")
        if origin is None:
            return False
        host = headers.get("host", "")
        return _origin_host(origin) != host.lower() and _name(_origin_host(origin)) not in self._hosts - {"localhost"}


def _origin_host(origin: str) -> str:
    """Host and port of an origin, empty for ``null`` and what is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name(host: str) -> str:
    """A Host header's name without its port, and an IPv6 address without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _shows(token: str, authorization: str) -> bool:
    """Whether an Authorization header holds the token; Basic's password, because browsers ask for one by themselves."""
    scheme, _, shown = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            shown = base64.b64decode(shown, validate=True).decode("latin-1").partition(":")[2]
        except (binascii.Error, ValueError):
            return False
    elif scheme.lower() != "bearer":
        return False
    # In a time that does not depend on how many characters are right. As bytes, since str must be ASCII there.
    return secrets.compare_digest(shown.strip().encode(), token.encode())
