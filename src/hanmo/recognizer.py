"""Pictures -> characters with probabilities: a bundle's net run by ONNX Runtime, without torch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from hanmo.bundle import EMBEDDED, FEATURES, MODEL_NAME, Bundle
from hanmo.charset import Charset, Choice, Members
from hanmo.errors import ArgumentError, BlankImageError, BundleError, HanmoError, ImageError, one_line
from hanmo.files import exists
from hanmo.image import Source, describe, is_single, load
from hanmo.net_session import FLOATS, extended_layer, open_net
from hanmo.normalize import Inspected, standardise
from hanmo.onnxfile import CPU, Device, Provider, choose_providers
from hanmo.own.extend import extend
from hanmo.prediction import Candidate, Prediction
from hanmo.probability import best_classes, evidence, softmax

T = TypeVar("T")


class Recognizer:
    """Reads pictures of single characters. One recognizer may be used from many threads at once, and it can be pickled.

    ``bundle`` is a bundle, its folder, or the name of one that comes with hanmo, :data:`hanmo.bundle.EMBEDDED` (a
    folder of that name is preferred); None means ``free``. ``threads`` is the number of CPU threads a call uses.
    ``device`` is "cpu", the default, or "cuda", for which the extra ``gpu`` is needed (``pip install '.[gpu]'`` in the
    folder of the repository); instead of it ``providers`` lists execution providers of ONNX Runtime, by name or as
    (name, options).

    Raises :class:`BundleError` for an unusable bundle, :class:`ArgumentError` for no threads and for an unknown device,
    :class:`DeviceError` for a device or provider that is missing or cannot start.
    """

    def __init__(
        self,
        bundle: str | Path | Bundle | None = None,
        *,
        threads: int = 1,
        device: Device | None = None,
        providers: Sequence[Provider] | None = None,
    ) -> None:
        if threads < 1:
            raise ArgumentError(f"threads is {threads}; at least one is needed")
        self.providers = choose_providers(device, providers)
        self.bundle = bundle if isinstance(bundle, Bundle) else _find(bundle)
        self.threads = threads
        self._session = open_net(self.bundle, threads, self.providers)
        self._input = self._session.get_inputs()[0].name
        # The names of the outputs: the logits, and the features where the net gives them.
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._sizes: dict[str, int] = {output.name: output.shape[1] for output in self._session.get_outputs()}
        self._members = Members(self.bundle.charset, self.bundle.groups)
        # A named set may have thousands of characters, and programs ask for the same set picture by picture.
        self._choice_of_text = lru_cache(maxsize=16)(self._members.among)
        # What computes the logits of an extended bundle; None for others.
        self.extended = extended_layer(self.bundle, self._sizes)
        # Whether the net takes standardised floats, not uint8.
        self.feeds_floats: bool = self._session.get_inputs()[0].type == FLOATS

    def __getstate__(self) -> dict[str, Any]:
        """The arguments; a session of ONNX Runtime cannot be pickled, so it is opened again where the bytes go."""
        return {"bundle": self.bundle, "threads": self.threads, "providers": self.providers}

    def __setstate__(self, arguments: dict[str, Any]) -> None:
        self.__init__(**arguments)  # type: ignore[misc]

    def __repr__(self) -> str:
        b = self.bundle
        where = "" if self.providers == (CPU,) else f", providers={list(self.providers)}"
        return (
            f"Recognizer({b.name!r}: {b.net} {b.precision}, {len(self.characters)} characters, "
            f"threads={self.threads}{where})"
        )

    @property
    def characters(self) -> Charset:
        """All characters that this reader can name: those of the bundle's charset, then the members of its groups."""
        return self._members.known

    def class_of(self, character: str) -> int:
        """The column of the logits that stands for ``character``, which may be a member of a group.

        Raises :class:`CharsetError` for a character that this reader cannot name.
        """
        return self._members.class_of(character)

    def recognize(self, image: Source, top: int = 5, *, among: Collection[str] | None = None) -> Prediction:
        """Read one picture (see :func:`hanmo.image.load` for what it may be) and return its ``top`` candidates.

        A picture without ink is refused, and so is one that shows no known character; :attr:`Prediction.reason` says
        why.

        Characters that look the same on a picture of one character, such as 0 O o, are one candidate: one of them is
        its character, the others are :attr:`Candidate.alike`.

        ``among`` restricts the answer to some of :attr:`characters`; their probabilities then sum to 1. It is a
        text or a collection of characters, or names of sets joined by "+", as in "digits+latin".
        :data:`hanmo.charset.SETS` lists the names, :func:`hanmo.charset.select` states the rules. Characters of a named
        set that the bundle does not know are left out. Of characters that look the same, only those in ``among`` are
        named: among "digits" that circle is 0.

        Raises :class:`ImageError` for an unusable picture; :class:`CharsetError` for a single character in ``among``
        that the bundle does not know, for an unknown name, and for sets of which it knows no character;
        :class:`ArgumentError` when ``top`` or ``among`` leaves nothing to answer.
        """
        choice = self._choice(top, among)
        try:
            seen = self._inspect(image)
        except BlankImageError as error:
            return Prediction.without_ink(error)
        (prediction,) = self._predict(seen.square[None], top, choice)
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

        ``images`` is anything that yields pictures, or one array of many: (N, H, W), (N, H, W, 1), (N, H, W, 3) or
        (N, H, W, 4). An unusable picture raises its :class:`ImageError`, with its index; with ``errors="collect"`` the
        error takes the picture's place and the others are read. A single picture in place of many raises
        :class:`ArgumentError`. ``top`` and ``among`` are as in :meth:`recognize`.
        """
        if batch_size < 1:
            raise ArgumentError(f"batch_size is {batch_size}; at least one picture goes into a batch")
        if errors not in ("raise", "collect"):
            raise ArgumentError(f"errors is {errors!r}; one of 'raise', 'collect'")
        if is_single(images):
            raise ArgumentError(
                f"images is a single picture ({describe(images)}); give a list of pictures, or use recognize"
            )
        choice = self._choice(top, among)
        results: list[Prediction | HanmoError] = []
        for batch in _batches(enumerate(images), batch_size):
            outcomes = [self._inspect_one_of_many(image, index, errors) for index, image in batch]
            squares = [outcome.square for outcome in outcomes if isinstance(outcome, Inspected)]
            predictions = iter(self._predict(np.stack(squares), top, choice) if squares else ())
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

    def with_characters(self, pictures: Mapping[str, Sequence[Source]], *, add_forms: bool = False) -> Recognizer:
        """A recognizer that also reads further characters, from 1 to 5 pictures of each (more do no harm).

        ``pictures`` maps each character to its pictures. This one stays as it is; the new one's bundle can be stored
        with ``.bundle.save(folder)``. A character that is known already is refused; with ``add_forms`` the pictures are
        another form of it.

        Raises :class:`ImageError` for an unusable picture, :class:`CharsetError` for a known character,
        :class:`hanmo.errors.DataError` for no pictures, :class:`BundleError` for a bundle without features.
        """
        squares = {character: [self.square(picture) for picture in given] for character, given in pictures.items()}
        extended = extend(self, squares, add_forms=add_forms)
        return Recognizer(extended.bundle, threads=self.threads, providers=self.providers)

    def _inspect(self, image: Source) -> Inspected:
        grey = load(image)
        try:
            return self.bundle.normalization.inspect(grey)
        except ImageError as error:
            raise type(error)(f"{describe(image)}: {error}") from error

    def logits(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The net's answers, float32 (N, C), to normalised squares, uint8 (N, S, S), ink bright.

        All N go through the net at once. Raises :class:`ArgumentError` for another shape or type, :class:`BundleError`
        when the net fails.
        """
        return self._run(squares, self._outputs[:1])[0] if self.extended is None else self.answers(squares)[0]

    def answers(self, squares: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """The logits (N, C) and the features (N, F) of squares, from one run; the features are None without the output.

        Features are the numbers from which the last layer of the net computes the logits. ``squares`` and errors are
        those of :meth:`logits`.
        """
        logits, *features = self._run(squares, self._outputs)
        if self.extended is not None:
            logits = self.extended(logits, features[0])
        return logits, features[0] if features else None

    def features(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The features (N, F) of squares, as :meth:`answers` gives them.

        Raises :class:`BundleError` for a bundle without them, and the errors of :meth:`logits`.
        """
        if len(self._outputs) < 2:
            raise BundleError(
                f"{self.bundle.path / MODEL_NAME}: the net has no output {FEATURES!r}; export the bundle again "
                f"with this version of hanmo, or use the bundle {' or '.join(EMBEDDED)}"
            )
        return self._run(squares, self._outputs[1:])[0]

    def _run(self, squares: NDArray[np.uint8], outputs: list[str]) -> list[NDArray[np.float32]]:
        """The named outputs of the net, float32 (N, numbers) each."""
        side = self.bundle.normalization.side
        if squares.dtype != np.uint8 or squares.ndim != 3 or squares.shape[1:] != (side, side):
            raise ArgumentError(
                f"squares are {squares.shape} {squares.dtype}; this net takes (N, {side}, {side}) uint8"
            )
        sizes = [self._sizes[output] for output in outputs]
        if not len(squares):
            return [np.zeros((0, size), np.float32) for size in sizes]
        fed: NDArray[np.uint8 | np.float32] = np.ascontiguousarray(squares[:, None])
        if self.feeds_floats:  # a net that takes uint8 does this itself
            fed = standardise(fed.astype(np.float32) / np.float32(255), self.bundle.mean, self.bundle.std)
        try:
            answers = self._session.run(outputs, {self._input: fed})
        except Exception as error:  # the runtime's exceptions have no common base of their own
            raise BundleError(f"{self.bundle.path / MODEL_NAME}: the net fails to run ({one_line(error)})") from error
        for name, answer, size in zip(outputs, answers, sizes, strict=True):
            if answer.shape != (len(squares), size) or not np.isfinite(answer).all():
                kind = "features" if name in self._outputs[1:] else "logits"
                raise BundleError(f"{self.bundle.path / MODEL_NAME}: the net's answers are no {kind}; export it again")
        return [np.asarray(answer, np.float32) for answer in answers]

    def predict(
        self, squares: NDArray[np.uint8], top: int = 5, *, among: Collection[str] | None = None
    ) -> list[Prediction]:
        """Read squares that are normalised already, as :meth:`logits` takes them, in one run of the net.

        ``top`` and ``among`` are as in :meth:`recognize`.
        """
        return self._predict(squares, top, self._choice(top, among))

    def decide(
        self, logits: NDArray[np.float32], top: int = 5, *, among: Collection[str] | None = None
    ) -> list[Prediction]:
        """The predictions for logits, float32 (N, C), that :meth:`logits` gave. ``top`` and ``among`` are as in
        :meth:`recognize`.
        """
        return self._decide(logits, top, self._choice(top, among))

    def check_among(self, among: Collection[str]) -> None:
        """Raise the error that :meth:`recognize` would raise for ``among``; nothing is read."""
        self._choice(1, among)

    def _choice(self, top: int, among: Collection[str] | None) -> Choice:
        """The classes that an answer may come from, and their names."""
        if top < 1:
            raise ArgumentError(f"top is {top}; ask for at least one candidate")
        if among is None:
            return self._members.all
        return self._choice_of_text(among) if isinstance(among, str) else self._members.among(among)

    def _inspect_one_of_many(self, image: Source, index: int, errors: str) -> Inspected | Prediction | ImageError:
        try:
            return self._inspect(image)
        except BlankImageError as error:
            return Prediction.without_ink(error)
        except ImageError as error:
            if errors == "collect":
                return error
            raise type(error)(f"images[{index}]: {error}") from error

    def _predict(self, squares: NDArray[np.uint8], top: int, choice: Choice) -> list[Prediction]:
        return self._decide(self.logits(squares), top, choice)

    def _decide(self, answers: NDArray[np.float32], top: int, choice: Choice) -> list[Prediction]:
        logits = answers.astype(np.float64)
        asked = logits if choice.classes is None else logits[:, choice.classes]
        probabilities = softmax(asked, self.bundle.temperature)
        # From all logits, also where `among` leaves a few: does the picture look like any character at all?
        known = evidence(logits) >= self.bundle.least_evidence
        best = best_classes(probabilities, top)
        return self._named(best, np.take_along_axis(probabilities, best, 1), known, choice)

    def named(
        self,
        best: NDArray[np.integer],
        probabilities: NDArray[np.float64],
        known: NDArray[np.bool_],
        *,
        among: Collection[str] | None = None,
    ) -> list[Prediction]:
        """The predictions where the best classes were found elsewhere, as on a GPU.

        ``best`` (N, top) are the columns of :meth:`choice` of ``among``, the most probable first, with their
        ``probabilities``, float64 (N, top). ``known``, bool (N,), tells whether the evidence is enough.
        """
        return self._named(best, probabilities, known, self._choice(1, among))

    def choice(self, top: int, among: Collection[str] | None) -> NDArray[np.intp] | None:
        """The columns of the logits that an answer ``among`` some characters comes from; None for all.

        Raises the errors of :meth:`recognize`.
        """
        return self._choice(top, among).classes

    def _named(
        self, best: NDArray[np.integer], probabilities: NDArray[np.float64], known: NDArray[np.bool_], choice: Choice
    ) -> list[Prediction]:
        predictions = []
        for columns, row, is_known in zip(best.tolist(), probabilities.tolist(), known.tolist(), strict=True):
            candidates = tuple(
                Candidate(character, probability, alike)
                for (character, alike), probability in zip(map(choice.name, columns), row, strict=True)
            )
            refused = not is_known or candidates[0].probability < self.bundle.refusal_threshold
            predictions.append(Prediction(candidates, "unknown character" if refused else None))
        return predictions


def _find(bundle: str | Path | None) -> Bundle:
    if bundle is None:
        return Bundle.embedded()
    if str(bundle) in EMBEDDED and not exists(Path(bundle)):
        return Bundle.embedded(str(bundle))
    return Bundle.load(bundle)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
