"""Pictures -> characters with probabilities: a bundle's net run by ONNX Runtime, without torch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar, overload

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from hanmo.bundle import EMBEDDED, MODEL_NAME, Bundle
from hanmo.errors import (
    BlankImageError,
    BundleError,
    ConfigError,
    FaintInkError,
    HanmoError,
    ImageError,
    one_line,
)
from hanmo.image import Source, describe, load
from hanmo.ink import Remark
from hanmo.normalize import Inspected
from hanmo.probability import evidence, softmax

T = TypeVar("T")

Reason = Literal["blank", "no clear ink", "several characters", "touching the edge", "unknown character"]
"""Why a picture is refused: it shows nothing; something, but no ink that stands out; more than one character; a
character that may be cut off; or one that looks like no character of the charset."""

_BYTES, _FLOATS = "tensor(uint8)", "tensor(float)"

_FEW = 16
"""Candidates up to which one search a candidate is faster than sorting all classes."""


@dataclass(frozen=True)
class Candidate:
    """A character and the probability, 0 to 1, that it is the one."""

    character: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What a picture was read as.

    ``reason`` says why the picture is refused; it is None when a character is named. ``candidates``, the most probable
    first, are there even when the picture is refused, unless it shows no clear ink: then there are none.
    """

    candidates: tuple[Candidate, ...]
    reason: Reason | None = None

    @classmethod
    def without_ink(cls, error: BlankImageError) -> Prediction:
        """What a picture is read as whose normalisation raised ``error``."""
        return cls((), "no clear ink" if isinstance(error, FaintInkError) else "blank")

    def remarked(self, remark: Remark | None) -> Prediction:
        """The same prediction; what normalisation remarked on the picture explains why it looks like no character."""
        return replace(self, reason=remark) if remark and self.reason == "unknown character" else self

    @property
    def refused(self) -> bool:
        """Whether no character is named."""
        return self.reason is not None

    @property
    def character(self) -> str | None:
        """The best candidate's character; None when the picture is refused."""
        return None if self.refused else self.candidates[0].character

    @property
    def probability(self) -> float:
        """The best candidate's probability; 0 when there is no candidate."""
        return self.candidates[0].probability if self.candidates else 0.0

    def __str__(self) -> str:
        told = " ".join(f"{c.character} {c.probability:.1%}" for c in self.candidates)
        if not self.refused:
            return told
        return f"refused: {self.reason} (perhaps {told})" if told else f"refused: {self.reason}"


class Recognizer:
    """Reads pictures of single characters. One recognizer may be used from many threads at once.

    ``bundle`` is a bundle, its folder, or the name of one that comes with the package, :data:`hanmo.bundle.EMBEDDED`
    (a folder of that name goes first); None is the first of these. ``threads`` is the number of CPU
    threads a call uses. Raises :class:`BundleError` for an unusable bundle, :class:`ConfigError` for no threads.
    """

    def __init__(self, bundle: str | Path | Bundle | None = None, *, threads: int = 1) -> None:
        if threads < 1:
            raise ConfigError(f"threads is {threads}; at least one is needed")
        self.bundle = bundle if isinstance(bundle, Bundle) else _find(bundle)
        self.threads = threads
        self._session = _session(self.bundle, threads)
        self._input = self._session.get_inputs()[0].name
        self._feeds_floats = self._session.get_inputs()[0].type == _FLOATS

    def __repr__(self) -> str:
        b = self.bundle
        return f"Recognizer({b.name!r}: {b.net} {b.precision}, {len(b.charset)} characters, threads={self.threads})"

    def recognize(self, image: Source, top: int = 5, *, among: Collection[str] | None = None) -> Prediction:
        """Read one picture (see :func:`hanmo.image.load` for what it may be) and return its ``top`` candidates.

        A picture without ink is refused, as one that shows no known character is; :attr:`Prediction.reason` says why.
        ``among`` restricts the answer to some of the charset's characters; their probabilities then sum to 1.
        Raises :class:`ImageError` for an unusable picture, :class:`CharsetError` for a character in ``among`` that the
        bundle does not know, :class:`ConfigError` when ``top`` or ``among`` leaves nothing to answer.
        """
        classes = self._classes(top, among)
        try:
            seen = self._inspect(image)
        except BlankImageError as error:
            return Prediction.without_ink(error)
        (prediction,) = self._predict(seen.square[None], top, classes)
        return prediction.remarked(seen.remark)

    @overload
    def recognize_batch(
        self,
        images: Iterable[Source],
        top: int = 5,
        batch_size: int = 64,
        *,
        among: Collection[str] | None = None,
        errors: Literal["raise"] = "raise",
    ) -> list[Prediction]: ...

    @overload
    def recognize_batch(
        self,
        images: Iterable[Source],
        top: int = 5,
        batch_size: int = 64,
        *,
        among: Collection[str] | None = None,
        errors: Literal["collect"],
    ) -> list[Prediction | HanmoError]: ...

    def recognize_batch(
        self,
        images: Iterable[Source],
        top: int = 5,
        batch_size: int = 64,
        *,
        among: Collection[str] | None = None,
        errors: Literal["raise", "collect"] = "raise",
    ) -> list[Prediction] | list[Prediction | HanmoError]:
        """Read many pictures, ``batch_size`` in one run of the net, and return predictions in the pictures' order.

        An unusable picture raises its :class:`ImageError`, with its index; with ``errors="collect"`` the error stands
        in the picture's place and the others are read. Otherwise as :meth:`recognize`.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}; at least one picture goes into a batch")
        if errors not in ("raise", "collect"):
            raise ConfigError(f"errors is {errors!r}; one of 'raise', 'collect'")
        classes = self._classes(top, among)
        results: list[Prediction | HanmoError] = []
        for batch in _batches(enumerate(images), batch_size):
            outcomes = [self._inspect_one_of_many(image, index, errors) for index, image in batch]
            squares = [outcome.square for outcome in outcomes if isinstance(outcome, Inspected)]
            predictions = iter(self._predict(np.stack(squares), top, classes) if squares else ())
            for outcome in outcomes:
                if isinstance(outcome, Inspected):
                    results.append(next(predictions).remarked(outcome.remark))
                else:
                    results.append(outcome)
        return results

    def square(self, image: Source) -> NDArray[np.uint8]:
        """The normalised square of one picture, uint8 (S, S), ink bright.

        Raises :class:`ImageError`; one without ink is a :class:`BlankImageError`.
        """
        return self._inspect(image).square

    def _inspect(self, image: Source) -> Inspected:
        grey = load(image)
        try:
            return self.bundle.normalization.inspect(grey)
        except ImageError as error:
            raise type(error)(f"{describe(image)}: {error}") from error

    def logits(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The net's answers, float32 (N, C), to normalised squares, uint8 (N, S, S), ink bright.

        All N go through the net at once. Raises :class:`ConfigError` for another shape or type, :class:`BundleError`
        when the net fails.
        """
        side = self.bundle.normalization.side
        if squares.dtype != np.uint8 or squares.ndim != 3 or squares.shape[1:] != (side, side):
            raise ConfigError(f"squares are {squares.shape} {squares.dtype}; this net takes (N, {side}, {side}) uint8")
        if not len(squares):
            return np.zeros((0, len(self.bundle.charset)), np.float32)
        fed: NDArray[np.uint8 | np.float32] = np.ascontiguousarray(squares[:, None])
        if self._feeds_floats:  # a net that takes uint8 does this itself
            mean, std = np.float32(self.bundle.mean), np.float32(self.bundle.std)
            fed = (squares[:, None].astype(np.float32) / np.float32(255) - mean) / std
        try:
            (answers,) = self._session.run(None, {self._input: fed})
        except Exception as error:  # the runtime's exceptions have no common base of their own
            raise BundleError(f"{self.bundle.path / MODEL_NAME}: the net fails to run ({one_line(error)})") from error
        if answers.shape != (len(squares), len(self.bundle.charset)) or not np.isfinite(answers).all():
            raise BundleError(f"{self.bundle.path / MODEL_NAME}: the net's answers are no logits; export it again")
        return np.asarray(answers, np.float32)

    def predict(self, squares: NDArray[np.uint8], top: int = 5) -> list[Prediction]:
        """Read squares that are normalised already, as :meth:`logits` takes them, in one run of the net."""
        return self._predict(squares, top, self._classes(top, None))

    def _classes(self, top: int, among: Collection[str] | None) -> NDArray[np.int64] | None:
        """The classes an answer may come from, ascending; None for all."""
        if top < 1:
            raise ConfigError(f"top is {top}; ask for at least one candidate")
        if among is None:
            return None
        if not among:
            raise ConfigError("among is empty; name at least one character, or leave it out")
        return np.unique(self.bundle.charset.encode(list(among)))

    def _inspect_one_of_many(self, image: Source, index: int, errors: str) -> Inspected | Prediction | ImageError:
        try:
            return self._inspect(image)
        except BlankImageError as error:
            return Prediction.without_ink(error)
        except ImageError as error:
            if errors == "collect":
                return error
            raise type(error)(f"images[{index}]: {error}") from error

    def _predict(self, squares: NDArray[np.uint8], top: int, classes: NDArray[np.int64] | None) -> list[Prediction]:
        logits = self.logits(squares).astype(np.float64)
        asked = logits if classes is None else logits[:, classes]
        probabilities = softmax(asked, self.bundle.temperature)
        known = evidence(logits) >= self.bundle.least_evidence
        charset, threshold = self.bundle.charset, self.bundle.refusal_threshold
        predictions = []
        for row, best, is_known in zip(probabilities, _best(probabilities, top), known, strict=True):
            named = best if classes is None else classes[best]
            told = zip(named.tolist(), row[best].tolist(), strict=True)
            candidates = tuple(Candidate(charset[i], probability) for i, probability in told)
            refused = not is_known or candidates[0].probability < threshold
            predictions.append(Prediction(candidates, "unknown character" if refused else None))
        return predictions


def _find(bundle: str | Path | None) -> Bundle:
    if bundle is None:
        return Bundle.embedded()
    if str(bundle) in EMBEDDED and not Path(bundle).exists():
        return Bundle.embedded(str(bundle))
    return Bundle.load(bundle)


def _best(scores: NDArray[np.float64], top: int) -> NDArray[np.intp]:
    """Columns of the ``top`` highest scores, 0 or more, of each row, the highest first, (N, min(top, C))."""
    top = min(top, scores.shape[1])
    if top > _FEW:
        return np.argsort(-scores, axis=1, kind="stable")[:, :top]
    rest, rows = scores.copy(), np.arange(len(scores))
    best = np.empty((len(scores), top), np.intp)
    for rank in range(top):
        best[:, rank] = rest.argmax(axis=1)
        rest[rows, best[:, rank]] = -1
    return best


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _session(bundle: Bundle, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    # Threads that spin while they wait win microseconds and cost the user a core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    where = bundle.path / MODEL_NAME
    try:
        session = onnxruntime.InferenceSession(bundle.model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions have no common base of their own
        raise BundleError(f"{where}: ONNX Runtime refuses it ({one_line(error)}); export the bundle again") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise BundleError(f"{where}: {len(inputs)} inputs and {len(outputs)} outputs; a bundle's net has one of each")
    side = bundle.normalization.side
    _check_port(where, inputs[0], [1, side, side], (_BYTES, _FLOATS))
    _check_port(where, outputs[0], [len(bundle.charset)], (_FLOATS,))
    return session


def _check_port(where: Path, port: onnxruntime.NodeArg, shape: list[int], types: tuple[str, ...]) -> None:
    if port.type not in types or list(port.shape[1:]) != shape or isinstance(port.shape[0], int):
        needed = f"{' or '.join(types)} [N, {', '.join(map(str, shape))}]"
        raise BundleError(f"{where}: {port.name} is {port.type} {port.shape}, not {needed}; export the bundle again")
