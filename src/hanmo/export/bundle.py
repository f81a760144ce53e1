"""A finished run -> a verified bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from hanmo.bundle import Bundle, DataSource, write_bundle
from hanmo.charset import Members, groups_within
from hanmo.data.pack import Pack
from hanmo.errors import CharsetError
from hanmo.evaluate.calibration import fit_temperature, refusal_threshold
from hanmo.export.onnx import export_onnx
from hanmo.export.quantize import calibration_indices, quantize, run_onnx
from hanmo.export.verify import Check, verify
from hanmo.nets.registry import count_parameters
from hanmo.normalize import MEAN, STD, VERSION
from hanmo.probability import evidence
from hanmo.train.run import TrainedNet, load_trained

FITTED_SAMPLES = 5_000
"""Samples for the temperature and the refusal threshold: enough for one number each; more takes seconds."""
VERIFIED_SAMPLES = 20_000
"""Most samples compared by the verification: more would not change its result."""


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
    groups: bool | None = None,
    int8: bool = True,
    force: bool = False,
) -> tuple[Bundle, Check]:
    """Export the net of ``run`` to the bundle folder ``out``.

    All packs have the net's normalisation, and characters that the net knows, as classes or as members of a group.

    ``calibration``: the pack for int8 activation ranges; not opened for fp32.
    ``test``: the pack on which the exported model is compared with the net.
    ``held_out``: a pack of samples that the net was not trained on. The temperature and the evidence threshold for
    refusals (one in twenty of its samples is refused) are fitted on it; without it they are 1 and 0.
    ``refusal``: another pack for the evidence threshold. Use clean squares here if ``held_out`` has degraded ones,
    whose evidence is lower than that of most pictures.
    ``temperature``: used instead of a fitted one, if the pictures to read are known to be harder or easier.
    ``groups``: the groups of look-alike characters that the bundle names. None: those that the run was trained with;
    False: none; True: all groups of :data:`hanmo.charset.GROUPS` that have one class of this net.
    ``licence``: of the weights, and of sources that name no licence.

    Raises :class:`ExportError` when the exported model does not agree with the net (unless ``force``),
    :class:`PackError`, :class:`CheckpointError`, and :class:`CharsetError` for a pack with unknown characters.
    """
    trained = load_trained(run)
    # Clean squares are nearly alike in all versions of the normalisation, so the bundle reads with the newest.
    trained = replace(trained, normalization=replace(trained.normalization, version=VERSION))
    members = Members(trained.charset, _groups(trained, groups))
    squares, labels = _samples(test, trained, members)
    # For fp32 the placeholder on the right is never used, and the calibration pack need not exist.
    calibration_squares, classes = _samples(calibration, trained, members) if int8 else (squares, labels)
    held_out_samples = _samples(held_out, trained, members) if held_out else None
    refusal_samples = _samples(refusal, trained, members) if refusal else None
    model = export_onnx(trained.net, trained.normalization.side)
    small = quantize(model, np.asarray(calibration_squares[calibration_indices(classes)])) if int8 else None
    # Verified before anything is fitted or written, so that a bad export leaves no bundle behind.
    check = verify(trained.net, model, small, *_some(squares, labels, VERIFIED_SAMPLES))
    check.require(force=force)
    # Both are fitted on the model that is shipped: rounding to int8 changes its logits a little.
    answers = None
    if held_out_samples and (temperature is None or refusal_samples is None):
        answers = _answers(small or model, *held_out_samples)
    refusal_answers = _answers(small or model, *refusal_samples) if refusal_samples else answers
    if temperature is None:
        temperature = fit_temperature(*answers) if answers else 1.0
    least_evidence = refusal_threshold(evidence(refusal_answers[0])) if refusal_answers else 0.0
    bundle = write_bundle(
        out,
        small or model,
        name=Path(out).name,
        charset=trained.charset,
        groups=members.groups,
        normalization=trained.normalization,
        mean=MEAN,
        std=STD,
        net=str(trained.config),
        parameters=count_parameters(trained.net),
        precision="int8" if small else "fp32",
        trained_on=[_source(source, licence) for source in trained.trained_on],
        licence=licence,
        temperature=temperature,
        least_evidence=least_evidence,
        accuracy={"top1": check.top1_int8 if check.top1_int8 is not None else check.top1_fp32},
    )
    return bundle, check


def _groups(trained: TrainedNet, wanted: bool | None) -> Mapping[str, str]:
    if wanted is None:
        # Runs record the groups that they were trained with; older ones know of none.
        recorded: Mapping[str, str] = getattr(trained, "groups", {})
        return recorded
    return groups_within(trained.charset) if wanted else {}


def _answers(model: bytes, squares: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The model's logits for at most :data:`FITTED_SAMPLES` of the samples, and these samples' labels."""
    squares, labels = _some(squares, labels, FITTED_SAMPLES)
    return run_onnx(model, squares), labels


def _source(recorded: str, licence: str) -> DataSource:
    """A source as a run recorded it. Drawn data and teachers name their licence in brackets; others get ``licence``."""
    named = re.fullmatch(r"((?:drawn|taught by)\b.+) \(([^()]+)\)", recorded)
    return DataSource(name=named[1], licence=named[2]) if named else DataSource(name=recorded, licence=licence)


def _some(squares: np.ndarray, labels: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """At most ``limit`` samples, evenly spread."""
    # Evenly spread, because packs may be in the order of classes or writers: the first samples would be one-sided.
    chosen = np.linspace(0, len(labels) - 1, min(len(labels), limit)).astype(np.int64)
    return np.asarray(squares[chosen]), labels[chosen]


def _samples(path: str | Path, trained: TrainedNet, members: Members) -> tuple[np.ndarray, np.ndarray]:
    pack = Pack.open(path, verify=True)
    pack.require(normalization=trained.normalization)
    unknown = [c for c in pack.charset if c not in members.known]
    if unknown:
        raise CharsetError(f"{path}: holds {len(unknown)} character(s) the net does not know, {unknown[0]!r} first")
    classes = members.encode(pack.charset.characters)
    # A pack numbers the characters of its own charset; ``classes`` turns these numbers into the net's.
    return pack.images, classes[pack.labels]
