"""The second output of a bundle's model: the features, which are the input of the classifier.

The classifier is the last linear layer, so the logits are W f + b of the features f. In an int8 model, f is the rounded
tensor from which the classifier computes, and only the rounding of the logits is added. New characters and an
adaptation to one hand are computed from these numbers, without running the rest of the net again.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import TensorProto, helper

from hanmo.bundle import FEATURES


def with_features(model: bytes) -> bytes:
    """``model`` with a second output ``features`` (N, F), the input of its classifier.

    A model that has the output already, or whose logits are not those of a linear layer, is returned unchanged.
    """
    net = onnx.load_from_string(model)
    graph = net.graph
    makers = _makers(graph)
    classifier = _classifier(graph, makers)
    weight = classifier and _stored(classifier.input[1], graph, makers)
    if len(graph.output) > 1 or classifier is None or weight is None:
        return model
    dequantize = makers.get(classifier.input[0])
    if dequantize is not None and dequantize.op_type == "DequantizeLinear":
        # A node of its own for the output: ONNX Runtime computes a layer in int8 where its DequantizeLinear has no
        # other reader. This one reads the same integers, so its numbers are the same.
        node = helper.make_node("DequantizeLinear", dequantize.input, [FEATURES], name=FEATURES)
        node.attribute.extend(dequantize.attribute)
    else:
        node = helper.make_node("Identity", classifier.input[:1], [FEATURES], name=FEATURES)
    graph.node.append(node)
    # Gemm stores its weight as (F, C), with transB as (C, F).
    is_transposed = any(attribute.name == "transB" and attribute.i for attribute in classifier.attribute)
    shape = [graph.output[0].type.tensor_type.shape.dim[0].dim_param or "N", weight.dims[1 if is_transposed else 0]]
    graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, shape))
    onnx.checker.check_model(net)
    return bytes(net.SerializeToString())


def without_features(model: bytes) -> bytes:
    """``model`` with its first output alone; a model with one output is returned unchanged."""
    net = onnx.load_from_string(model)
    if len(net.graph.output) == 1:
        return model
    del net.graph.output[1:]
    nodes = [node for node in net.graph.node if FEATURES not in node.output]
    del net.graph.node[:]
    net.graph.node.extend(nodes)
    return bytes(net.SerializeToString())


def _makers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """The node that makes each tensor, by the tensor's name."""
    return {output: node for node in graph.node for output in node.output}


def _classifier(graph: onnx.GraphProto, makers: Mapping[str, onnx.NodeProto]) -> onnx.NodeProto | None:
    """The linear layer that computes the first output, directly or followed by a rounding of its result."""
    node = makers.get(graph.output[0].name)
    while node is not None and node.op_type in ("DequantizeLinear", "QuantizeLinear"):
        node = makers.get(node.input[0])
    return node if node is not None and node.op_type == "Gemm" else None


def _stored(name: str, graph: onnx.GraphProto, makers: Mapping[str, onnx.NodeProto]) -> onnx.TensorProto | None:
    """The stored weight behind ``name``; a dequantisation and a cast from int4 may lie between, which keep the shape.

    None if the weight is computed.
    """
    while name in makers and makers[name].op_type in ("DequantizeLinear", "Cast"):
        name = makers[name].input[0]
    return next((tensor for tensor in graph.initializer if tensor.name == name), None)
