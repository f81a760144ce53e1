"""The parts of the OpenAPI description that FastAPI cannot find out by itself: bodies and refusals."""

from __future__ import annotations

from typing import Any

from hanmo.serve.schemas import ErrorAnswer, Written

# OpenAPI's way to describe the bytes of a file; manual.py shows it as "file".
_FILE = {"type": "string", "format": "binary"}
_FILES = {"type": "array", "items": _FILE, "minItems": 1}
_WRITTEN = Written.model_json_schema()

_WRITTEN_MANY = {
    "type": "object",
    "title": "Several characters",
    "additionalProperties": False,
    "required": ["characters"],
    "properties": {"characters": {"type": "array", "minItems": 1, "items": _WRITTEN}},
}
# A horizontal and a vertical stroke: 十.
_EXAMPLE = {"strokes": [[[0, 50], [100, 50]], [[50, 0], [50, 100]]]}
_KINDS = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif", "image/tiff", "application/octet-stream")


def _body(form: dict[str, Any], written: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {kind: {"schema": _FILE} for kind in _KINDS}
    content["multipart/form-data"] = {"schema": {"type": "object", "properties": form}}
    content["application/json"] = {"schema": written, "example": _EXAMPLE}
    return {"required": True, "content": content}


RECOGNIZE_BODY = _body(
    {"file": _FILES, "files": _FILES, "among": {"type": "string"}}, {"oneOf": [_WRITTEN, _WRITTEN_MANY]}
)
"""The body of POST /v1/recognize. The server parses it itself: FastAPI would spool files to the disk."""
EXPLAIN_BODY = _body({"file": _FILE}, _WRITTEN)
"""The body of POST /v1/explain."""

_REFUSALS = {
    408: "The body took too long to arrive.",
    413: "The body is too large.",
    415: "Neither a picture of a known format, nor a form, nor JSON.",
    422: "The query, the form, the characters to choose among, the strokes or the only picture cannot be used.",
    503: "Too much to read at the moment; Retry-After says when to come back.",
    504: "Reading took too long.",
}
_UNKNOWN = {404: "The model does not know the character."}


def _refusals(reasons: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    # Every refusal has the same shape, so only the reasons differ.
    return {status: {"model": ErrorAnswer, "description": reason} for status, reason in sorted(reasons.items())}


_READ: dict[str, Any] = {
    "results": [
        {
            "character": "十",
            "probability": 0.999874,
            "refused": False,
            "reason": None,
            "candidates": [
                {"character": "十", "probability": 0.999874, "alike": ""},
                {"character": "千", "probability": 0.000124, "alike": ""},
            ],
        }
    ],
    "model": "free",
}
RECOGNIZE_ANSWERS = {200: {"content": {"application/json": {"example": _READ}}}} | _refusals(_REFUSALS)
"""The answers of POST /v1/recognize: an example, and why a call is refused."""
SHEET_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        **{kind: {"schema": _FILE} for kind in _KINDS},
        "multipart/form-data": {
            "schema": {"type": "object", "properties": {"file": _FILE, "among": {"type": "string"}}}
        },
    },
}
"""The body of POST /v1/sheets."""
_CELL = {
    "grid": 1,
    "row": 1,
    "column": 1,
    "quadrilateral": [[102.0, 88.5], [190.2, 88.1], [190.6, 176.0], [102.3, 176.4]],
    "empty": False,
    "corrected": False,
    **_READ["results"][0],
    "in_context": None,
}
_SHEET = {
    "width": 1200,
    "height": 1600,
    "rotation": 0,
    "upside_down": False,
    "direction": "rows",
    "grids": [{"rows": 1, "columns": 1, "ruled": True}],
    "cells": [_CELL],
    "text": "十",
    "text_in_context": None,
    "model": "free",
}
SHEET_ANSWERS = {200: {"content": {"application/json": {"example": _SHEET}}}} | _refusals(
    _REFUSALS
    | {
        415: "Neither a picture of a known format nor a form with one.",
        422: "The query, the form, the characters to choose among or the picture cannot be used, or the picture shows "
        "no grid of boxes.",
    }
)
"""The answers of POST /v1/sheets."""
EXPLAIN_REFUSALS = _refusals(_REFUSALS | _UNKNOWN)
CORRECTION_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        # Neither forms nor plain bytes, see uploads.refuse_simple().
        **{kind: {"schema": _FILE} for kind in _KINDS if kind.startswith("image/")},
        "application/json": {"schema": _WRITTEN, "example": _EXAMPLE},
    },
}
"""The body of POST /v1/corrections."""
CORRECTION_REFUSALS = _refusals(
    _REFUSALS
    | {
        415: "Neither a picture of a known format with a type image/..., nor JSON.",
        422: "The character, the strokes or the picture cannot be used.",
        507: "The folder of corrections is full.",
    }
)
CHARACTER_REFUSALS = _refusals(
    _UNKNOWN | {422: "The address cannot be read."} | {status: _REFUSALS[status] for status in (503, 504)}
)
