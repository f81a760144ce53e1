"""The graph of an ONNX model as nodes and stored tensors, read without the package ``onnx``.

The base install has no package ``onnx``; the protobuf reader of :mod:`hanmo.onnxfile` is enough for the models that
hanmo writes. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.onnxfile import read_fields, read_varint

_OPSET, _GRAPH = 8, 7  # of a ModelProto
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12  # of a GraphProto
_MAX_PARTS = 100_000
"""Nodes and tensors of a graph; hanmo's largest nets have some thousand."""
_FLOAT, _UINT8, _INT8, _INT32, _INT64, _FLOAT16, _INT4 = 1, 2, 3, 6, 7, 10, 22  # TensorProto.DataType
_DTYPES: Mapping[int, np.dtype[Any]] = {
    _FLOAT: np.dtype("<f4"),
    _UINT8: np.dtype("u1"),
    _INT8: np.dtype("i1"),
    _INT32: np.dtype("<i4"),
    _INT64: np.dtype("<i8"),
    _FLOAT16: np.dtype("<f2"),
}


class Node(NamedTuple):
    """An operation. ``attributes`` are numbers, bytes, lists of numbers and tensors."""

    kind: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


class Tensor(NamedTuple):
    kind: int
    shape: list[int]
    data: memoryview
    numbers: list[int] | None = None
    """The values where they are stored as protobuf numbers in place of bytes; makers of tensors may choose."""


class Graph(NamedTuple):
    """``nodes`` have their order in the file; ``inputs`` are those that are no stored tensors."""

    nodes: list[Node]
    tensors: Mapping[str, Tensor]
    inputs: list[str]
    outputs: list[str]
    opset: int

    @property
    def makers(self) -> dict[str, Node]:
        """The node that computes each name."""
        return {name: node for node in self.nodes for name in node.outputs}


def values_of(tensor: Tensor) -> NDArray[Any]:
    """The values of a stored tensor. Raises :class:`ValueError` for another type and for a wrong size."""
    count = math.prod(tensor.shape)
    if tensor.kind == _INT4:
        # Two numbers a byte, the low half first, in two's complement.
        packed = np.frombuffer(tensor.data, np.uint8)
        if tensor.numbers is not None:
            packed = np.array(tensor.numbers, np.uint64).astype(np.uint8)
        if len(packed) != (count + 1) // 2:
            raise ValueError("a tensor whose size does not fit its shape")
        halves = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)[:count].astype(np.int8)
        return np.where(halves > 7, halves - 16, halves).reshape(tensor.shape)
    if tensor.kind not in _DTYPES:
        raise ValueError(f"a tensor of type {tensor.kind}")
    dtype = _DTYPES[tensor.kind]
    if tensor.numbers is not None and tensor.kind != _FLOAT:
        # Negative numbers are stored as 64 bits in two's complement; astype() keeps their low bits.
        return np.array(tensor.numbers, np.uint64).astype(dtype).reshape(tensor.shape)
    if len(tensor.data) != count * dtype.itemsize:
        raise ValueError("a tensor whose size does not fit its shape")
    return np.frombuffer(tensor.data, dtype).reshape(tensor.shape)


def read_graph(model: bytes | memoryview) -> Graph:
    """The graph of a model. Raises :class:`ValueError`, IndexError or KeyError for bytes that are no such model."""
    messages = [(number, value) for number, value in read_fields(memoryview(model)) if isinstance(value, memoryview)]
    (graph,) = [value for number, value in messages if number == _GRAPH]
    nodes: list[Node] = []
    tensors: dict[str, Tensor] = {}
    ports: dict[int, list[str]] = {_INPUT: [], _OUTPUT: []}
    for count, (number, value) in enumerate(read_fields(graph)):
        if count > _MAX_PARTS:
            raise ValueError("a graph of too many parts")
        if not isinstance(value, memoryview):
            continue
        if number == _NODE:
            nodes.append(_read_node(value))
        elif number == _INITIALIZER:
            name, tensor = _read_tensor(value)
            tensors[name] = tensor
        elif number in ports:
            ports[number] += [_text(part) for at, part in read_fields(value) if at == 1]
    inputs = [name for name in ports[_INPUT] if name not in tensors]
    opset = max((_opset(value) for number, value in messages if number == _OPSET), default=1)
    return Graph(nodes, tensors, inputs, ports[_OUTPUT], opset)


def _opset(message: memoryview) -> int:
    """The version of ONNX's own operators; 1 for another domain."""
    fields = dict(read_fields(message))
    version = fields.get(2, 1)
    own = _text(fields.get(1, memoryview(b""))) in ("", "ai.onnx")
    return version if own and isinstance(version, int) else 1


def _read_node(message: memoryview) -> Node:
    kind, inputs, outputs, attributes = "", [], [], {}
    for number, value in read_fields(message):
        if number == 1:
            inputs.append(_text(value))
        elif number == 2:
            outputs.append(_text(value))
        elif number == 4:
            kind = _text(value)
        elif number == 5 and isinstance(value, memoryview):
            attributes.update(_read_attribute(value))
    return Node(kind, inputs, outputs, attributes)


def _read_attribute(message: memoryview) -> dict[str, Any]:
    """Name and value of an attribute; kinds that hanmo's nets do not have are left out."""
    name = ""
    found: Any = None
    for number, value in read_fields(message):
        if number == 1:
            name = _text(value)
        elif number == 2 and isinstance(value, memoryview):
            found = float(np.frombuffer(value, "<f4")[0])
        elif number == 3 and isinstance(value, int):
            found = _signed(value)
        elif number == 4 and isinstance(value, memoryview):
            found = bytes(value)
        elif number == 5 and isinstance(value, memoryview):
            found = _read_tensor(value)[1]
        elif number == 7:  # floats, one a field or packed
            numbers = [] if isinstance(value, int) else np.frombuffer(value, "<f4").tolist()
            found = [*(found or []), *numbers]
        elif number == 8:  # whole numbers
            numbers = [value] if isinstance(value, int) else _varints(value)
            found = [*(found or []), *map(_signed, numbers)]
    return {} if found is None else {name: found}


def _signed(number: int) -> int:
    """Negative numbers are stored as 64 bits in two's complement."""
    return number - (1 << 64) if number >= 1 << 63 else number


def _read_tensor(message: memoryview) -> tuple[str, Tensor]:
    name, kind, shape, data, numbers = "", 0, [], memoryview(b""), None
    for number, value in read_fields(message):
        if number == 1:
            shape += [value] if isinstance(value, int) else _varints(value)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8:
            name = _text(value)
        elif number in (5, 7):  # int32_data, which also holds int8, and int64_data; one number a field, or packed
            numbers = [] if numbers is None else numbers
            numbers.extend([value] if isinstance(value, int) else _varints(value))
        elif number in (4, 9) and isinstance(value, memoryview):  # float_data, packed, or raw_data
            data = value
    return name, Tensor(kind, shape, data, numbers)


def _varints(message: memoryview) -> list[int]:
    numbers, at = [], 0
    while at < len(message):
        number, at = read_varint(message, at)
        numbers.append(number)
    return numbers


def _text(value: memoryview | int) -> str:
    if isinstance(value, int):
        raise ValueError("a number in place of a name")
    return bytes(value).decode()
