"""The features, the second output of an exported model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from hanmo.bundle import FEATURES
from hanmo.errors import BundleError
from hanmo.export.features import with_features, without_features
from hanmo.export.onnx import export_onnx
from hanmo.export.quantize import quantize, run_onnx
from hanmo.nets.onnx import OnnxNet
from hanmo.normalize import MEAN, STD
from hanmo.recognizer import Recognizer

CLASSES, SIDE = 40, 16


class Net(nn.Module):
    """A small net with a classifier of low rank: pooled numbers, a bottleneck without bias, ``fc``."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.bottleneck = nn.Linear(32, 12, bias=False)
        self.fc = nn.Linear(12, CLASSES)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.bottleneck(self.body(x))
        return out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.fc(self.features(x))
        return out


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module")
def squares() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (48, SIDE, SIDE), dtype=np.uint8)


@pytest.fixture(scope="module")
def fp32(net: Net) -> bytes:
    return export_onnx(net, SIDE)


def run(model: bytes, squares: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    logits, features = session.run(None, {"squares": squares[:, None]})
    return logits, features


def test_features_are_the_input_of_the_last_layer(net: Net, fp32: bytes, squares: NDArray[np.uint8]) -> None:
    logits, features = run(fp32, squares)
    x = (torch.from_numpy(squares)[:, None].float() / 255 - MEAN) / STD
    with torch.no_grad():
        np.testing.assert_allclose(features, net.features(x), atol=1e-5)
        np.testing.assert_allclose(logits, net.fc(torch.from_numpy(features)), atol=1e-5)


def test_in_int8_the_logits_are_computed_from_the_features(fp32: bytes, squares: NDArray[np.uint8]) -> None:
    small = quantize(fp32, squares)
    logits, features = run(small, squares)
    graph = onnx.load_from_string(small).graph
    makers = {output: node for node in graph.node for output in node.output}
    tensors = {tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in graph.initializer}
    gemm = [node for node in graph.node if node.op_type == "Gemm"][-1]  # the first one is the bottleneck
    weight, bias = (tensors[makers[name].input[0]] for name in gemm.input[1:])
    weight *= tensors[makers[gemm.input[1]].input[1]][:, None]
    bias *= tensors[makers[gemm.input[2]].input[1]]
    step = tensors[makers["logits"].input[1]]
    computed = features @ weight.T + bias
    inside = (logits > logits.min()) & (logits < logits.max())  # outside the range of eight bits, logits are cut off
    assert np.abs(computed - logits)[inside].max() <= 0.501 * step
    levels = np.unique(features)
    assert len(levels) <= 256, "the features are those numbers of eight bits that the classifier reads"


def test_the_classifier_still_runs_in_int8(fp32: bytes, squares: NDArray[np.uint8], tmp_path: Path) -> None:
    small = quantize(fp32, squares)
    np.testing.assert_array_equal(run_onnx(small, squares), run_onnx(without_features(small), squares))
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(small, options, providers=["CPUExecutionProvider"])
    operators = [node.op_type for node in onnx.load(tmp_path / "run.onnx").graph.node]
    assert "QGemm" in operators
    assert "Gemm" not in operators


def test_a_model_gets_the_output_once(fp32: bytes) -> None:
    assert with_features(fp32) == fp32
    alone = without_features(fp32)
    assert without_features(alone) == alone
    assert [port.name for port in onnx.load_from_string(alone).graph.output] == ["logits"]


def test_a_net_that_ends_with_no_linear_layer_has_no_features(linear_net: Callable[..., Any]) -> None:
    class Scaled(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) * 2

    assert [port.name for port in onnx.load_from_string(export_onnx(Scaled(), SIDE)).graph.output] == ["logits"]
    model = linear_net(np.ones((256, 3), np.float32)).SerializeToString()
    assert with_features(model) == model


def test_an_exported_model_can_still_be_a_teacher(net: Net, fp32: bytes, squares: NDArray[np.uint8]) -> None:
    model = onnx.load_from_string(fp32)
    x = torch.from_numpy(squares)[:, None]
    np.testing.assert_allclose(OnnxNet(model)(x).detach(), run_onnx(fp32, squares), atol=1e-4)
    model.graph.output[1].name = "others"
    with pytest.raises(Exception, match="1 inputs and 2 outputs"):
        OnnxNet(model)


@pytest.mark.parametrize("name", ["free", "nano"])
def test_embedded_bundles_have_features(name: str) -> None:
    reader = Recognizer(name)
    squares = np.random.default_rng(1).integers(0, 256, (3, 48, 48), dtype=np.uint8)
    logits, features = reader.answers(squares)
    assert features is not None
    assert features.dtype == np.float32
    assert features.shape == (3, {"free": 512, "nano": 336}[name])
    np.testing.assert_array_equal(features, reader.features(squares))
    np.testing.assert_array_equal(logits, reader.logits(squares))
    assert reader.features(squares[:0]).shape == (0, features.shape[1])


def test_the_bundle_of_a_run_has_features(tiny_bundle: Path) -> None:
    reader = Recognizer(tiny_bundle)
    assert reader.features(np.zeros((2, 32, 32), np.uint8)).shape[0] == 2
    assert [port.name for port in onnx.load_from_string(reader.bundle.model).graph.output] == ["logits", FEATURES]


def test_a_bundle_without_features_names_the_remedy(linear_bundle: Callable[..., Any], tmp_path: Path) -> None:
    reader = Recognizer(linear_bundle(tmp_path / "plain", np.ones((256, 2), np.float32), "一十"))
    squares = np.zeros((1, 16, 16), np.uint8)
    logits, features = reader.answers(squares)
    assert (logits.shape, features) == ((1, 2), None)
    with pytest.raises(BundleError, match=r"model\.onnx: the net has no output 'features'; export the bundle again"):
        reader.features(squares)
