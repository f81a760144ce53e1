"""Biases that make good what rounding shifted."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from hanmo.export import quantize as quantizing
from hanmo.export.bias_correction import correct_biases
from hanmo.export.onnx import export_onnx
from hanmo.export.quantize import quantize, run_onnx
from hanmo.nets.registry import NetConfig, build_net

SIDE = 32


@pytest.fixture(scope="module")
def squares() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (64, SIDE, SIDE), dtype=np.uint8)


def by_hand(fused: onnx.ModelProto, axis: int) -> bytes:
    """The model of one layer with weights of seven steps a channel, channels on ``axis``, and an int32 bias."""
    model = onnx.ModelProto()
    model.CopyFrom(fused)
    (node,) = model.graph.node
    weight, bias = (numpy_helper.to_array(tensor) for tensor in model.graph.initializer)
    scale = np.abs(weight).max(tuple(a for a in range(weight.ndim) if a != axis), keepdims=True) / 3
    stored = {
        "w8": np.rint(weight / scale).astype(np.int8),
        "ws": scale.ravel(),
        "b32": np.rint(bias / 1e-5).astype(np.int32),
        "bs": np.full(len(bias), 1e-5, np.float32),
    }
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in stored.items())
    dequantize = [
        helper.make_node("DequantizeLinear", ["w8", "ws"], ["near w"], axis=axis),
        helper.make_node("DequantizeLinear", ["b32", "bs"], ["near b"], axis=0),
    ]
    node.input[1:] = ["near w", "near b"]
    nodes = [*dequantize, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model.SerializeToString()


def test_a_layer_without_a_bias_is_left_alone() -> None:
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Relu", ["x"], ["y"], name="relu")],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])],
        )
    ).SerializeToString()
    assert correct_biases(model, model, []) == model


def test_logits_are_no_longer_shifted(squares: np.ndarray[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    net = build_net(NetConfig(width=16, depths=(1, 1, 1, 1), attention="se"), 30, SIDE)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
    with torch.no_grad():
        net(torch.from_numpy(squares)[:, None].float() / 64 - 0.4)  # statistics of what it sees
    model = export_onnx(net, SIDE)
    exact = run_onnx(model, squares)
    corrected = run_onnx(quantize(model, squares), squares)
    monkeypatch.setattr(quantizing, "correct_biases", lambda fused, small, batches: small)
    plain = run_onnx(quantize(model, squares), squares)

    def shift(logits: np.ndarray[Any, Any]) -> float:
        return float(np.abs((logits - exact).mean(0)).mean())

    assert shift(corrected) < 0.7 * shift(plain)
    assert np.square(corrected - exact).mean() < np.square(plain - exact).mean()


LAYERS: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "plain": ("Conv", (12, 6, 3, 3), {}),
    "padded": ("Conv", (12, 6, 3, 3), {"pads": [1, 0, 2, 1]}),
    "strided": ("Conv", (12, 6, 3, 3), {"pads": [1, 1, 1, 1], "strides": [2, 1]}),
    "grouped": ("Conv", (12, 3, 3, 3), {"pads": [1, 1, 1, 1], "group": 2}),
    "depthwise": ("Conv", (6, 1, 3, 3), {"pads": [2, 2, 2, 2], "dilations": [2, 2], "group": 6}),
    "linear, rows": ("Gemm", (12, 6), {"transB": 1}),
    "linear, columns": ("Gemm", (6, 12), {}),
}
"""Operator, shape of the weights, attributes."""


@pytest.mark.parametrize("kind", LAYERS)
def test_a_bias_moves_by_what_its_layer_gives_too_much(kind: str) -> None:
    """A layer with coarsely rounded weights, as QDQ by hand: its mean output is then that of the exact one."""
    operator, shape, attributes = LAYERS[kind]
    random = np.random.default_rng(0)
    axis = 1 if kind == "linear, columns" else 0
    initial = {"w": random.normal(size=shape), "b": random.normal(size=shape[axis])}
    x = [None, 6] if operator == "Gemm" else [None, 6, 8, 8]
    fused = helper.make_model(
        helper.make_graph(
            [helper.make_node(operator, ["x", "w", "b"], ["y"], name="layer", **attributes)],
            "exact",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value.astype(np.float32), name) for name, value in initial.items()],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    small = by_hand(fused, axis)
    batches = [{"x": random.random((4, *x[1:])).astype(np.float32)} for _ in range(4)]
    corrected = correct_biases(fused.SerializeToString(), small, batches)

    def mean(model: bytes) -> np.ndarray[Any, Any]:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        y = np.concatenate([session.run(None, batch)[0] for batch in batches])
        return y.reshape(*y.shape[:2], -1).mean((0, 2))

    exact = mean(fused.SerializeToString())
    assert np.abs(mean(small) - exact).max() > 0.05
    np.testing.assert_allclose(mean(corrected), exact, atol=5e-3)  # the runtime computes one of them in 8 bits
