"""int8 ONNX whose weights were trained for at most four bits -> the same net with those weights stored in four."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hanmo.nets.quantization import MIN_QUANTIZED_WEIGHTS

MOST = 7
"""The greatest level of four bits, zero in the middle."""
OPSET, IR_VERSION = 21, 10
"""The first that know INT4."""
_TOLERANCE = 0.99
"""How far, in int8 steps, a weight may be from its level: int8 rounded it by half of one, shards by less."""


class _Layer(NamedTuple):
    """One weight and what depends on its scale: initializers, by name; ``bias`` (values, scale) if it has one."""

    weight: str
    scale: str
    axis: int
    input_scale: str
    bias: tuple[str, str] | None


def store_in_four_bits(model: bytes) -> bytes:
    """An int8 model as :func:`hanmo.export.quantize.quantize` makes it -> about half as many bytes that answer alike.

    Every large weight whose output channels each take at most 15 evenly spaced values, zero in the middle, becomes INT4
    and a cast that ONNX Runtime folds when it loads the model: in memory and in speed it is int8 again. Its scale and
    the bias's become those of the levels. A model without such weights comes back as it is.
    """
    net = onnx.load_from_string(model)
    tensors = {tensor.name: tensor for tensor in net.graph.initializer}
    casts = []
    for layer in _layers(net.graph, tensors):
        values = numpy_helper.to_array(tensors[layer.weight])
        if found := _levels(np.moveaxis(values, layer.axis, 0).reshape(values.shape[layer.axis], -1)):
            levels, unit = found
            _rescale(layer, unit, tensors)
            channels_first = np.moveaxis(values, layer.axis, 0).shape
            packed = _four_bits(np.moveaxis(levels.reshape(channels_first), 0, layer.axis), f"{layer.weight}_4")
            casts.append(helper.make_node("Cast", [packed.name], [layer.weight], to=TensorProto.INT8))
            tensors[layer.weight].CopyFrom(packed)
    if not casts:
        return model
    nodes = [*casts, *net.graph.node]
    del net.graph.node[:]
    net.graph.node.extend(nodes)
    for opset in net.opset_import:
        opset.version = max(opset.version, OPSET) if opset.domain == "" else opset.version
    net.ir_version = max(net.ir_version, IR_VERSION)
    onnx.checker.check_model(net)
    return bytes(net.SerializeToString())


def _layers(graph: onnx.GraphProto, tensors: dict[str, TensorProto]) -> list[_Layer]:
    """The large int8 weights of ``graph`` that one layer alone uses; tied ones have no scale of their own to change."""
    makers = {output: node for node in graph.node for output in node.output}
    uses = Counter(name for node in graph.node for name in node.input)

    def dequantized(name: str, kind: int) -> onnx.NodeProto | None:
        """The node that makes ``name``, and nothing else, of an initializer of type ``kind`` that only it uses."""
        node = makers.get(name)
        if node is None or node.op_type != "DequantizeLinear" or uses[name] > 1:
            return None
        own = all(part in tensors and uses[part] == 1 for part in node.input[:2])
        return node if own and tensors[node.input[0]].data_type == kind and _zero_is_zero(node, tensors) else None

    found = []
    for user in graph.node:
        weight = dequantized(user.input[1], TensorProto.INT8) if user.op_type in ("Conv", "Gemm", "MatMul") else None
        if weight is None:
            continue
        shape = tensors[weight.input[0]].dims
        axis = next((attribute.i for attribute in weight.attribute if attribute.name == "axis"), 1) % len(shape or [1])
        seen = makers.get(user.input[0])
        if (
            len(shape) < 2
            or np.prod(shape) < MIN_QUANTIZED_WEIGHTS
            or list(tensors[weight.input[1]].dims) != [shape[axis]]
            or seen is None
            or seen.op_type != "DequantizeLinear"
            or seen.input[1] not in tensors
        ):
            continue
        bias = None
        if len(user.input) > 2 and user.input[2] in makers:
            made = dequantized(user.input[2], TensorProto.INT32)
            if made is None:
                continue
            bias = (made.input[0], made.input[1])
        found.append(_Layer(weight.input[0], weight.input[1], axis, seen.input[1], bias))
    return found


def _zero_is_zero(node: onnx.NodeProto, tensors: dict[str, TensorProto]) -> bool:
    if len(node.input) < 3:
        return True
    return node.input[2] in tensors and not numpy_helper.to_array(tensors[node.input[2]]).any()


def _levels(values: NDArray[np.int8]) -> tuple[NDArray[np.int8], NDArray[np.float64]] | None:
    """int8 (C, n) -> levels -7 to 7 (C, n) and int8 steps a level (C,); None when they are no such levels.

    A channel's greatest weight is nearly always at level 7, but need not be: of all it may be, the one that fits best
    is taken, the higher of two that fit alike.
    """
    exact = values.astype(np.float64)
    greatest = np.abs(exact).max(1)
    levels, unit, worst = np.zeros_like(exact), np.ones(len(exact)), np.full(len(exact), np.inf)
    for most in range(MOST, 0, -1):
        steps = np.where(greatest > 0, greatest / most, 1.0)
        nearest = np.rint(exact / steps[:, None])
        distance = np.abs(exact - nearest * steps[:, None]).max(1)
        better = distance < worst - 1e-9
        levels[better], unit[better], worst[better] = nearest[better], steps[better], distance[better]
    return (levels.astype(np.int8), unit) if worst.max() < _TOLERANCE else None


def _rescale(layer: _Layer, unit: NDArray[np.float64], tensors: dict[str, TensorProto]) -> None:
    """Multiply the weight's scale by ``unit`` (C,); the bias keeps its value, and its scale that of the products."""
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
    """Levels -8 to 7 as INT4: two in a byte, the first in the lower half."""
    flat = levels.reshape(-1).view(np.uint8) & 0x0F
    pairs = np.pad(flat, (0, flat.size % 2)).reshape(-1, 2)
    packed = pairs[:, 0] | (pairs[:, 1] << 4)
    return TensorProto(name=name, data_type=TensorProto.INT4, dims=levels.shape, raw_data=packed.tobytes())
