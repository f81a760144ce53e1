"""The net of a bundle, opened in ONNX Runtime and checked against what the bundle says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from onnxruntime import InferenceSession, NodeArg

from hanmo.bundle import EXTENSION_NAME, FEATURES, MODEL_NAME, Bundle
from hanmo.classifier import read_classifier
from hanmo.errors import BundleError, DeviceError, ModelError, one_line
from hanmo.extension import ExtendedLayer
from hanmo.onnxfile import Provider, open_session

_BYTES, FLOATS = "tensor(uint8)", "tensor(float)"


def open_net(bundle: Bundle, threads: int, providers: Sequence[Provider]) -> InferenceSession:
    """A session of the bundle's net, its ports checked: one input, the logits, and perhaps the features.

    Raises :class:`BundleError` for a net that does not fit the bundle, :class:`DeviceError` for a provider that cannot
    start.
    """
    where = bundle.path / MODEL_NAME
    try:
        # Without spinning: threads that wait for the next picture would keep whole cores busy.
        session = open_session(bundle.model, threads=threads, spinning=False, providers=providers)
    except DeviceError:  # a provider that does not start; the bundle is sound
        raise
    except Exception as error:  # the runtime's exceptions have no common base of their own
        raise BundleError(f"{where}: ONNX Runtime refuses it ({one_line(error)}); export the bundle again") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    names = [output.name for output in outputs]
    if len(inputs) != 1 or not names or names[1:] not in ([], [FEATURES]):
        raise BundleError(
            f"{where}: {len(inputs)} inputs and the outputs {', '.join(names)}; a bundle's net has one input and the "
            f"logits as its output, and it may have a second output {FEATURES!r}"
        )
    side = bundle.normalization.side
    _check_port(where, inputs[0], [1, side, side], (_BYTES, FLOATS))
    _check_port(where, outputs[0], [bundle.model_classes], (FLOATS,))
    for features in outputs[1:]:
        # Any number F of them is fine, but it must be fixed.
        given = features.shape[1:]
        _check_port(where, features, given if len(given) == 1 and isinstance(given[0], int) else ["F"], (FLOATS,))
    return session


def extended_layer(bundle: Bundle, sizes: Mapping[str, int]) -> ExtendedLayer | None:
    """What computes the logits of an extended bundle; None for others. ``sizes`` are those of the net's outputs."""
    if bundle.extension is None:
        return None
    where, needed = bundle.path / EXTENSION_NAME, bundle.extension.weight.shape[1]
    if sizes.get(FEATURES) != needed:
        raise BundleError(
            f"{where}: made for {needed} features, the net has {sizes.get(FEATURES, 0)}; make the bundle again"
        )
    try:
        classifier = read_classifier(bundle.model)
    except ModelError as error:
        raise BundleError(f"{bundle.path / MODEL_NAME}: {error}") from error
    if classifier.weight.shape != (bundle.model_classes, needed):
        raise BundleError(f"{where}: made for another net than this; make the bundle again")
    return ExtendedLayer(bundle.extension, classifier, len(bundle.charset))


def _check_port(where: Path, port: NodeArg, shape: Sequence[int | str], types: tuple[str, ...]) -> None:
    # The first dimension must have no fixed size (an int), as batches of any size are fed.
    if port.type not in types or list(port.shape[1:]) != list(shape) or isinstance(port.shape[0], int):
        needed = f"{' or '.join(types)} [N, {', '.join(map(str, shape))}]"
        raise BundleError(f"{where}: {port.name} is {port.type} {port.shape}, not {needed}; export the bundle again")
