"""Bias correction: change the biases so that rounding the weights does not shift a layer's outputs on average.

Activations are mostly positive, so the errors of a channel's rounded weights do not cancel out but shift its mean. With
the weight error E = W_rounded - W, the shift is E mean(x), and it is subtracted from the bias. Nagel et al., "Data-Free
Quantization Through Weight Equalization and Bias Correction", ICCV 2019; here mean(x) is measured on samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor

from hanmo.nets.onnx import attributes_of
from hanmo.onnxfile import open_session


class _Rounded(NamedTuple):
    """A layer with rounded weights. ``error`` (out, in / groups, ...) is the rounded weight minus the exact one.

    ``input_name`` is its input in the exact model, ``bias`` its int32 bias in the quantised one.
    """

    node: onnx.NodeProto
    input_name: str
    error: Tensor
    bias: str
    bias_scale: NDArray[np.float64]


def correct_biases(fused: bytes, small: bytes, batches: Iterable[Mapping[str, NDArray[np.uint8]]]) -> bytes:
    """The model ``small`` with corrected biases; ``small`` is ``fused`` in int8 or int4 with QDQ nodes.

    ``batches`` are inputs of either model; the mean of every layer's input in ``fused`` is taken over them. Corrected
    are 2-D convolutions and linear layers with a bias that no other layer uses.
    """
    net = onnx.load_from_string(small)
    tensors = {tensor.name: tensor for tensor in net.graph.initializer}
    layers = _layers(onnx.load_from_string(fused).graph, net.graph, tensors)
    if not layers:
        return small
    means = _means(fused, {layer.input_name for layer in layers}, batches)
    for layer in layers:
        shift = _shift(layer.node, layer.error, means[layer.input_name])
        bias = numpy_helper.to_array(tensors[layer.bias])
        corrected = bias - np.rint(shift / layer.bias_scale)  # the bias is stored in int32 steps of its scale
        tensors[layer.bias].CopyFrom(numpy_helper.from_array(corrected.astype(np.int32), layer.bias))
    return bytes(net.SerializeToString())


def _shift(node: onnx.NodeProto, error: Tensor, mean: Tensor) -> NDArray[np.float64]:
    """The mean change (out,) of the outputs of ``node`` by the weight ``error``, for inputs with the given ``mean``."""
    if node.op_type == "Gemm":
        return (error @ mean).numpy()
    attributes = attributes_of(node)
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    # A convolution is linear, so the mean change of the output is the convolution of the mean input (C, H, W) with the
    # error. Whole maps are kept, not one mean a channel, because padding changes the sums at the border.
    padded = F.pad(mean[None], (left, right, top, bottom))
    strides, dilations = attributes.get("strides", 1), attributes.get("dilations", 1)
    change = F.conv2d(padded, error, None, strides, 0, dilations, groups=attributes.get("group", 1))
    return change.mean((0, 2, 3)).numpy()  # one bias a channel, so the mean over places


def _layers(
    plain: onnx.GraphProto, rounded: onnx.GraphProto, tensors: Mapping[str, onnx.TensorProto]
) -> list[_Rounded]:
    """The layers of ``rounded`` that can be corrected; a layer has the same node name in both graphs."""
    exact = {node.name: node for node in plain.node if node.name}
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in plain.initializer}
    # In a QDQ graph a layer does not read its weight itself, but the output of a DequantizeLinear node, which reads the
    # stored integers and their scale. These two tables lead back from a name to the node, and count readers.
    makers = {output: node for node in rounded.node for output in node.output}
    uses = Counter(name for node in rounded.node for name in node.input)
    layers = []
    for node in rounded.node:
        original = exact.get(node.name)
        # Without a bias (a third input) there is nothing to correct.
        if node.op_type not in ("Conv", "Gemm") or original is None or len(node.input) < 3:
            continue
        weight, bias = makers.get(node.input[1]), makers.get(node.input[2])
        # A bias that several layers read cannot be corrected for one of them.
        if weight is None or bias is None or original.input[1] not in weights or uses[bias.input[0]] > 1:
            continue
        error = _dequantized(weight, makers, tensors) - weights[original.input[1]].astype(np.float64)
        attributes = attributes_of(node)
        if node.op_type == "Gemm":
            # To (out, in): without transB, Gemm stores its weight as (in, out).
            error = error if attributes.get("transB", 0) else error.T
        elif error.ndim != 4 or attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
            continue
        scale = numpy_helper.to_array(tensors[bias.input[1]]).astype(np.float64)
        layers.append(_Rounded(node, original.input[0], torch.from_numpy(error.copy()), bias.input[0], scale))
    return layers


def _dequantized(
    node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto], tensors: Mapping[str, onnx.TensorProto]
) -> NDArray[np.float64]:
    """The output of a DequantizeLinear node on stored weights; int4 weights reach it through a cast."""
    name, scale_name = node.input[:2]
    stored = tensors[name] if name in tensors else tensors[makers[name].input[0]]
    levels = numpy_helper.to_array(stored).astype(np.float64)
    scale = numpy_helper.to_array(tensors[scale_name]).astype(np.float64)
    shape = [1] * levels.ndim
    if scale.ndim:
        # One scale for each output channel, (C,), must be multiplied along that axis; a single scale fits every shape.
        shape[attributes_of(node).get("axis", 1)] = -1
    return levels * scale.reshape(shape)


def _means(model: bytes, names: set[str], batches: Iterable[Mapping[str, NDArray[np.uint8]]]) -> dict[str, Tensor]:
    """The mean of each named tensor (N, ...) over all samples, float64."""
    net = onnx.load_from_string(model)
    wanted = sorted(names)
    # ONNX Runtime returns only outputs of the graph, so the inner tensors are made its outputs. It infers their types.
    del net.graph.output[:]
    net.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    session = open_session(net.SerializeToString())
    sums: dict[str, NDArray[np.float64]] = {}
    count = 0
    for batch in batches:
        values = session.run(None, dict(batch))
        count += len(values[0])
        for name, value in zip(wanted, values, strict=True):
            # Running sums: all activations of all samples would not fit in memory.
            sums[name] = sums.get(name, 0) + value.sum(0, dtype=np.float64)
    return {name: torch.from_numpy(total / count) for name, total in sums.items()}
