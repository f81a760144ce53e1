"""The last linear layer of a bundle's model, read from the ONNX bytes: logits = features W^T + b.

New characters and the adaptation to a hand work on the features, the input of this layer, and need its weights. They
are read by :mod:`hanmo.onnxgraph`, as the base install has no package ``onnx``. Only the operations are known with
which hanmo writes this layer: Gemm, or MatMul and Add, of floats or of int8 and int4 levels (DequantizeLinear), with
QuantizeLinear and DequantizeLinear around them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.errors import ModelError
from hanmo.onnxgraph import Graph, Node, read_graph, values_of

Floats = NDArray[np.float32]

_MAX_STEPS = 16
"""Nodes between the output and the layer, or between a stored weight and the layer; hanmo writes three at most."""
_PASSING = ("QuantizeLinear", "DequantizeLinear", "Identity", "Cast", "Flatten")
"""Operations that keep the values, but for rounding, and so may stand between the layer and the model's output."""


class Classifier(NamedTuple):
    """``weight`` float32 (C, F) and ``bias`` float32 (C,): logits = features @ weight.T + bias."""

    weight: Floats
    bias: Floats


def read_classifier(model: bytes) -> Classifier:
    """The weights of the layer that computes the first output of ``model``.

    Raises :class:`ModelError` for bytes that are no ONNX model, and for a model whose last layer is not one that hanmo
    writes.
    """
    try:
        return _classifier(read_graph(model))
    except ModelError:
        raise
    except (IndexError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise ModelError(f"the model's last layer cannot be read ({error}); export the bundle again") from error


def _classifier(graph: Graph) -> Classifier:
    node = _maker_before(graph, graph.outputs[0])
    bias_name = None
    if node.kind == "Add":
        # x + b: one of the two inputs is stored, the other comes from the product.
        stored = [name for name in node.inputs if is_stored(graph, name)]
        (product,) = [name for name in node.inputs if name not in stored]
        (bias_name,) = stored
        node = _maker_before(graph, product)
    if node.kind not in ("Gemm", "MatMul"):
        raise ValueError(f"it ends in {node.kind}")
    weight = constant(graph, node.inputs[1])
    if node.kind == "Gemm":
        scales = [node.attributes.get(name, 1.0) for name in ("alpha", "beta")]
        if scales != [1.0, 1.0] or node.attributes.get("transA"):
            raise ValueError("a Gemm with factors")
        bias_name = node.inputs[2] if len(node.inputs) > 2 else bias_name
    if not (node.kind == "Gemm" and node.attributes.get("transB")):
        weight = weight.T
    bias = constant(graph, bias_name) if bias_name else np.zeros(len(weight), np.float32)
    if weight.ndim != 2 or bias.shape != (len(weight),) or not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise ValueError(f"weight {weight.shape} and bias {bias.shape} do not fit")
    return Classifier(np.ascontiguousarray(weight), bias)


def _maker_before(graph: Graph, name: str) -> Node:
    """The node that computes ``name``, behind operations that keep the values."""
    for _ in range(_MAX_STEPS):
        node = graph.makers[name]
        if node.kind not in _PASSING:
            return node
        name = node.inputs[0]
    raise ValueError("no layer before the output")


def is_stored(graph: Graph, name: str) -> bool:
    """Whether ``name`` is a stored tensor, or comes from one through casts and DequantizeLinear alone."""
    for _ in range(_MAX_STEPS):
        if name in graph.tensors:
            return True
        node = graph.makers.get(name)
        if node is None or node.kind not in ("DequantizeLinear", "Cast", "Identity") or not node.inputs:
            return False
        name = node.inputs[0]
    return False


def constant(graph: Graph, name: str) -> Floats:
    """The float values of a stored tensor, dequantised where it is stored in levels."""
    if name in graph.tensors:
        return values_of(graph.tensors[name]).astype(np.float32)
    node = graph.makers[name]
    if node.kind != "DequantizeLinear":
        raise ValueError(f"a weight made by {node.kind}")
    levels, scale = _stored(graph, node.inputs[0]), constant(graph, node.inputs[1])
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


def _stored(graph: Graph, name: str) -> NDArray[np.int64]:
    """The levels of a stored tensor, through the casts with which int4 becomes int8."""
    for _ in range(_MAX_STEPS):
        if name in graph.tensors:
            return values_of(graph.tensors[name]).astype(np.int64)
        node = graph.makers[name]
        if node.kind not in ("Cast", "Identity"):
            raise ValueError(f"levels made by {node.kind}")
        name = node.inputs[0]
    raise ValueError("levels that are not stored")
