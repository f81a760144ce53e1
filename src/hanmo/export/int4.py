"""int4 storage: an int8 ONNX model whose weights take at most 15 levels -> the same model with int4 weights."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hanmo.nets.onnx import attributes_of
from hanmo.nets.quantization import MIN_QUANTIZED_WEIGHTS

MAX_LEVEL = 7
"""The largest level of four bits with levels symmetric about zero."""
OPSET, IR_VERSION = 21, 10
"""The first ONNX versions with INT4."""
_TOLERANCE = 0.99
"""Largest distance of a weight from its level, in int8 steps. Rounding to int8 moves it by half a step, and weights
that were stored in shards by less than another half."""


class _Layer(NamedTuple):
    """Names of the initializers of one layer that depend on the weight's scale; ``bias`` is (values, scale) or None."""

    weight: str
    scale: str
    axis: int
    input_scale: str
    bias: tuple[str, str] | None


def store_in_four_bits(model: bytes) -> bytes:
    """An int8 model of :func:`hanmo.export.quantize.quantize` -> a model of about half the bytes with the same answers.

    A large weight whose output channels each take at most 15 evenly spaced values, symmetric about zero, is stored as
    INT4 followed by a cast to INT8. ONNX Runtime folds the cast when it loads the model, so memory and speed are those
    of int8. The scales of weight and bias become those of the levels. A model without such weights is returned
    unchanged.
    """
    net = onnx.load_from_string(model)
    tensors = {tensor.name: tensor for tensor in net.graph.initializer}
    casts = []
    # For each layer: output channels to the front and the rest flat, (C, n); find the levels; put the axes back; and
    # store INT4 under a new name. A cast then has the old name as its output, so the rest of the graph stays as it is.
    for layer in _layers(net.graph, tensors):
        values = numpy_helper.to_array(tensors[layer.weight])
        if fit := _levels(np.moveaxis(values, layer.axis, 0).reshape(values.shape[layer.axis], -1)):
            levels, unit = fit
            _rescale(layer, unit, tensors)
            channels_first = np.moveaxis(values, layer.axis, 0).shape
            packed = _four_bits(np.moveaxis(levels.reshape(channels_first), 0, layer.axis), f"{layer.weight}_4")
            casts.append(helper.make_node("Cast", [packed.name], [layer.weight], to=TensorProto.INT8))
            tensors[layer.weight].CopyFrom(packed)
    if not casts:
        return model
    # ONNX wants nodes in the order of evaluation. The casts read only stored weights, so they can all come first.
    nodes = [*casts, *net.graph.node]
    del net.graph.node[:]
    net.graph.node.extend(nodes)
    for opset in net.opset_import:
        opset.version = max(opset.version, OPSET) if opset.domain == "" else opset.version
    net.ir_version = max(net.ir_version, IR_VERSION)
    onnx.checker.check_model(net)
    return bytes(net.SerializeToString())


def _layers(graph: onnx.GraphProto, tensors: dict[str, TensorProto]) -> list[_Layer]:
    """The large int8 weights of ``graph`` that only one layer uses. Scales of shared weights must not be changed."""
    makers = {output: node for node in graph.node for output in node.output}
    uses = Counter(name for node in graph.node for name in node.input)

    def dequantized(name: str, kind: int) -> onnx.NodeProto | None:
        """The DequantizeLinear node of ``name``, if its initializer is of type ``kind`` and both are used only once."""
        node = makers.get(name)
        if node is None or node.op_type != "DequantizeLinear" or uses[name] > 1:
            return None
        own = all(part in tensors and uses[part] == 1 for part in node.input[:2])
        return node if own and tensors[node.input[0]].data_type == kind and _zero_is_zero(node, tensors) else None

    layers = []
    for user in graph.node:
        weight = dequantized(user.input[1], TensorProto.INT8) if user.op_type in ("Conv", "Gemm", "MatMul") else None
        if weight is None:
            continue
        shape = tensors[weight.input[0]].dims
        # ONNX counts a negative axis from the end; the remainder makes it positive.
        axis = attributes_of(weight).get("axis", 1) % len(shape or [1])
        # The layer is taken only if its weight is a large matrix with one scale for each channel, and its input is
        # quantised: the scale of the bias is that of the input times that of the weight.
        activation = makers.get(user.input[0])
        if (
            len(shape) < 2
            or np.prod(shape) < MIN_QUANTIZED_WEIGHTS
            or list(tensors[weight.input[1]].dims) != [shape[axis]]
            or activation is None
            or activation.op_type != "DequantizeLinear"
            or activation.input[1] not in tensors
        ):
            continue
        bias = None
        if len(user.input) > 2 and user.input[2] in makers:
            bias_node = dequantized(user.input[2], TensorProto.INT32)
            if bias_node is None:
                continue
            bias = (bias_node.input[0], bias_node.input[1])
        layers.append(_Layer(weight.input[0], weight.input[1], axis, activation.input[1], bias))
    return layers


def _zero_is_zero(node: onnx.NodeProto, tensors: dict[str, TensorProto]) -> bool:
    if len(node.input) < 3:
        return True
    return node.input[2] in tensors and not numpy_helper.to_array(tensors[node.input[2]]).any()


def _levels(values: NDArray[np.int8]) -> tuple[NDArray[np.int8], NDArray[np.float64]] | None:
    """int8 (C, n) -> levels -7 to 7 (C, n) and the int8 steps between levels (C,); None if weights take other values.

    A channel's largest weight is nearly always at level 7, but need not be. All levels from 7 to 1 are tried for it,
    and the best fit is taken; of two equal fits the higher level.
    """
    exact = values.astype(np.float64)
    largest = np.abs(exact).max(1)
    # The best fit of each channel so far, and its largest distance.
    levels, unit, worst = np.zeros_like(exact), np.ones(len(exact)), np.full(len(exact), np.inf)
    for top_level in range(MAX_LEVEL, 0, -1):
        steps = np.where(largest > 0, largest / top_level, 1.0)
        nearest = np.rint(exact / steps[:, None])
        distance = np.abs(exact - nearest * steps[:, None]).max(1)
        better = distance < worst - 1e-9  # not merely by rounding, so the higher level wins among equals
        levels[better], unit[better], worst[better] = nearest[better], steps[better], distance[better]
    return (levels.astype(np.int8), unit) if worst.max() < _TOLERANCE else None


def _rescale(layer: _Layer, unit: NDArray[np.float64], tensors: dict[str, TensorProto]) -> None:
    """Multiply the weight's scale by ``unit`` (C,).

    A bias must have the scale of input times weight, so it is stored again in that scale; its value stays.
    """
    # weight = int8 value x scale = level x unit x scale, so the weight itself hardly changes.
    scale = (numpy_helper.to_array(tensors[layer.scale]) * unit).astype(np.float32)
    _replace(tensors[layer.scale], scale)
    if layer.bias:
        values, old = (numpy_helper.to_array(tensors[name]) for name in layer.bias)
        new = (numpy_helper.to_array(tensors[layer.input_scale]).astype(np.float32) * scale).reshape(old.shape)
        _replace(tensors[layer.bias[0]], np.rint(values * (old.astype(np.float64) / new)).astype(np.int32))
        _replace(tensors[layer.bias[1]], new)


def _replace(tensor: TensorProto, values: NDArray[np.generic]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _four_bits(levels: NDArray[np.int8], name: str) -> TensorProto:
    """Levels -8 to 7 as INT4: two a byte, the first in the lower four bits, as the ONNX format demands."""
    # Negative levels in two's complement: the lower four bits of the byte are those of the INT4 number.
    flat = levels.reshape(-1).view(np.uint8) & 0x0F
    pairs = np.pad(flat, (0, flat.size % 2)).reshape(-1, 2)
    packed = pairs[:, 0] | (pairs[:, 1] << 4)
    return TensorProto(name=name, data_type=TensorProto.INT4, dims=levels.shape, raw_data=packed.tobytes())
