"""The cells of one grid, read: which are empty, which were corrected, and the predictions for the others."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from hanmo.prediction import Prediction
from hanmo.recognizer import Recognizer
from hanmo.sheets.cleaned import contrasted, fine_print, without_print
from hanmo.sheets.crossed import CROSSES, is_crossed
from hanmo.sheets.written import Writing

Grey = NDArray[np.uint8]

_SURE = 0.98
"""A cell that is read with less is read again, without print and neighbours' strokes and with black ink, and the mean
of both answers counts. Of the 5,194 characters of 39 drawn sheets, 131 are wrong or refused then instead of 449. Sure
cells stay as they are: strokes that all characters of a practice sheet share may be taken for print."""
_COMPARED = 10
"""Candidates that are read at least, however few are asked for: the mean of two answers needs them."""
_CLEAR = 0.9
"""Probability from which a cell counts as written although it is far fainter than the others."""
_HEAVY, _UNLIKELY = 1.5, 0.4
_DARKEST, _DOUBTFUL = 2.3, 0.8
"""A cell was written over if it has so many times the usual ink and its probability is below the second number. On 38
drawn sheets and photographs 41 of 44 crossed-out characters are found this way, by :func:`is_crossed`, or are refused
anyway; none of 3,577 right answers is lost."""

Read = tuple[Prediction | None, bool]
"""The prediction for a cell, None if it is empty, and whether the cell was corrected."""


class Reader:
    """A recognizer that reads a picture only once: some cells are read before, to find how the sheet was turned."""

    def __init__(self, recognizer: Recognizer, top: int) -> None:
        self.recognizer, self.top = recognizer, max(top, _COMPARED)
        self._known: dict[tuple[bool, bytes], Prediction] = {}

    def read(self, pictures: Iterable[Grey], among: Collection[str] | None = None) -> list[Prediction]:
        """The predictions for square pictures, (S, S) each, as :meth:`Recognizer.recognize_batch` gives them.

        ``among`` is None, or the same for all pictures of the sheet.
        """
        pictures = list(pictures)
        keys = [(among is None, blake2b(picture.tobytes(), digest_size=16).digest()) for picture in pictures]
        unread = {key: picture for key, picture in zip(keys, pictures, strict=True) if key not in self._known}
        predictions = self.recognizer.recognize_batch(list(unread.values()), self.top, among=among)
        self._known.update(zip(unread, predictions, strict=True))
        return [self._known[key] for key in keys]


def read_cells(
    pictures: Grey, writing: Writing, reader: Reader, *, top: int = 10, among: Collection[str] | None = None
) -> list[Read]:
    """Read the cells of a grid, uint8 (N, S, S), with the writing that :func:`find_writing` found on these pictures.

    ``top`` candidates are returned for each.
    """
    (written,) = np.nonzero(~writing.empty | writing.faint)
    predictions = reader.read(pictures[written], among)
    unsure = [n for n, prediction in enumerate(predictions) if prediction.refused or prediction.probability < _SURE]
    if unsure:
        cells, here = pictures[written[unsure]], writing.of(written[unsure])
        again = contrasted(without_print(cells, here, fine_print(pictures)))
        for n, second in zip(unsure, reader.read(again, among), strict=True):
            predictions[n] = mean_of(predictions[n], second)
    read: list[Read] = [(None, False)] * len(pictures)
    for place, prediction, heavy in zip(written, predictions, _heaviness(writing, written), strict=True):
        is_clear = not prediction.refused and prediction.probability >= _CLEAR
        if prediction.candidates and (is_clear or not writing.empty[place]):
            corrected = _is_overwritten(prediction, heavy) or _is_struck(prediction, writing.ink[place])
            read[place] = replace(prediction, candidates=prediction.candidates[:top]), corrected
    return read


def mean_of(first: Prediction, second: Prediction) -> Prediction:
    """The mean of two answers to the same cell, refused only where both are.

    An answer without candidates does not count: where all of the ink was taken for print, nothing was read.
    """
    if not first.candidates or not second.candidates:
        return first if first.candidates else second
    seen = {c.character: c for p in (first, second) for c in p.candidates}
    probability = {c: sum(_probability_of(c, p) for p in (first, second)) / 2 for c in seen}
    best = sorted(seen, key=lambda c: probability[c], reverse=True)
    candidates = tuple(replace(seen[c], probability=probability[c]) for c in best)
    return Prediction(candidates, second.reason if first.refused else None)


def _probability_of(character: str, prediction: Prediction) -> float:
    return next((c.probability for c in prediction.candidates if c.character == character), 0.0)


def _heaviness(writing: Writing, written: NDArray[np.intp]) -> list[float]:
    """The ink of each written cell, in times the usual ink of a cell."""
    ink = writing.ink[written].sum(axis=(1, 2))
    return (ink / np.median(ink)).tolist() if len(ink) else []


def _is_overwritten(prediction: Prediction, heaviness: float) -> bool:
    doubtful = prediction.refused or prediction.probability < _UNLIKELY
    return (heaviness > _HEAVY and doubtful) or (heaviness > _DARKEST and prediction.probability < _DOUBTFUL)


def _is_struck(prediction: Prediction, ink: NDArray[np.float32]) -> bool:
    return prediction.character not in CROSSES and is_crossed(ink)
