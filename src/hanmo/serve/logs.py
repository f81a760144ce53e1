"""One JSON object a line on stderr. Never pictures, strokes, names, readings, or an address as it was asked for."""

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


def facts(**fields: Any) -> dict[str, Any]:
    """For ``extra=``: fields of a log line."""
    return {FACTS: fields}


def configure(level: int = logging.INFO) -> None:
    """Send what the server, uvicorn and asyncio log to stderr as JSON, and silence the decoders, which quote bytes.

    Changes the process's loggers: for programs only.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in ("hanmo.serve", "uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
    for name in ("python_multipart", "PIL"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    logging.getLogger("asyncio").setLevel(max(level, logging.WARNING))
    # uvicorn's greetings name nothing that its user has to know, its warnings do.
    logging.getLogger("uvicorn.error").setLevel(max(level, logging.WARNING))
