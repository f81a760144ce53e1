"""The last linear layer, read from ONNX bytes without the package onnx."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hanmo.bundle import EMBEDDED, Bundle
from hanmo.classifier import read_classifier
from hanmo.errors import ModelError
from hanmo.export.int4 import store_in_four_bits
from hanmo.export.quantize import quantize
from hanmo.recognizer import Recognizer

RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(40, 12)).astype(np.float32)
BIAS = RNG.normal(size=40).astype(np.float32)


def model(nodes: list[onnx.NodeProto], **stored: NDArray[np.generic]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("squares", TensorProto.FLOAT, ["N", 12])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 40])],
        [numpy_helper.from_array(value, name) for name, value in stored.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_weights_of_the_embedded_bundles_give_their_logits(name: str) -> None:
    reader = Recognizer(name)
    side = reader.bundle.normalization.side
    squares = RNG.integers(0, 256, (12, side, side), dtype=np.uint8)
    logits, features = reader.answers(squares)
    weight, bias = read_classifier(reader.bundle.model)
    # The logits are stored in 256 levels; they are exact up to half a level, and never between two of them.
    level = np.diff(np.unique(logits)).min()
    assert np.abs(features @ weight.T + bias - logits).max() <= level / 2 * (1 + 1e-3)


@pytest.mark.parametrize("transposed", [False, True])
def test_gemm_of_floats(transposed: bool) -> None:
    node = helper.make_node("Gemm", ["squares", "w", "b"], ["logits"], transB=int(transposed))
    weight, bias = read_classifier(model([node], w=WEIGHT if transposed else WEIGHT.T.copy(), b=BIAS))
    np.testing.assert_array_equal(weight, WEIGHT)
    np.testing.assert_array_equal(bias, BIAS)


@pytest.mark.parametrize("first", [False, True])
def test_matmul_and_add_behind_a_bottleneck(first: bool) -> None:
    inner = RNG.normal(size=(12, 12)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["squares", "inner"], ["features"]),
        helper.make_node("MatMul", ["features", "w"], ["product"]),
        helper.make_node("Add", ["b", "product"] if first else ["product", "b"], ["logits"]),
    ]
    weight, bias = read_classifier(model(nodes, inner=inner, w=WEIGHT.T.copy(), b=BIAS))
    np.testing.assert_array_equal(weight, WEIGHT)
    np.testing.assert_array_equal(bias, BIAS)


@pytest.mark.parametrize("bits", [4, 8])
def test_levels_of_a_quantised_layer(bits: int) -> None:
    levels = RNG.integers(-7, 8, WEIGHT.shape).astype(np.int8)
    scale = RNG.uniform(0.01, 0.02, 40).astype(np.float32)
    biases = RNG.integers(-900, 900, 40).astype(np.int32)
    stored = {"s": scale, "z": np.zeros(40, np.int8), "bq": biases, "bs": scale / 100, "bz": np.zeros(40, np.int32)}
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], axis=0),
        helper.make_node("DequantizeLinear", ["bq", "bs", "bz"], ["b"], axis=0),
        helper.make_node("Gemm", ["squares", "w", "b"], ["logits"], transB=1),
    ]
    net = onnx.load_from_string(model(nodes, q=levels, **stored))
    if bits == 4:
        net.graph.initializer[0].CopyFrom(helper.make_tensor("q4", TensorProto.INT4, levels.shape, levels.ravel()))
        net.graph.node.insert(0, helper.make_node("Cast", ["q4"], ["q"], to=TensorProto.INT8))
    weight, bias = read_classifier(bytes(net.SerializeToString()))
    np.testing.assert_allclose(weight, levels * scale[:, None], rtol=1e-6)
    np.testing.assert_allclose(bias, biases * (scale / 100), rtol=1e-6)


def test_another_last_layer_is_refused() -> None:
    softmax = model([helper.make_node("Softmax", ["squares"], ["logits"])])
    with pytest.raises(ModelError, match=r"ends in Softmax.*export the bundle again"):
        read_classifier(softmax)
    scaled = model([helper.make_node("Gemm", ["squares", "w", "b"], ["logits"], alpha=2.0)], w=WEIGHT.T.copy(), b=BIAS)
    with pytest.raises(ModelError, match="factors"):
        read_classifier(scaled)


def test_a_tensor_smaller_than_its_shape_is_refused() -> None:
    node = helper.make_node("Gemm", ["squares", "w", "b"], ["logits"], transB=1)
    net = onnx.load_from_string(model([node], w=WEIGHT, b=BIAS))
    net.graph.initializer[0].dims[0] = 1 << 40
    with pytest.raises(ModelError, match="does not fit its shape"):
        read_classifier(bytes(net.SerializeToString()))


def test_nodes_in_a_circle_end() -> None:
    nodes = [helper.make_node("Identity", ["a"], ["logits"]), helper.make_node("Identity", ["logits"], ["a"])]
    graph = helper.make_graph(nodes, "net", [], [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1])])
    with pytest.raises(ModelError, match="no layer before the output"):
        read_classifier(bytes(helper.make_model(graph).SerializeToString()))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_model_are_refused(data: bytes) -> None:
    with pytest.raises(ModelError):
        read_classifier(data)


@given(st.integers(0, 5_000), st.integers(1, 255))
def test_a_damaged_model_is_read_or_refused(place: int, flip: int) -> None:
    node = helper.make_node("Gemm", ["squares", "w", "b"], ["logits"], transB=1)
    data = bytearray(model([node], w=WEIGHT, b=BIAS))
    data[place % len(data)] ^= flip
    try:
        weight, bias = read_classifier(bytes(data))
    except ModelError:
        return
    assert bias.shape == (len(weight),)


def test_the_embedded_bundle_has_as_many_rows_as_characters() -> None:
    bundle = Bundle.embedded("nano")
    assert len(read_classifier(bundle.model).weight) == len(bundle.charset) == bundle.model_classes


def test_what_the_exporter_writes_can_be_read() -> None:
    import torch
    from torch import nn

    from hanmo.export.onnx import export_onnx

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bottleneck, self.fc = nn.Linear(256, 32, bias=False), nn.Linear(32, 40)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.fc(self.bottleneck(x.flatten(1)))
            return out

    torch.manual_seed(0)
    net = Net().eval()
    fp32 = export_onnx(net, 16)
    weight, bias = read_classifier(fp32)
    np.testing.assert_array_equal(weight, net.fc.weight.detach().numpy())
    np.testing.assert_array_equal(bias, net.fc.bias.detach().numpy())
    squares = RNG.integers(0, 256, (48, 16, 16), dtype=np.uint8)
    for small in (quantize(fp32, squares), store_in_four_bits(quantize(fp32, squares))):
        read, _ = read_classifier(small)
        # Weights use seven bits, so they are off by half of 1/64 of the largest at most, and twice that if reduced.
        assert np.abs(read - weight).max() <= np.abs(weight).max() / 63
