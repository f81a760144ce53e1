"""An ONNX classifier as a torch module answers as ONNX Runtime does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from hanmo.errors import ModelError
from hanmo.export.onnx import export_onnx
from hanmo.nets.onnx import OnnxNet
from hanmo.nets.registry import NetConfig, build_net
from hanmo.normalize import MEAN, STD


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Any] = ("N", 3, 8, 8),
    opset: int = 11,
    **constants: Any,
) -> onnx.ModelProto:
    """A graph from ``x`` to ``y``."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(inputs))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


def assert_alike(model: onnx.ModelProto, x: np.ndarray) -> None:
    (expected,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    found = OnnxNet(model).eval()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


RANDOM = np.random.default_rng(0)
PICTURES = RANDOM.normal(size=(2, 3, 8, 8)).astype(np.float32)


def weights(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("attributes", "shape"),
    [
        ({"pads": [1, 1, 1, 1], "strides": [2, 1]}, (4, 3, 3, 3)),
        ({"pads": [0, 1, 2, 3]}, (4, 3, 3, 3)),
        ({"auto_pad": "SAME_UPPER"}, (4, 3, 2, 2)),
        ({"auto_pad": "SAME_LOWER"}, (4, 3, 2, 2)),
        ({"group": 3, "dilations": [2, 2]}, (3, 1, 3, 3)),
    ],
)
def test_convolutions(attributes: dict[str, Any], shape: tuple[int, ...]) -> None:
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], **attributes)
    assert_alike(model_of([node], w=weights(*shape), b=weights(shape[0])), PICTURES)


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("MaxPool", {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"}),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ("AveragePool", {"kernel_shape": [3, 2], "strides": [3, 2]}),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
        ("GlobalAveragePool", {}),
        ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
        ("Softmax", {"axis": 1}),
        ("ReduceMean", {"axes": [2, 3], "keepdims": 0}),
        ("ReduceMean", {"axes": [-1]}),
        ("Transpose", {"perm": [0, 3, 1, 2]}),
        ("Flatten", {"axis": 1}),
        ("Flatten", {"axis": 2}),
        ("Transpose", {}),
        ("Clip", {}),
        ("Squeeze", {"axes": [0]}),
        ("Unsqueeze", {"axes": [0, 2]}),
        ("Erf", {}),
        ("Sigmoid", {}),
    ],
)
def test_operations_of_one_input(kind: str, attributes: dict[str, Any]) -> None:
    x = PICTURES[:1] if kind == "Squeeze" else PICTURES
    assert_alike(model_of([helper.make_node(kind, ["x"], ["y"], **attributes)]), x)


def test_norms_powers_and_products() -> None:
    nodes = [
        helper.make_node("BatchNormalization", ["x", "g", "b", "m", "v"], ["n"], epsilon=1e-3),
        helper.make_node("Pow", ["n", "two"], ["p"]),
        helper.make_node("Sqrt", ["p"], ["s"]),
        helper.make_node("Sub", ["s", "g4"], ["d"]),
        helper.make_node("Div", ["d", "two"], ["q"]),
        helper.make_node("MatMul", ["q", "w"], ["y"]),
    ]
    constants = {"g": weights(3), "b": weights(3), "m": weights(3), "v": np.abs(weights(3)), "w": weights(8, 5)}
    assert_alike(model_of(nodes, two=np.float32(2), g4=weights(1, 3, 1, 1), **constants), PICTURES)


def test_shapes_are_computed_as_the_graph_says() -> None:
    """(N, 3, 8, 8) -> (N, 64, 3) by sizes taken from the input, as exporters write it."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "one"], ["first"]),
        helper.make_node("Squeeze", ["first"], ["n"], axes=[0]),
        helper.make_node("Unsqueeze", ["n"], ["n1"], axes=[0]),
        helper.make_node("Concat", ["n1", "rest"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["x", "wanted"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("Slice", ["turned", "one", "nine", "one"], ["cut"]),
        helper.make_node("Concat", ["cut", "turned"], ["y"], axis=1),
    ]
    numbers = {"zero": np.array([0]), "one": np.array([1]), "nine": np.array([9]), "rest": np.array([3, -1])}
    assert_alike(model_of(nodes, **numbers), PICTURES)


def test_what_hanmo_exports_comes_back() -> None:
    net = build_net(NetConfig(width=8, attention="se"), 5, 32).eval()
    squares = torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8)
    again = OnnxNet(onnx.load_model_from_string(export_onnx(net, 32)))
    torch.testing.assert_close(again(squares), net((squares / 255 - MEAN) / STD), rtol=1e-4, atol=1e-4)
    assert not list(again.parameters()), "such a net is not trained"


def test_what_is_not_understood_is_named() -> None:
    nodes = [helper.make_node("Tan", ["x"], ["t"]), helper.make_node("Sin", ["t"], ["y"])]
    with pytest.raises(ModelError, match="unknown operations: Sin, Tan"):
        OnnxNet(model_of(nodes))
    two = model_of([helper.make_node("Split", ["x"], ["y", "z"], axis=1)])
    with pytest.raises(ModelError, match="unknown operations: Split"):
        OnnxNet(two)
    strided = helper.make_node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", strides=[2, 2])
    with pytest.raises(ModelError, match="auto_pad with strides"):
        OnnxNet(model_of([strided], w=weights(4, 3, 3, 3)))
    skipping = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], dilations=[2, 2])
    with pytest.raises(ModelError, match="dilations"):
        OnnxNet(model_of([skipping]))


def test_constants_may_be_nodes() -> None:
    nodes = [
        helper.make_node("Constant", [], ["low"], value_float=-0.5),
        helper.make_node("Constant", [], ["high"], value=numpy_helper.from_array(np.float32(0.5))),
        helper.make_node("Clip", ["x", "low", "high"], ["c"]),
        helper.make_node("Constant", [], ["shape"], value_ints=[0, -1]),
        helper.make_node("Reshape", ["c", "shape"], ["y"]),
    ]
    assert_alike(model_of(nodes, opset=13), PICTURES)
