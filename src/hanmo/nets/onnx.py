"""An ONNX classifier as a torch module, so that it can run on any device and be compiled with the student.

Only the operations of image classifiers are supported (:data:`hanmo.nets.onnx_operations.OPERATIONS`), in 32-bit or
16-bit floats; other graphs are refused when the module is built. Weights become buffers: such a net is a teacher and is
never trained.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from hanmo.bundle import FEATURES
from hanmo.errors import ModelError
from hanmo.nets.onnx_operations import OPERATIONS


class OnnxNet(nn.Module):
    """The graph of an ONNX model with one input and one output; shapes are those of the model.

    A second output ``features``, as hanmo exports it, is left out. Raises :class:`ModelError` for a model with more
    inputs or outputs, and for unsupported operations (the message names all of them).
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        graph = model.graph
        known = {tensor.name for tensor in graph.initializer}
        inputs = [port.name for port in graph.input if port.name not in known]
        outputs = [port.name for port in graph.output if port.name != FEATURES]
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(f"{len(inputs)} inputs and {len(graph.output)} outputs; one of each is needed")
        if unknown := sorted({node.op_type for node in graph.node} - {*OPERATIONS, "Constant"}):
            raise ModelError(f"unknown operations: {', '.join(unknown)}; export the net with simpler ones")
        self._input, self._output = inputs[0], outputs[0]
        self._numbers: dict[str, Any] = {}  # shapes, axes and the like: lists, never on a device
        constants = [(tensor.name, tensor) for tensor in graph.initializer]
        constants += [(node.output[0], _constant(node)) for node in graph.node if node.op_type == "Constant"]
        # Name in the graph -> name of the buffer. Names in ONNX may have dots, which torch refuses in names of buffers.
        self._buffers_of: dict[str, str] = {}
        for number, (name, tensor) in enumerate(constants):
            array = numpy_helper.to_array(tensor)
            if np.issubdtype(array.dtype, np.floating):
                self._buffers_of[name] = f"constant_{number}"
                self.register_buffer(f"constant_{number}", torch.from_numpy(array.astype(np.float32)))
            else:
                self._numbers[name] = array.tolist()
        # The version of the operator set; the meaning of Softmax depends on it.
        opset = {"opset": next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)}
        self._steps = [
            (OPERATIONS[node.op_type](attributes_of(node) | opset), tuple(node.input), tuple(node.output))
            for node in graph.node
            if node.op_type != "Constant"
        ]
        if many := [outputs for _, _, outputs in self._steps if len(outputs) > 1]:
            raise ModelError(f"an operation with {len(many[0])} outputs ({many[0][0]}); one each is understood")

    def forward(self, x: Tensor) -> Tensor:
        # An empty name stands for an optional input that is left out.
        values: dict[str, Any] = {"": None, **self._numbers, self._input: x}
        for name, buffer in self._buffers_of.items():
            values[name] = getattr(self, buffer)
        for operation, inputs, (output,) in self._steps:
            values[output] = operation(*(values[name] for name in inputs))
        output_value: Tensor = values[self._output]
        return output_value


def _constant(node: onnx.NodeProto) -> onnx.TensorProto:
    ((name, value),) = attributes_of(node).items()
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    return numpy_helper.from_array(np.array(value, kinds[name])) if name in kinds else value


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of a node by name, as Python values; those that the node does not name are missing."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
