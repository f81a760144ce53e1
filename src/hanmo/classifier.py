"""The last linear layer of a bundle's model, read from the ONNX bytes: logits = features W^T + b.

New characters and the adaptation to a hand work on the features, the input of this layer, and need its weights. They
are read with the protobuf reader of :mod:`hanmo.onnxfile`, as the base install has no package ``onnx``. Only the
operations are known with which hanmo writes this layer: Gemm, or MatMul and Add, of floats or of int8 and int4 levels
(DequantizeLinear), with QuantizeLinear and DequantizeLinear around them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.errors import ModelError
from hanmo.onnxfile import read_fields, read_varint

Floats = NDArray[np.float32]

_GRAPH = 7  # of a ModelProto
_NODE, _INITIALIZER, _OUTPUT = 1, 5, 12  # of a GraphProto
_MAX_PARTS = 100_000
"""Nodes and tensors of a graph; hanmo's largest nets have some thousand."""
_MAX_STEPS = 16
"""Nodes between the output and the layer, or between a stored weight and the layer; hanmo writes three at most."""
_FLOAT, _INT8, _INT32, _INT4 = 1, 3, 6, 22  # TensorProto.DataType
_DTYPES: Mapping[int, np.dtype[Any]] = {_FLOAT: np.dtype("<f4"), _INT8: np.dtype("i1"), _INT32: np.dtype("<i4")}
_PASSING = ("QuantizeLinear", "DequantizeLinear", "Identity", "Cast", "Flatten")
"""Operations that keep the values, but for rounding, and so may stand between the layer and the model's output."""


class Classifier(NamedTuple):
    """``weight`` float32 (C, F) and ``bias`` float32 (C,): logits = features @ weight.T + bias."""

    weight: Floats
    bias: Floats


class _Node(NamedTuple):
    kind: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, float]


class _Tensor(NamedTuple):
    kind: int
    shape: list[int]
    data: memoryview
    numbers: list[int] | None = None
    """The values where they are stored as protobuf numbers in place of bytes; makers of tensors may choose."""


class _Graph(NamedTuple):
    makers: Mapping[str, _Node]
    tensors: Mapping[str, _Tensor]
    outputs: list[str]


def read_classifier(model: bytes) -> Classifier:
    """The weights of the layer that computes the first output of ``model``.

    Raises :class:`ModelError` for bytes that are no ONNX model, and for a model whose last layer is not one that hanmo
    writes.
    """
    try:
        return _classifier(_read_graph(memoryview(model)))
    except ModelError:
        raise
    except (IndexError, KeyError, ValueError, OverflowError) as error:
        raise ModelError(f"the model's last layer cannot be read ({error}); export the bundle again") from error


def _classifier(graph: _Graph) -> Classifier:
    node = _maker_before(graph, graph.outputs[0])
    bias_name = None
    if node.kind == "Add":
        # x + b: one of the two inputs is stored, the other comes from the product.
        stored = [name for name in node.inputs if _is_stored(graph, name)]
        (product,) = [name for name in node.inputs if name not in stored]
        (bias_name,) = stored
        node = _maker_before(graph, product)
    if node.kind not in ("Gemm", "MatMul"):
        raise ValueError(f"it ends in {node.kind}")
    weight = _constant(graph, node.inputs[1])
    if node.kind == "Gemm":
        scales = [node.attributes.get(name, 1.0) for name in ("alpha", "beta")]
        if scales != [1.0, 1.0] or node.attributes.get("transA"):
            raise ValueError("a Gemm with factors")
        bias_name = node.inputs[2] if len(node.inputs) > 2 else bias_name
    if not (node.kind == "Gemm" and node.attributes.get("transB")):
        weight = weight.T
    bias = _constant(graph, bias_name) if bias_name else np.zeros(len(weight), np.float32)
    if weight.ndim != 2 or bias.shape != (len(weight),) or not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise ValueError(f"weight {weight.shape} and bias {bias.shape} do not fit")
    return Classifier(np.ascontiguousarray(weight), bias)


def _maker_before(graph: _Graph, name: str) -> _Node:
    """The node that computes ``name``, behind operations that keep the values."""
    for _ in range(_MAX_STEPS):
        node = graph.makers[name]
        if node.kind not in _PASSING:
            return node
        name = node.inputs[0]
    raise ValueError("no layer before the output")


def _is_stored(graph: _Graph, name: str) -> bool:
    for _ in range(_MAX_STEPS):
        if name in graph.tensors:
            return True
        node = graph.makers.get(name)
        if node is None or node.kind not in ("DequantizeLinear", "Cast", "Identity") or not node.inputs:
            return False
        name = node.inputs[0]
    return False


def _constant(graph: _Graph, name: str) -> Floats:
    """The float values of a stored tensor, dequantised where it is stored in levels."""
    if name in graph.tensors:
        return _values(graph.tensors[name]).astype(np.float32)
    node = graph.makers[name]
    if node.kind != "DequantizeLinear":
        raise ValueError(f"a weight made by {node.kind}")
    levels, scale = _stored(graph, node.inputs[0]), _constant(graph, node.inputs[1])
    zero = _stored(graph, node.inputs[2]) if len(node.inputs) > 2 else np.zeros((), np.int64)
    # Per channel, scale and zero point have one axis; it is that of the channels in the tensor.
    axis = int(node.attributes.get("axis", 1)) % max(levels.ndim, 1)
    if scale.ndim == 1 and scale.size > 1:
        if scale.size != levels.shape[axis]:
            raise ValueError("scales that do not fit")
        shape = [-1 if i == axis else 1 for i in range(levels.ndim)]
        scale, zero = scale.reshape(shape), zero.reshape(shape) if zero.size > 1 else zero.reshape(())
    elif scale.size == 1 and zero.size == 1:
        scale, zero = scale.reshape(()), zero.reshape(())
    else:
        raise ValueError("scales that do not fit")
    return (levels - zero).astype(np.float32) * scale


def _stored(graph: _Graph, name: str) -> NDArray[np.int64]:
    """The levels of a stored tensor, through the casts with which int4 becomes int8."""
    for _ in range(_MAX_STEPS):
        if name in graph.tensors:
            return _values(graph.tensors[name]).astype(np.int64)
        node = graph.makers[name]
        if node.kind not in ("Cast", "Identity"):
            raise ValueError(f"levels made by {node.kind}")
        name = node.inputs[0]
    raise ValueError("levels that are not stored")


def _values(tensor: _Tensor) -> NDArray[Any]:
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


def _read_graph(model: memoryview) -> _Graph:
    (graph,) = [value for number, value in read_fields(model) if number == _GRAPH and isinstance(value, memoryview)]
    makers: dict[str, _Node] = {}
    tensors: dict[str, _Tensor] = {}
    outputs: list[str] = []
    for count, (number, value) in enumerate(read_fields(graph)):
        if count > _MAX_PARTS:
            raise ValueError("a graph of too many parts")
        if not isinstance(value, memoryview):
            continue
        if number == _NODE:
            node = _read_node(value)
            makers.update(dict.fromkeys(node.outputs, node))
        elif number == _INITIALIZER:
            name, tensor = _read_tensor(value)
            tensors[name] = tensor
        elif number == _OUTPUT:
            outputs += [_text(part) for at, part in read_fields(value) if at == 1]
    return _Graph(makers, tensors, outputs)


def _read_node(message: memoryview) -> _Node:
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
    return _Node(kind, inputs, outputs, attributes)


def _read_attribute(message: memoryview) -> dict[str, float]:
    """Name and value of an attribute that is one number; others are left out."""
    name, found = "", None
    for number, value in read_fields(message):
        if number == 1:
            name = _text(value)
        elif number == 2 and isinstance(value, memoryview):
            found = float(np.frombuffer(value, "<f4")[0])
        elif number == 3 and isinstance(value, int):
            # Negative numbers are stored as 64 bits in two's complement.
            found = float(value - (1 << 64) if value >= 1 << 63 else value)
    return {} if found is None else {name: found}


def _read_tensor(message: memoryview) -> tuple[str, _Tensor]:
    name, kind, shape, data, numbers = "", 0, [], memoryview(b""), None
    for number, value in read_fields(message):
        if number == 1:
            shape += [value] if isinstance(value, int) else _varints(value)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8:
            name = _text(value)
        elif number == 5:  # int32_data, which also holds int8; one number a field, or packed
            numbers = [] if numbers is None else numbers
            numbers.extend([value] if isinstance(value, int) else _varints(value))
        elif number in (4, 9) and isinstance(value, memoryview):  # float_data, packed, or raw_data
            data = value
    return name, _Tensor(kind, shape, data, numbers)


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
