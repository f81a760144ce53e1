"""A request's body -> the pictures and strokes in it. Everything stays in memory; nothing touches the disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from hanmo.image import describe
from hanmo.serve.config import ServeConfig
from hanmo.serve.problems import RefusedError, body_too_large
from hanmo.serve.schemas import Written, WrittenOneOrMany

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELDS, AMONG = ("file", "files"), "among"
JSON, MULTIPART, BYTES = "application/json", "multipart/form-data", "application/octet-stream"

MAX_CONTENT_TYPE = 1_000
"""Characters of a form's Content-Type."""
MAX_LISTS = 64 * 1024
"""Points and strokes in one call, as lists of JSON. Python's lock is held while they are parsed, about 1 microsecond
each, and the whole server waits. 64 characters of a pen that reports often have about as many."""
MAX_QUOTES = 1_000
"""Quotation marks in strokes as JSON; every character needs two."""
MAX_AMONG = 64 * 1024
"""Bytes of a form's field ``among``; all characters that have a set take half of it."""


@dataclass(frozen=True)
class Upload:
    """A picture file's bytes, or strokes."""

    source: bytes | Written
    name: str | None = None


def media_type(content_type: str) -> str:
    """The type in a Content-Type header, that of bytes where there is none. Raises :class:`RefusedError` (415)."""
    kind = content_type.partition(";")[0].strip().lower() or BYTES
    # Any picture's type will do, as programs and systems differ in them: the first bytes decide what it is.
    if kind in (JSON, MULTIPART, BYTES) or (kind.startswith("image/") and kind != "image/svg+xml"):
        return kind
    shown = "".join(c for c in kind if c.isprintable())[:60]
    raise RefusedError(
        415,
        "unsupported_media_type",
        f"bodies of type {shown} are not taken; send a picture as image/png or the like, files as {MULTIPART}, "
        f"strokes as {JSON}",
    )


def refuse_simple(content_type: str) -> None:
    """Refuse bodies that a browser sends for pages of other sites without asking first: these must change nothing here.

    Those are forms, and bodies without a type. For pictures and JSON a browser asks first, and gets no permission.
    Raises :class:`RefusedError` (415).
    """
    if media_type(content_type) in (MULTIPART, BYTES):
        reason = f"send the picture with its type, such as image/png, or strokes as {JSON}"
        raise RefusedError(415, "unsupported_media_type", reason)


def parse(content_type: str, body: bytes, config: ServeConfig) -> tuple[list[Upload], str | None]:
    """The uploads of a body, at least one and at most ``config.max_pictures``, and a form's field ``among``.

    Raises :class:`RefusedError`.
    """
    kind = media_type(content_type)
    among = None
    if kind == JSON:
        uploads = _from_json(body, config)
    elif kind == MULTIPART:
        uploads, among = _from_form(content_type, body, config.max_pictures)
    else:
        uploads = [Upload(body)]
    if not uploads:
        raise RefusedError(422, "no_pictures", "the body holds no picture; send at least one")
    if len(uploads) > config.max_pictures:
        raise _too_many(config.max_pictures)
    return uploads, among


def _too_many(limit: int) -> RefusedError:
    return RefusedError(422, "too_many_pictures", f"more than {limit} pictures in one call; send them in several")


def _from_json(body: bytes, config: ServeConfig) -> list[Upload]:
    if len(body) > config.max_json:
        raise body_too_large(config.max_json)
    _refuse_slow(body)
    try:
        written = WrittenOneOrMany.model_validate_json(body)
    except ValidationError as error:
        # Without the input and its context: an error must not send what was written back, nor into a log.
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:80]
        reason = f"{place}: {first['msg']}" if place else first["msg"]
        raise RefusedError(422, "malformed_strokes", reason[:300]) from error
    return [Upload(character) for character in written.each()]


def _refuse_slow(body: bytes) -> None:
    """Refuse JSON of more parts than strokes can have, before it is parsed: counting takes a millisecond."""
    if body.count(b'"') > MAX_QUOTES:
        raise RefusedError(422, "malformed_strokes", "more names of fields than strokes have; see /docs for their form")
    # A point has at most two commas within and one after it.
    if body.count(b"[") > MAX_LISTS or body.count(b",") > 3 * MAX_LISTS:
        raise RefusedError(
            422, "too_many_points", f"more than {MAX_LISTS} points and strokes in one call; send them in several"
        )


def _from_form(content_type: str, body: bytes, limit: int) -> tuple[list[Upload], str | None]:
    if len(content_type) > MAX_CONTENT_TYPE:  # it takes a millisecond to read a kilobyte of options
        raise _malformed("its Content-Type is too long")
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise _malformed("its Content-Type names no boundary")
    form = _Form(limit)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise _malformed(str(error)[:200]) from error
    if not form.complete:
        raise _malformed("it ends too early")
    return form.uploads, form.among


def _malformed(reason: str) -> RefusedError:
    return RefusedError(422, "malformed_form", f"the form cannot be read: {reason}")


class _Form:
    """Gathers the parts of a form while the parser walks through it."""

    def __init__(self, limit: int) -> None:
        self.uploads: list[Upload] = []
        self.among: str | None = None
        self.complete = False
        self._limit = limit
        self._header, self._value = bytearray(), bytearray()
        self._disposition = ""
        self._data = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self._data.extend(memoryview(data)[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._disposition, self._data = "", bytearray()

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            # latin-1 decodes any byte; the options in it are decoded as UTF-8 later.
            self._disposition = self._value.decode("latin-1")
        # The parser hands headers over in pieces: both buffers are emptied for the next one.
        self._header.clear()
        self._value.clear()

    def _end(self) -> None:
        options = parse_options_header(self._disposition)[1]
        field = options.get(b"name", b"").decode("utf-8", "replace")
        if field == AMONG:
            self._take_among()
            return
        if field not in FIELDS:
            raise _malformed(
                f"its field {describe(field)[:60]!r} is unknown; name the fields {' or '.join(FIELDS)}, or {AMONG}"
            )
        if len(self.uploads) == self._limit:
            raise _too_many(self._limit)
        name = options.get(b"filename")
        self.uploads.append(Upload(bytes(self._data), describe(name.decode("utf-8", "replace")) if name else None))

    def _take_among(self) -> None:
        if self.among is not None or len(self._data) > MAX_AMONG:
            raise _malformed(f"its field {AMONG} is there twice, or larger than {MAX_AMONG // 1024} KiB")
        try:
            self.among = self._data.decode()
        except UnicodeDecodeError as error:
            raise _malformed(f"its field {AMONG} is not UTF-8") from error

    def _finish(self) -> None:
        # The closing boundary was there; without it the body was cut off on its way.
        self.complete = True
