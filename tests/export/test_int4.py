"""Weights of few values in four bits: smaller, and the same answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn

from hanmo.bundle import write_bundle
from hanmo.charset import Charset
from hanmo.export import quantize as quantize_room
from hanmo.export.int4 import store_in_four_bits
from hanmo.export.onnx import export_onnx
from hanmo.export.quantize import quantize, run_onnx
from hanmo.nets.quantization import quantized_state, train_quantized
from hanmo.nets.registry import NetConfig, build_net
from hanmo.normalize import MEAN, STD, Normalization
from hanmo.recognizer import Recognizer
from varied_norms import vary_norms

SIDE = 16
CONFIG = NetConfig(name="resnet16", width=8, depths=(1, 1, 2, 1), attention="se")
CHANGED = "layer4.0.conv2"
"""A layer in which some tests set single weights."""
Squares = NDArray[np.uint8]


@pytest.fixture(scope="module")
def squares() -> Squares:
    return np.random.default_rng(0).integers(0, 256, (32, SIDE, SIDE), dtype=np.uint8)


@torch.no_grad()
def few_bits_net(bits: int, change: Callable[[dict[str, Tensor]], None] = lambda state: None) -> nn.Module:
    """A net with norms as after training and weights of ``bits`` bits (0: free)."""
    torch.manual_seed(0)
    net = build_net(CONFIG, 80, SIDE)
    vary_norms(net, scales=(0.3, 1), shift=0.2)
    if bits:
        train_quantized(net, bits)
    state = quantized_state(net.state_dict(), bits) if bits else net.state_dict()
    change(state)
    plain = build_net(CONFIG, 80, SIDE)
    plain.load_state_dict(state)
    return plain.eval()


def int8_of(net: nn.Module, squares: Squares) -> bytes:
    """The int8 model before its weights are stored in four bits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantize_room, "store_in_four_bits", lambda model: model)
        patch.setattr(quantize_room, "correct_biases", lambda fused, small, batches: small)
        return quantize(export_onnx(net, SIDE), squares)


@pytest.fixture(scope="module")
def four(squares: Squares) -> bytes:
    """The int8 model of a net of four bits."""
    return int8_of(few_bits_net(4), squares)


def tensors_of(model: bytes, kind: int) -> dict[str, onnx.TensorProto]:
    return {t.name: t for t in onnx.load_from_string(model).graph.initializer if t.data_type == kind}


def real_weights(model: bytes) -> dict[str, NDArray[np.float32]]:
    """What ONNX Runtime makes of the initializers that are dequantised, by the name of the result."""
    net = onnx.load_from_string(model)
    known = {t.name for t in net.graph.initializer}
    known |= {node.output[0] for node in net.graph.node if node.op_type == "Cast" and node.input[0] in known}
    made = [n.output[0] for n in net.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in known]
    del net.graph.output[:]
    net.graph.output.extend(onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in made)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(net.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(made, session.run(made, {"squares": np.zeros((1, 1, SIDE, SIDE), np.uint8)}), strict=True))


def assert_alike(before: bytes, after: bytes, squares: Squares) -> None:
    expected, answer = run_onnx(before, squares), run_onnx(after, squares)
    assert expected.std() > 0.1
    assert np.abs(answer - expected).max() < 0.1 * expected.std()
    assert (answer.argmax(1) == expected.argmax(1)).mean() > 0.95


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_weights_of_few_bits_take_half_the_place(bits: int, squares: Squares, four: bytes) -> None:
    before = four if bits == 4 else int8_of(few_bits_net(bits), squares)
    after = store_in_four_bits(before)
    model = onnx.load_from_string(after)
    onnx.checker.check_model(model)
    assert next(o.version for o in model.opset_import if o.domain == "") == 21
    assert model.ir_version >= 10
    large = {n: t for n, t in tensors_of(before, TensorProto.INT8).items() if np.prod(t.dims) >= 4096}
    small = tensors_of(after, TensorProto.INT4)
    assert sorted(list(t.dims) for t in small.values()) == sorted(list(t.dims) for t in large.values())
    assert len(large) == 7
    saved = sum(int(np.prod(t.dims)) for t in large.values()) // 2
    assert saved - 3000 < len(before) - len(after) <= saved
    assert_alike(before, after, squares)
    assert store_in_four_bits(after) == after, "nothing is left to do"


def test_the_weights_are_those_that_were_trained(four: bytes) -> None:
    after = store_in_four_bits(four)
    exact, int8, int4 = (
        few_bits_net(4).get_parameter("fc.weight").detach().numpy(),
        real_weights(four),
        real_weights(after),
    )
    assert int8.keys() == int4.keys()
    name = next(n for n in int4 if n.startswith("net.fc.weight"))
    np.testing.assert_allclose(int4[name], exact, rtol=1e-5, atol=1e-7)
    assert np.abs(int8[name] - exact).max() > 1e-4
    for name, weight in int8.items():
        across = weight.reshape(len(weight), -1) if weight.ndim else weight
        step = np.abs(across).max(-1) / 60 if weight.ndim > 1 else np.full(1, np.abs(weight).max() / 100)
        distance = np.abs(weight - int4[name]).reshape(across.shape)
        assert (distance.max(-1) <= step).all(), name


def test_channels_of_zeros_and_of_lower_levels(squares: Squares) -> None:
    def change(state: dict[str, Tensor]) -> None:
        weight = state[f"{CHANGED}.weight"]
        weight[0] = 0
        for channel, most in enumerate((5, 6, 1), start=1):
            step = weight[channel].abs().max() / 7
            weight[channel].clamp_(-most * step, most * step)
        assert len((weight[1] / weight[1].abs().max()).mul(1000).round().unique()) == 11

    net = few_bits_net(4, change)
    before = int8_of(net, squares)
    after = store_in_four_bits(before)
    stored = next(t for n, t in tensors_of(after, TensorProto.INT4).items() if CHANGED in n)
    levels = numpy_helper.to_array(stored).astype(int)
    assert not levels[0].any()
    assert [np.abs(levels[c]).max() for c in (1, 2)] == [5, 6]
    assert len(set(levels[3].flatten().tolist())) == 3
    assert (np.abs(levels[4:]).reshape(len(levels) - 4, -1).max(1) == 7).all()
    assert_alike(before, after, squares)


def test_other_weights_stay_as_they_are(squares: Squares) -> None:
    for bits in (0, 5):
        before = int8_of(few_bits_net(bits), squares)
        assert store_in_four_bits(before) == before


def test_one_free_weight_keeps_a_layer_in_int8(squares: Squares) -> None:
    def change(state: dict[str, Tensor]) -> None:
        weight = state[f"{CHANGED}.weight"]
        weight[7, 3, 1, 1] = 0.5 * weight[7].abs().max()

    after = store_in_four_bits(int8_of(few_bits_net(4, change), squares))
    assert len(tensors_of(after, TensorProto.INT4)) == 6
    assert any(CHANGED in name for name in tensors_of(after, TensorProto.INT8))


def test_tied_weights_stay_in_int8(squares: Squares, four: bytes) -> None:
    model = onnx.load_from_string(four)
    first, second = "net.layer3.0.conv2.weight_quantized", "net.layer3.1.conv2.weight_quantized"
    assert {first, second} <= {t.name for t in model.graph.initializer}
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == second:
                node.input[place] = first
    before = model.SerializeToString()
    after = store_in_four_bits(before)
    assert len(tensors_of(after, TensorProto.INT4)) == 5
    assert first in tensors_of(after, TensorProto.INT8)
    assert_alike(before, after, squares)


def test_weights_kept_in_half_precision(squares: Squares) -> None:
    def change(state: dict[str, Tensor]) -> None:
        for name in state:
            if state[name].is_floating_point():
                state[name] = state[name].half().float()

    after = store_in_four_bits(int8_of(few_bits_net(4, change), squares))
    assert len(tensors_of(after, TensorProto.INT4)) == 7


def test_quantizing_stores_in_four_bits_and_a_bundle_may_hold_it(squares: Squares, four: bytes, tmp_path: Path) -> None:
    model = quantize(export_onnx(few_bits_net(4), SIDE), squares)
    assert {name: t.raw_data for name, t in tensors_of(model, TensorProto.INT4).items()} == {
        name: t.raw_data for name, t in tensors_of(store_in_four_bits(four), TensorProto.INT4).items()
    }
    write_bundle(
        tmp_path / "bundle",
        model,
        name="few",
        charset=Charset(map(chr, range(0x4E00, 0x4E00 + 80))),
        normalization=Normalization(side=SIDE),
        mean=MEAN,
        std=STD,
        net=str(CONFIG),
        parameters=1,
        precision="int8",
        trained_on=(),
        licence="none",
        accuracy={},
    )
    np.testing.assert_allclose(Recognizer(tmp_path / "bundle").logits(squares), run_onnx(model, squares), atol=1e-5)
