"""Biases that make good what rounding the weights did on average.

Activations are mostly positive, so the errors of a channel's rounded weights do not cancel out: they shift it. Nagel et
al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, with means seen on samples.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

_Floats = NDArray[np.float64]


class _Layer(NamedTuple):
    """A convolution or linear layer: its input, and its weights (out, in, ...) as floats and as they are rounded."""

    seen: str
    error: _Floats
    bias: str
    bias_scale: _Floats


def correct_biases(fused: bytes, small: bytes, batches: Iterable[dict[str, NDArray[np.uint8]]]) -> bytes:
    """``small``, which is ``fused`` in int8 with QDQ nodes, with biases moved by what the rounding of weights cost.

    ``batches`` are inputs of either model; over them the mean of every layer's input in ``fused`` is taken.
    """
    net = onnx.load_from_string(small)
    tensors = {tensor.name: tensor for tensor in net.graph.initializer}
    layers = _layers(onnx.load_from_string(fused).graph, net.graph, tensors)
    means = _means(fused, {layer.seen for layer in layers}, batches)
    for layer in layers:
        shift = layer.error.reshape(*layer.error.shape[:2], -1).sum(2) @ means[layer.seen]
        bias = numpy_helper.to_array(tensors[layer.bias])
        moved = bias - np.rint(shift / layer.bias_scale)
        tensors[layer.bias].CopyFrom(numpy_helper.from_array(moved.astype(np.int32), layer.bias))
    return bytes(net.SerializeToString())


def _layers(plain: onnx.GraphProto, rounded: onnx.GraphProto, tensors: dict[str, onnx.TensorProto]) -> list[_Layer]:
    exact = {node.name: node for node in plain.node}
    weights = {tensor.name: tensor for tensor in plain.initializer}
    makers = {output: node for node in rounded.node for output in node.output}
    found = []
    for node in rounded.node:
        if node.op_type not in ("Conv", "Gemm") or len(node.input) < 3:
            continue
        weight, bias = makers.get(node.input[1]), makers.get(node.input[2])
        same = exact.get(node.name)
        if weight is None or bias is None or same is None or same.input[1] not in weights:
            continue
        true = numpy_helper.to_array(weights[same.input[1]]).astype(np.float64)
        axis = next((attribute.i for attribute in weight.attribute if attribute.name == "axis"), 0)
        levels, scale = (numpy_helper.to_array(tensors[name]).astype(np.float64) for name in weight.input[:2])
        near = levels * scale.reshape([-1 if a == axis else 1 for a in range(levels.ndim)])
        error = near - true if axis == 0 else (near - true).T
        scales = numpy_helper.to_array(tensors[bias.input[1]]).astype(np.float64)
        found.append(_Layer(same.input[0], error, bias.input[0], scales))
    return found


def _means(model: bytes, names: set[str], batches: Iterable[dict[str, NDArray[np.uint8]]]) -> dict[str, _Floats]:
    """The mean of each named tensor (N, C, ...) in every channel."""
    net = onnx.load_from_string(model)
    wanted = sorted(names)
    del net.graph.output[:]
    net.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    session = onnxruntime.InferenceSession(net.SerializeToString(), providers=["CPUExecutionProvider"])
    sums = {name: np.zeros(0) for name in wanted}
    count = 0
    for batch in batches:
        values = session.run(None, batch)
        count += len(values[0])
        for name, value in zip(wanted, values, strict=True):
            total = value.reshape(*value.shape[:2], -1).mean(2, dtype=np.float64).sum(0)
            sums[name] = total + sums[name] if sums[name].size else total
    return {name: total / count for name, total in sums.items()}
