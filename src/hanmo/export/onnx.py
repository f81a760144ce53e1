"""A trained net -> one ONNX model that takes uint8 squares."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping

import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from hanmo.export.features import with_features
from hanmo.nets.onnx import attributes_of
from hanmo.normalize import MEAN, STD

OPSET = 20
INPUT, OUTPUT = "squares", "logits"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's warnings about its own internals; :mod:`hanmo.export.verify` checks the result."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


class _WithInputScaling(nn.Module):
    """uint8 (N, 1, S, S) -> logits (N, C); the standardisation of the input is part of the model."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, squares: Tensor) -> Tensor:
        # (x / 255 - MEAN) / STD as one multiplication and one addition.
        logits: Tensor = self.net(squares.float() * (1 / (255 * STD)) - MEAN / STD)
        return logits


def export_onnx(net: nn.Module, side: int) -> bytes:
    """An fp32 ONNX model: ``squares`` uint8 (N, 1, side, side) -> ``logits`` float32 (N, C), N free.

    A net that ends with a linear layer gets a second output, ``features`` float32 (N, F), the input of this layer.
    """
    model_with_scaling = _WithInputScaling(net.cpu().eval())
    # Two pictures: torch.export takes a size of 1 for a constant, and N would not be free.
    example = torch.zeros(2, 1, side, side, dtype=torch.uint8)
    with _quiet():
        program = torch.onnx.export(
            model_with_scaling,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={"squares": {0: torch.export.Dim("N", min=1, max=1 << 20)}},
            optimize=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _pool_globally(model.graph)
    for node in model.graph.node:  # remove file paths and stack traces of the exporting machine
        del node.metadata_props[:]
        node.doc_string = ""
    # Shapes of inner tensors, which every reader of the file infers by itself.
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    return with_features(bytes(model.SerializeToString()))


def _pool_globally(graph: onnx.GraphProto) -> None:
    """Replace every mean over all places of a map by GlobalAveragePool, which ONNX Runtime computes in int8.

    torch's exporter writes ReduceMean even for an adaptive average pool. ONNX Runtime has no int8 kernel for it and
    would convert the whole map to floats for a few averages.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in graph.value_info}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != "ReduceMean" or ranks.get(node.input[0]) != 4 or _axes(node, constants) != {2, 3}:
            nodes.append(node)
            continue
        # GlobalAveragePool returns (N, C, 1, 1). Where ReduceMean dropped these axes, Flatten drops them: (N, C).
        keeps = bool(attributes_of(node).get("keepdims", 1))
        pooled = node.output[0] if keeps else f"{node.output[0]}_pooled"
        nodes.append(helper.make_node("GlobalAveragePool", [node.input[0]], [pooled], name=node.name))
        if not keeps:
            nodes.append(helper.make_node("Flatten", [pooled], [node.output[0]], name=f"{node.name}_flat"))
    del graph.node[:]
    graph.node.extend(nodes)
    # The axes of the replaced nodes are no longer read by any node, so they need not be stored.
    used = {name for node in nodes for name in node.input}
    kept = [tensor for name, tensor in constants.items() if name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _axes(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> set[int]:
    """The axes, 0 to 3, over which a node averages a 4-D tensor; empty if they are not constant."""
    if len(node.input) < 2 or node.input[1] not in constants:
        return set()
    return {int(axis) % 4 for axis in numpy_helper.to_array(constants[node.input[1]]).ravel()}
