"""Nets of a bundle in torch beside ONNX Runtime: small graphs in which a rounding may, or may not, join a layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from hanmo.gpu.net import BundleNet

SIDE, CHANNELS = 8, 4


def rounding(name: str, out: str) -> list[Any]:
    """``out`` is ``name`` rounded to levels."""
    return [
        helper.make_node("QuantizeLinear", [name, "scale", "zero"], [f"{out}_levels"]),
        helper.make_node("DequantizeLinear", [f"{out}_levels", "scale", "zero"], [out]),
    ]


def convolution(*more: str, inputs: str = "floats", out: str = "sums", **attributes: Any) -> Any:
    return helper.make_node("Conv", [inputs, "weight", *more], [out], **{"pads": [1, 1, 1, 1]} | attributes)


def node(kind: str, inputs: Sequence[str], out: str) -> Any:
    return helper.make_node(kind, inputs, [out])


GRAPHS: dict[str, list[Any]] = {
    "a bias": [convolution("bias"), *rounding("sums", "result")],
    "no bias": [convolution(), *rounding("sums", "result")],
    "a bias left out by name": [convolution(""), *rounding("sums", "result")],
    "uneven pads": [convolution("bias", pads=[0, 0, 2, 2]), *rounding("sums", "result")],
    "a number added": [node("Add", ["floats", "half"], "more"), *rounding("more", "result")],
    "a number as the first factor": [node("Mul", ["half", "floats"], "less"), *rounding("less", "result")],
    "the same twice": [node("Add", ["floats", "floats"], "twice"), *rounding("twice", "result")],
    "a gate": [
        convolution("bias"),
        *rounding("sums", "maps"),
        node("GlobalAveragePool", ["maps"], "mean"),
        node("Mul", ["maps", "mean"], "gated"),
        *rounding("gated", "result"),
    ],
    "sums that are used twice": [
        convolution("bias"),
        *rounding("sums", "maps"),
        node("Mul", ["sums", "maps"], "result"),
    ],
    "two roundings": [
        convolution("bias"),
        *rounding("sums", "one"),
        *rounding("sums", "other"),
        node("Add", ["one", "other"], "result"),
    ],
    "sums that are the answer": [convolution("bias", out="result"), *rounding("result", "unused")],
}


@pytest.mark.parametrize("nodes", GRAPHS.values(), ids=GRAPHS.keys())
def test_a_graph_gives_what_onnx_runtime_gives(nodes: list[Any]) -> None:
    rng = np.random.default_rng(0)
    stored = {
        "weight": rng.normal(0, 0.1, (CHANNELS, 1, 3, 3)).astype(np.float32),
        "bias": rng.normal(0, 1, CHANNELS).astype(np.float32),
        "half": np.array(0.5, np.float32),
        "scale": np.array(0.05, np.float32),
        "zero": np.array(90, np.uint8),
    }
    cast = helper.make_node("Cast", ["squares"], ["pixels"], to=TensorProto.FLOAT)
    scaled = helper.make_node("Mul", ["pixels", "scale"], ["floats"])
    graph = helper.make_graph(
        [cast, scaled, *nodes],
        "toy",
        [helper.make_tensor_value_info("squares", TensorProto.UINT8, ["n", 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    data = model.SerializeToString()
    squares = rng.integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)
    expected = onnxruntime.InferenceSession(data).run(["result"], {"squares": squares[:, None]})[0]
    bundle: Any = SimpleNamespace(path=Path(), model=data)
    answers, features = BundleNet(bundle, feeds_floats=False)(torch.from_numpy(squares))
    assert features is None
    assert len(np.unique(expected)) > 10
    np.testing.assert_allclose(answers.numpy(), expected, atol=1e-5)
