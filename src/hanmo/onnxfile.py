"""An ONNX file seen as the protobuf message it is: enough to ask whether it opens other files. Nothing imports onnx."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_MESSAGES: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Where tensors are in an ONNX file: field numbers of onnx.proto, as far as they lead to a TensorProto."""
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a TensorProto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf's wire types


def needs_other_files(model: bytes) -> bool:
    """Whether a tensor of ``model`` says that its data lies in another file, which the runtime would then open.

    Raises :class:`ValueError` when ``model`` is no protobuf message.
    """
    try:
        return _has_external_tensor(memoryview(model), "model")
    except (IndexError, RecursionError) as error:
        raise ValueError("cut off within a number, or nested without end") from error


def _has_external_tensor(message: memoryview, kind: str) -> bool:
    for number, value in _fields(message):
        if kind == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)):
            return True
        inner = _MESSAGES[kind].get(number)
        if inner and isinstance(value, memoryview) and _has_external_tensor(value, inner):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Number and value of every field of a protobuf message; IndexError or ValueError when it is none."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        size, at = _varint(message, at) if wire == _BYTES else ({_FIXED64: 8, _FIXED32: 4}.get(wire, -1), at)
        if size < 0 or at + size > len(message):
            raise ValueError("a field of an unknown kind, or longer than its message")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number at byte ``at``, seven bits a byte, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")
