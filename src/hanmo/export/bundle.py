"""A finished run -> a bundle, verified."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from hanmo.bundle import Bundle, DataSource, write_bundle
from hanmo.data.pack import Pack
from hanmo.errors import ConfigError
from hanmo.evaluate.calibration import fit_temperature, refusal_threshold
from hanmo.export.onnx import export_onnx
from hanmo.export.quantize import calibration_indices, quantize, run_onnx
from hanmo.export.verify import Check, verify
from hanmo.nets.registry import count_parameters
from hanmo.normalize import MEAN, STD, VERSION
from hanmo.probability import evidence
from hanmo.train.run import TrainedNet, load_trained

FITTED_SAMPLES = 5_000
"""Enough for one number; 20,000 take six seconds with 3,755 classes."""
VERIFIED_SAMPLES = 20_000
"""At most so many samples are compared; more changes no verdict."""


def export_bundle(
    run: str | Path,
    out: str | Path,
    *,
    calibration: str | Path,
    test: str | Path,
    licence: str,
    held_out: str | Path | None = None,
    refusal: str | Path | None = None,
    temperature: float | None = None,
    int8: bool = True,
    force: bool = False,
) -> tuple[Bundle, Check]:
    """Export the net of ``run`` to the bundle folder ``out``.

    ``calibration`` and ``test`` are packs of the net's normalisation and charset; int8 ranges come from the first,
    which is not opened for fp32, the verdict from the second. The temperature of the probabilities and the evidence
    below which to refuse (one in twenty of its samples) are fitted on the pack ``held_out``, samples the net was not
    trained on; without one they are 1 and 0. A pack ``refusal`` takes its place for the evidence: of clean squares,
    where ``held_out`` has spoilt ones, which speak less clearly than most pictures do. A ``temperature`` is used
    instead of a fitted one: where the pictures to be read are known to be harder or easier than the samples.
    ``licence`` says what the weights may be used for; it also stands for sources that name none.
    Raises :class:`ExportError` when the exported model does not answer as the net (unless ``force``),
    :class:`PackError`, :class:`CheckpointError`.
    """
    trained = load_trained(run)
    # Clean squares are the same in every version of the normalisation, so the bundle reads with the newest.
    trained = replace(trained, normalization=replace(trained.normalization, version=VERSION))
    squares, labels = _samples(test, trained)
    seen, classes = _samples(calibration, trained) if int8 else (squares, labels)
    unseen = _samples(held_out, trained) if held_out else None
    model = export_onnx(trained.net, trained.normalization.side)
    small = quantize(model, np.asarray(seen[calibration_indices(classes)])) if int8 else None
    check = verify(trained.net, model, small, *_some(squares, labels, VERIFIED_SAMPLES))
    check.require(force=force)
    wanted = _samples(refusal, trained) if refusal else unseen
    if temperature is None:
        temperature = fit_temperature(*_answers(small or model, *unseen)) if unseen else 1.0
    least_evidence = refusal_threshold(evidence(_answers(small or model, *wanted)[0])) if wanted else 0.0
    bundle = write_bundle(
        out,
        small or model,
        name=Path(out).name,
        charset=trained.charset,
        normalization=trained.normalization,
        mean=MEAN,
        std=STD,
        net=str(trained.config),
        parameters=count_parameters(trained.net),
        precision="int8" if small else "fp32",
        trained_on=[_source(told, licence) for told in trained.trained_on],
        licence=licence,
        temperature=temperature,
        least_evidence=least_evidence,
        accuracy={"top1": check.top1_int8 if check.top1_int8 is not None else check.top1_fp32},
    )
    return bundle, check


def _answers(model: bytes, squares: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The model's logits for at most :data:`FITTED_SAMPLES` of the samples, and these samples' labels."""
    squares, labels = _some(squares, labels, FITTED_SAMPLES)
    return run_onnx(model, squares), labels


def _source(told: str, licence: str) -> DataSource:
    """What a run recorded of a source: what is drawn and who teaches names its licence; otherwise ``licence``."""
    named = re.fullmatch(r"((?:drawn|taught by)\b.+) \(([^()]+)\)", told)
    return DataSource(name=named[1], licence=named[2]) if named else DataSource(name=told, licence=licence)


def _some(squares: np.ndarray, labels: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """At most ``limit`` samples, evenly spread."""
    chosen = np.linspace(0, len(labels) - 1, min(len(labels), limit)).astype(np.int64)
    return np.asarray(squares[chosen]), labels[chosen]


def _samples(path: str | Path, trained: TrainedNet) -> tuple[np.ndarray, np.ndarray]:
    pack = Pack.open(path)
    pack.require(normalization=trained.normalization)
    unknown = [c for c in pack.charset if c not in trained.charset]
    if unknown:
        raise ConfigError(f"{path}: holds {len(unknown)} character(s) the net does not know, {unknown[0]!r} first")
    classes = trained.charset.encode(pack.charset.characters)
    return pack.images, classes[pack.labels]
