"""Refusals as answers: ``{"error": {"code", "message"}}`` with an HTTP status."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

from hanmo.errors import HanmoError, ImageError, ImageFormatError, ImageTooLargeError, SheetError
from hanmo.image import describe

RETRY_AFTER = 1
"""Seconds after which a client that was sent away may try again: a full queue is read in less."""

_STATUS_CODES = {404: "not_found", 405: "method_not_allowed"}


class RefusedError(Exception):
    """A request is refused with ``status``; ``code`` is for programs, the message for people."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """The refusal as an HTTP answer."""
        content = {"error": {"code": self.code, "message": self.message}}
        return JSONResponse(content, self.status, headers=self.headers)


def busy() -> RefusedError:
    """The server has no room for more work (503)."""
    return RefusedError(503, "busy", "too much to read at the moment; try again", {"Retry-After": str(RETRY_AFTER)})


def body_too_large(limit: int) -> RefusedError:
    """A body, or the size its header declares, is larger than ``limit`` bytes (413)."""
    return RefusedError(413, "body_too_large", f"the body is larger than {limit / 2**20:g} MiB; send less in one call")


def unknown_character(character: str, model: str) -> RefusedError:
    """The model does not know the character asked about (404)."""
    # Cut, because the address may hold a text of any length in place of a character.
    shown = describe(character)[:20]
    return RefusedError(404, "unknown_character", f"{model} does not know {shown!r}; ask about one of its candidates")


def unusable_among(error: HanmoError) -> RefusedError:
    """The characters to choose among cannot be used (422)."""
    # Cut, because the message may repeat what was sent.
    return RefusedError(422, "unusable_among", describe(str(error))[:300])


def of_picture(error: ImageError, source: str = "") -> RefusedError:
    """A picture's error as a problem; ``source``, which the message begins with, is left out."""
    status, code = 422, "unusable_picture"
    if isinstance(error, ImageFormatError):
        status, code = 415, "unsupported_format"
    elif isinstance(error, ImageTooLargeError):
        code = "picture_too_large"
    elif isinstance(error, SheetError):
        code = "no_grid"
    # The client knows which picture it sent; the server's name for it ("picture of 900 bytes") would only confuse.
    return RefusedError(status, code, str(error).removeprefix(f"{source}: "))


def of_status(status: int, detail: str, headers: Mapping[str, str] | None) -> RefusedError:
    """The router's refusal: there is no such address, or it does not take this method."""
    return RefusedError(status, _STATUS_CODES.get(status, "http_error"), detail, headers)
