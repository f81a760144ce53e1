"""What the OpenAPI description says of the one address that FastAPI cannot describe by itself."""

from __future__ import annotations

from typing import Any

from hanmo.serve.schemas import ErrorAnswer, Written

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
_WRITTEN = Written.model_json_schema()

RECOGNIZE_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "image/png": _BINARY,
        "image/jpeg": _BINARY,
        "image/webp": _BINARY,
        "image/bmp": _BINARY,
        "image/gif": _BINARY,
        "image/tiff": _BINARY,
        "application/octet-stream": _BINARY,
        "multipart/form-data": {"schema": {"type": "object", "properties": {"file": _FILES, "files": _FILES}}},
        "application/json": {
            "schema": {
                "oneOf": [
                    _WRITTEN,
                    {
                        "type": "object",
                        "title": "Several characters",
                        "additionalProperties": False,
                        "required": ["characters"],
                        "properties": {"characters": {"type": "array", "minItems": 1, "items": _WRITTEN}},
                    },
                ]
            },
            "example": {"strokes": [[[0, 50], [100, 50]], [[50, 0], [50, 100]]]},
        },
    },
}
"""The body of POST /v1/recognize. The server parses it itself: FastAPI would spool files to the disk."""

_REFUSALS = {
    408: "The body took too long to arrive.",
    413: "The body is too large.",
    415: "Neither a picture of a known format, nor a form, nor JSON.",
    422: "The query, the form, the strokes or the only picture cannot be used.",
    503: "Too much to read at the moment; Retry-After says when to come back.",
    504: "Reading took too long.",
}
RECOGNIZE_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": reason} for status, reason in _REFUSALS.items()
}
