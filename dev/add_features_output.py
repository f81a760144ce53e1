"""Give the bundles that come with hanmo the output of features, without touching a weight.

    python dev/add_features_output.py src/hanmo/bundles/free src/hanmo/bundles/nano

The script checks that the logits are the same, bit for bit, and that they are computed from the features: W f + b,
rounded to the steps of the logits.
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from hanmo.bundle import Bundle, write_bundle
from hanmo.export.features import with_features
from hanmo.recognizer import Recognizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", type=Path, help="bundle folders, which are rewritten")
    for folder in parser.parse_args().bundles:
        add_features(folder)


def add_features(folder: Path) -> None:
    before = Bundle.load(folder)
    side = before.normalization.side
    squares = np.random.default_rng(0).integers(0, 256, (64, side, side), dtype=np.uint8)
    logits = Recognizer(before).logits(squares)
    kept = {field.name: getattr(before, field.name) for field in fields(before) if field.name not in ("path", "model")}
    after = Recognizer(write_bundle(folder, with_features(before.model), **kept))
    same, features = after.answers(squares)
    if features is None or not np.array_equal(logits, same) or not np.array_equal(logits, after.logits(squares)):
        raise SystemExit(f"{folder}: the answers have changed; restore the bundle")
    step, error = rounding_error(after.bundle.model, features, logits)
    print(
        f"{folder}: {features.shape[1]} features; W f + b differs from the logits by {error / step:.2f} steps at most"
    )


def rounding_error(model: bytes, features: np.ndarray, logits: np.ndarray) -> tuple[float, float]:
    """The step of the rounded logits, and the largest distance of W f + b from them, within the range of the steps."""
    graph = onnx.load_from_string(model).graph
    makers = {output: node for node in graph.node for output in node.output}
    tensors = {tensor.name: tensor for tensor in graph.initializer}

    def stored(name: str) -> np.ndarray:
        while name not in tensors:
            name = makers[name].input[0]
        return numpy_helper.to_array(tensors[name]).astype(np.float64)

    gemm = next(
        node for node in graph.node if node.op_type == "Gemm" and stored(node.input[1]).shape[0] == logits.shape[1]
    )
    weight, bias = (
        stored(name) * stored(makers[name].input[1]).reshape(-1, *[1] * at)
        for name, at in zip(gemm.input[1:], (1, 0), strict=True)
    )
    computed = features.astype(np.float64) @ weight.T + bias
    inside = (logits > logits.min()) & (logits < logits.max())
    step = float(stored(makers["logits"].input[1]))
    return step, float(np.abs(computed - logits)[inside].max())


if __name__ == "__main__":
    main()
