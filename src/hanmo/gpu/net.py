"""The net of a bundle in torch, for a GPU; the package ``onnx`` is not needed.

Int8 bundles: torch has no int8 convolutions on a GPU, so the weights become the floats that their levels stand for.
Between the layers the numbers are still rounded to the levels of the bundle ("fake quantization"): its least level, 0,
is the ReLU of these bundles. The sums of a layer are sums of floats, so now and then a number falls on the next level,
and probabilities differ a little. Where nothing else needs a layer's numbers, the rounding is a part of the layer
(:mod:`hanmo.gpu.fused`).

On a GPU convolutions and products within the net compute in half precision, by torch's autocast. Their inputs have 11
bits, as with TF32, which torch takes for convolutions otherwise. They add up in single precision, but their results
have 11 bits, too. Every Gemm, as last layers are here, takes single precision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from hanmo.bundle import FEATURES, MODEL_NAME, Bundle
from hanmo.classifier import constant, is_stored
from hanmo.errors import BundleError, ModelError, one_line
from hanmo.gpu.fused import Levels, rounded_product, rounded_sum
from hanmo.nets.onnx_operations import OPERATIONS
from hanmo.normalize import standardise
from hanmo.onnxgraph import Graph, Node, read_graph, values_of

_RANGES = {"uint8": (0, 255), "int8": (-128, 127)}
"""The levels of a zero point's type, which are those of the numbers."""
_Step: TypeAlias = tuple[Callable[..., Any], tuple[str, ...], str]
_STORED = ("DequantizeLinear", "Cast", "Identity")
"""Operations that are computed once, when the net is built, if their input is stored."""


class BundleNet(nn.Module):
    """Squares uint8 (N, S, S), ink bright -> logits float32 (N, C), and the features (N, F) if the net has them.

    ``feeds_floats`` says whether the net takes standardised floats, not uint8.

    Raises :class:`BundleError` for a net with operations that are not known here.
    """

    def __init__(self, bundle: Bundle, *, feeds_floats: bool) -> None:
        super().__init__()
        where = bundle.path / MODEL_NAME
        self._standard = (bundle.mean, bundle.std) if feeds_floats else None
        self._numbers: dict[str, Any] = {}  # shapes, axes and the like: lists, never on a device
        self._buffers_of: dict[str, str] = {}
        # An operation, its inputs and output, and the values that no later one needs.
        self._steps: list[tuple[Callable[..., Any], tuple[str, ...], str, tuple[str, ...]]] = []
        try:
            self._build(read_graph(bundle.model))
        except (ModelError, IndexError, KeyError, ValueError, TypeError) as error:
            raise BundleError(f"{where}: torch cannot run it ({one_line(error)}); read with --device cpu") from error

    def _build(self, graph: Graph) -> None:
        known = {*OPERATIONS, "QuantizeLinear", "DequantizeLinear"}
        if unknown := sorted({node.kind for node in graph.nodes} - known):
            raise ModelError(f"unknown operations: {', '.join(unknown)}")
        (self._input,), self._outputs = graph.inputs, graph.outputs
        stored = {name for node in graph.nodes if _is_constant(graph, node) for name in node.outputs}
        steps = _steps(graph, [node for node in graph.nodes if not _is_constant(graph, node)])
        made = {self._input, *(output for _, _, output in steps)} - {*graph.outputs}
        last = {name: number for number, (_, inputs, _) in enumerate(steps) for name in inputs if name in made}
        for number, (operation, inputs, output) in enumerate(steps):
            done = tuple(name for name, last_use in last.items() if last_use == number)
            for name in inputs:
                if name in graph.tensors or name in stored:
                    self._keep(graph, name)
            self._steps.append((operation, inputs, output, done))

    def _keep(self, graph: Graph, name: str) -> None:
        """Hold a stored tensor: floats as a buffer, whole numbers as lists."""
        if name in self._buffers_of or name in self._numbers:
            return
        if name in graph.tensors and not np.issubdtype((values := values_of(graph.tensors[name])).dtype, np.floating):
            self._numbers[name] = values.tolist()
            return
        buffer = self._buffers_of[name] = f"constant_{len(self._buffers_of)}"
        tensor = torch.from_numpy(np.array(constant(graph, name), np.float32))
        if tensor.ndim == 4:  # kernels of a convolution, in the order that is fastest on a GPU
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        self.register_buffer(buffer, tensor)

    def forward(self, squares: Tensor) -> tuple[Tensor, Tensor | None]:
        x = squares[..., None].permute(0, 3, 1, 2)  # with these strides the layers keep channels side by side
        if self._standard is not None:
            x = standardise(x.float() / 255, *self._standard)
        # An empty name stands for an optional input that is left out.
        values: dict[str, Any] = {"": None, **self._numbers, self._input: x}
        for name, buffer in self._buffers_of.items():
            values[name] = getattr(self, buffer)
        with torch.autocast(x.device.type, torch.float16, enabled=x.is_cuda):
            for operation, inputs, output, done in self._steps:
                values[output] = operation(*(values[name] for name in inputs))
                for name in done:  # all layers of a large batch together would not fit into the memory
                    del values[name]
        features = values[FEATURES].float() if FEATURES in self._outputs[1:] else None
        return values[self._outputs[0]].float(), features


def _is_constant(graph: Graph, node: Node) -> bool:
    return node.kind in _STORED and is_stored(graph, node.inputs[0])


def _steps(graph: Graph, nodes: Sequence[Node]) -> list[_Step]:
    """The operations of nodes, their inputs and output; a rounding is joined to the operation before it if possible."""
    users = Counter(name for node in nodes for name in node.inputs) + Counter(graph.outputs)
    roundings = {node.inputs[0]: node for node in nodes if node.kind == "QuantizeLinear"}
    joined = {
        node.outputs[0]: roundings[node.outputs[0]]
        for node in nodes
        if _takes_rounding(node) and node.outputs[0] in roundings and users[node.outputs[0]] == 1
    }
    steps = []
    for node in nodes:
        (output,) = node.outputs
        if output in joined:
            rounding = joined[output]
            operation = _rounded(node.kind, _operation(graph, node), _levels(graph, rounding))
            steps.append((operation, tuple(node.inputs), rounding.outputs[0]))
        elif not (node.kind == "QuantizeLinear" and node.inputs[0] in joined):
            steps.append((_operation(graph, node), tuple(node.inputs), output))
    return steps


def _takes_rounding(node: Node) -> bool:
    return node.kind in ("Add", "Mul") or (node.kind == "Conv" and node.inputs[2:] not in ([], [""]))


def _rounded(kind: str, operation: Callable[..., Any], levels: Levels) -> Callable[..., Any]:
    """An operation and the rounding of what it gives."""
    if kind == "Mul":
        return lambda a, b: rounded_product(a, b, levels)
    if kind == "Add":
        return lambda a, b: rounded_sum(a, b, levels)

    def run(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        sums: Tensor = operation(x, weight)
        return rounded_sum(sums, bias.to(sums.dtype)[None, :, None, None], levels)

    return run


def _operation(graph: Graph, node: Node) -> Callable[..., Any]:
    if node.kind == "QuantizeLinear":
        levels = _levels(graph, node)
        return lambda x, *_: torch.fake_quantize_per_tensor_affine(x, *levels)
    if node.kind == "DequantizeLinear":
        maker = graph.makers[node.inputs[0]]
        if maker.kind != "QuantizeLinear" or maker.inputs[1:] != node.inputs[1:]:
            raise ModelError("levels that are used as they are")
        return lambda x, *_: x  # what the rounding gives are no levels, but the numbers that they stand for
    operation = OPERATIONS[node.kind](node.attributes | {"opset": graph.opset})
    return _in_single_precision(operation) if node.kind == "Gemm" else operation


def _in_single_precision(operation: Callable[..., Any]) -> Callable[..., Any]:
    def run(*inputs: Tensor | None) -> Any:
        with torch.autocast("cuda", enabled=False):
            return operation(*(None if x is None else x.float() for x in inputs))

    return run


def _levels(graph: Graph, node: Node) -> Levels:
    """What a QuantizeLinear rounds to."""
    scale, zero = constant(graph, node.inputs[1]), values_of(graph.tensors[node.inputs[2]])
    if scale.size != 1 or zero.size != 1:
        raise ModelError("a QuantizeLinear of many scales")
    return Levels(float(scale.reshape(())), int(zero.reshape(())), *_RANGES[str(zero.dtype)])
