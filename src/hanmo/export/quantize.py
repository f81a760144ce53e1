"""fp32 ONNX -> int8: static, per channel, calibrated on packed samples."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from hanmo.atomic import storing
from hanmo.export.bias_correction import correct_biases
from hanmo.export.features import with_features, without_features
from hanmo.export.int4 import store_in_four_bits
from hanmo.export.onnx import INPUT
from hanmo.onnxfile import open_session

CALIBRATION_SAMPLES = 512
"""Samples from which the activation ranges are taken."""
PERCENTILES = (99.99, 99.999)
"""Percentiles of a layer's activations that its eight bits cover. Both are tried for every net: the better is kept."""
_BATCH = 32
"""Squares that calibration and bias correction run at a time."""


def quantize(model: bytes, squares: NDArray[np.uint8]) -> bytes:
    """Static int8 quantisation with QDQ nodes, calibrated on ``squares`` uint8 (N, S, S).

    Weights are int8 with a scale for every output channel, activations uint8. Weights use only seven of the eight bits:
    processors without VNNI add products in 16 bits, which eight bits would overflow, and the answers would differ
    there. Weights that take few values are stored in four bits (:mod:`hanmo.export.int4`). Biases are corrected
    (:mod:`hanmo.export.bias_correction`). Activation ranges leave out the rarest values: of :data:`PERCENTILES` the one
    is used whose logits for ``squares`` are nearest to those of ``model``, by mean squared distance. If ``model`` has
    the output ``features``, the result has it, too: the rounded numbers that its classifier reads.
    Raises :class:`StorageError` when the folder for temporary files is full.
    """
    fp32_logits = run_onnx(model, squares)
    # Quantised with the logits alone: every output is given a rounding of its own, which the features must not have.
    alone = without_features(model)
    with storing(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory(prefix="hanmo-") as scratch:
        plain, fused = Path(scratch, "plain.onnx"), Path(scratch, "fused.onnx")
        plain.write_bytes(alone)
        with _quiet():
            # Pre-processing folds each batch norm into the convolution before it. Quantised apart, both would be
            # rounded.
            quant_pre_process(str(plain), str(fused), skip_symbolic_shape=True)
            candidates = [_quantize(fused, squares, percentile) for percentile in PERCENTILES]
    # A lower percentile gives finer steps to common values, but cuts off large ones. Which is better depends on the
    # net.
    best = min(candidates, key=lambda small: float(np.square(run_onnx(small, squares) - fp32_logits).mean()))
    return best if alone is model else with_features(best)


def _quantize(fused: Path, squares: NDArray[np.uint8], percentile: float) -> bytes:
    small = fused.with_name("int8.onnx")
    quantize_static(
        str(fused),
        str(small),
        _Squares(squares),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=_coordinates(onnx.load(str(fused))),
        calibrate_method=CalibrationMethod.Percentile,
        extra_options={"CalibPercentile": percentile},
    )
    # int4 first: it changes the scales of the biases, which the correction then uses.
    batches = ({INPUT: batch} for batch in _batches(squares, _BATCH))
    return correct_biases(fused.read_bytes(), store_in_four_bits(small.read_bytes()), batches)


def _coordinates(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that compute GridSample's coordinates; in eight bits they would miss by pixel fractions."""
    # Search backwards from the coordinates (GridSample's second input), through every node that they depend on.
    makers = {output: node for node in model.graph.node for output in node.output}
    pending = [node.input[1] for node in model.graph.node if node.op_type == "GridSample"]
    names: set[str] = set()
    while pending:
        node = makers.get(pending.pop())
        if node is not None and node.name not in names:
            names.add(node.name)
            pending += node.input
    return sorted(names)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence onnxruntime: it advises pre-processing that was just done, and prints its progress."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(level)


def calibration_indices(
    labels: NDArray[np.int64], count: int = CALIBRATION_SAMPLES, seed: int = 0
) -> NDArray[np.int64]:
    """Indices of ``count`` random samples (all if there are fewer), spread over the classes as evenly as possible."""
    order = np.random.default_rng(seed).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    counts = np.bincount(labels)
    # The first sample of every class, then the second of every class, and so on.
    # by_class is sorted by class; ``turn`` is the number of a sample within its class.
    turn = np.concatenate([np.arange(n) for n in counts[counts > 0]])
    return np.sort(by_class[np.argsort(turn, kind="stable")][:count])


def run_onnx(model: bytes, squares: NDArray[np.uint8], threads: int = 0) -> NDArray[np.float32]:
    """Logits float32 (N, C), the first output, of squares uint8 (N, S, S); ``threads`` 0 uses every core."""
    session = open_session(model, threads=threads)
    logits = session.get_outputs()[0].name
    return np.concatenate([session.run([logits], {INPUT: batch})[0] for batch in _batches(squares, 128)])


def _batches(squares: NDArray[np.uint8], size: int) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(squares), size):
        yield np.ascontiguousarray(squares[start : start + size, None])


class _Squares(CalibrationDataReader):  # type: ignore[misc]
    """Batches for the calibrator. All must have one size, so the last is filled up with the first squares."""

    def __init__(self, squares: NDArray[np.uint8]) -> None:
        # -(-a // b) divides and rounds up: the number of batches that hold all squares.
        size = min(_BATCH, len(squares))
        whole = squares.take(np.arange(-(-len(squares) // size) * size), axis=0, mode="wrap")
        self._batches = _batches(whole, size)

    def get_next(self) -> Mapping[str, NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}
