"""Logs on stderr: a short line for people on a terminal, one JSON object a line for programs everywhere else.

Neither ever holds pictures, strokes, file names, readings, or an address as the client sent it.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

_ENCODER = json.JSONEncoder(ensure_ascii=False)  # json.dumps() would make one for every line

FACTS = "facts"
"""The attribute of a log record that holds further fields."""


class JsonFormatter(logging.Formatter):
    """A record as JSON: time, level, logger, event, whatever :func:`facts` added, and an error with its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        entry.update(getattr(record, FACTS, {}))
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return _ENCODER.encode(entry)


class TextFormatter(logging.Formatter):
    """A record as one short line: ``13:04:05  200  POST /v1/recognize  31 ms``. An error brings its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        fields: dict[str, Any] = getattr(record, FACTS, {})
        if "status" in fields:
            return f"{time}  {fields['status']}  {fields['method']} {fields['route']}  {fields['ms']:.0f} ms"
        line = f"{time}  {record.levelname.lower()}: {record.getMessage()}"
        if number := fields.get("request"):
            line += f" (request {number})"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def facts(**fields: Any) -> dict[str, Any]:
    """For ``extra=``: fields of a log line."""
    return {FACTS: fields}


def configure(level: int = logging.INFO) -> None:
    """Send the logs of the server, uvicorn and asyncio to stderr, and silence the decoders, which quote bytes.

    Changes the process's loggers: for programs only.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if sys.stderr.isatty() else JsonFormatter())
    for name in ("hanmo.serve", "uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        # Not handed on to the root logger, whose handlers would write every line a second time.
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
    for name in ("python_multipart", "PIL"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    logging.getLogger("asyncio").setLevel(max(level, logging.WARNING))
    # uvicorn's greetings name nothing that its user has to know, its warnings do.
    logging.getLogger("uvicorn.error").setLevel(max(level, logging.WARNING))
