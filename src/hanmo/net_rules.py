"""What the ONNX model of a bundle may hold, checked before ONNX Runtime gets it.

A model is a program. ONNX Runtime computes what does not depend on the input as soon as it opens a model, so a loop or
a tensor of 2^31 entries costs its time and memory before the first picture. Allowed are the operators of
:data:`OPERATORS`: arithmetic, whose results are about as large as its inputs. Loops, branches, functions, random
numbers, and operators that make a tensor of any size from a few numbers are refused, and so are weights that are not
finite numbers: one NaN makes every answer NaN.

Allowed operators can still be combined to large tensors. Bundles of strangers belong into a process with a limit of
memory.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hanmo.errors import ModelError
from hanmo.onnxfile import needs_other_files, read_fields

MAX_NODES = 5_000
"""Operations of a model. The largest of the readers that come with hanmo has 302."""

OPERATORS = frozenset(
    """
    Abs Add And Cast Ceil Clip Cos Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish
    Identity LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu
    Sigmoid Sign Sin Softplus Softsign Sqrt Sub Sum Tan Tanh Where

    AveragePool BatchNormalization Conv Dropout Gemm GlobalAveragePool GlobalMaxPool GridSample GroupNormalization
    InstanceNormalization LayerNormalization LogSoftmax LpNormalization LRN MatMul MaxPool Softmax

    ArgMax ArgMin ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare TopK

    Compress Concat Constant DepthToSpace Flatten Gather NonZero Reshape Shape Slice SpaceToDepth Split Squeeze
    Transpose Unsqueeze

    ConvInteger DequantizeLinear DynamicQuantizeLinear MatMulInteger QLinearConv QLinearMatMul QuantizeLinear
    """.split()  # noqa: SIM905  (a list of strings would fill a page)
)
"""Operators of ONNX that the model of a bundle may have: those of hanmo's own nets and others like them."""

_FLOATS: Mapping[int, str] = {1: "<f4", 10: "<f2", 11: "<f8"}
"""TensorProto.DataType -> how it is stored; the types that can hold NaN."""
_GRAPH, _FUNCTION, _TRAINING = 7, 25, 20  # of a ModelProto
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15  # of a GraphProto
_OPERATOR, _ATTRIBUTE, _DOMAIN = 4, 5, 7  # of a NodeProto
_TENSOR, _SUBGRAPHS = 5, (6, 11)  # of an AttributeProto


def check_net(model: bytes) -> None:
    """Raise :class:`ModelError` for a model that may not be opened; the message names the reason, not the file."""
    try:
        if needs_other_files(model):
            raise ModelError("keeps weights in other files; export it as one file")
        nodes, graphs = 0, 0
        for number, value in read_fields(memoryview(model)):
            if number in (_FUNCTION, _TRAINING):
                raise ModelError("has functions or a training of its own; export the net without them")
            if number == _GRAPH and isinstance(value, memoryview):
                nodes += _check_graph(value)
                graphs += 1
        if not graphs:
            raise ValueError("no graph")
    except ModelError:  # a ValueError, too
        raise
    except (ValueError, IndexError) as error:
        raise ModelError("not an ONNX model; copy or export the bundle again") from error
    if nodes > MAX_NODES:
        raise ModelError(f"{nodes:,} operations; at most {MAX_NODES:,} are read")


def _check_graph(graph: memoryview) -> int:
    """Check nodes and tensors of a graph; returns the number of nodes."""
    nodes = 0
    for number, value in read_fields(graph):
        if number == _SPARSE:
            raise ModelError("has sparse tensors; export the net without them")
        if not isinstance(value, memoryview):
            continue
        if number == _NODE:
            nodes += 1
            _check_node(value)
        elif number == _INITIALIZER:
            _check_tensor(value)
    return nodes


def _check_node(node: memoryview) -> None:
    operator, domain = "", ""
    for number, value in read_fields(node):
        if number == _ATTRIBUTE and isinstance(value, memoryview):
            for inner, content in read_fields(value):
                if inner in _SUBGRAPHS:
                    raise ModelError("has loops or branches; export the net without them")
                if inner == _TENSOR and isinstance(content, memoryview):
                    _check_tensor(content)
        elif number in (_OPERATOR, _DOMAIN) and isinstance(value, memoryview):
            text = bytes(value[:100]).decode(errors="replace")
            operator, domain = (text, domain) if number == _OPERATOR else (operator, text)
    if domain not in ("", "ai.onnx") or operator not in OPERATORS:
        raise ModelError(f"has the operator {f'{domain}.{operator}'.strip('.')!r:.60}, which no net of hanmo uses")


def _check_tensor(tensor: memoryview) -> None:
    kind, parts = 0, []
    for number, value in read_fields(tensor):
        if number == 2 and isinstance(value, int):
            kind = value
        elif number in (4, 9, 10) and isinstance(value, memoryview):  # float_data, raw_data, double_data; packed
            parts.append(value)
    if kind not in _FLOATS:
        return
    dtype = np.dtype(_FLOATS[kind])
    for part in parts:
        if len(part) % dtype.itemsize == 0 and not np.isfinite(np.frombuffer(part, dtype)).all():
            raise ModelError("has weights that are no finite numbers (NaN or infinity); train or export it again")
