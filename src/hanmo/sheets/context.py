"""Reading in context: of the candidates of successive cells, those that make words.

The probability that one character follows another comes from a bigram model of words. Within a word it is counted: how
often the pair occurs in the words of a dictionary, weighted by how often each word is used. Where the first character
may end a word, the second one may begin any other::

    P(b | a) = (pairs(a, b) + ends(a) * begins(b) / words) / occurrences(a)

The best sequence of candidates is found exactly, by dynamic programming (Viterbi, "Error bounds for convolutional codes
and an asymptotically optimum decoding algorithm", 1967).
"""

from __future__ import annotations

import lzma
import math
import struct
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hanmo.errors import InstallationError
from hanmo.prediction import Prediction

_MAGIC = b"hanmo bigrams 1\n"

WEIGHT = 0.7
"""Weight of the bigrams against the reader, in log-probability."""
SURE = 0.99
"""A cell that the reader is so sure of is never changed; it still speaks for its neighbours."""
_LEAST = 1e-4
"""Least probability of a candidate: the reader's small ones say little."""
_UNSEEN = 0.5
"""Count of what was never counted, so that no candidate becomes impossible."""


class Bigrams:
    """Which characters follow which, from the bytes of a file of ``dev/pack_bigrams.py``.

    Raises :class:`InstallationError` for damage and another format.
    """

    def __init__(self, packed: bytes) -> None:
        header, _, payload = packed.partition(b"\n\n")
        if not header.startswith(_MAGIC):
            raise InstallationError("the packaged bigrams are of another format; reinstall hanmo")
        try:
            self._parse(lzma.decompress(payload))
        except (lzma.LZMAError, struct.error, ValueError, IndexError) as error:
            raise InstallationError(f"the packaged bigrams are damaged ({error}); reinstall hanmo") from error

    def _parse(self, raw: bytes) -> None:
        count, pairs, name_bytes = struct.unpack_from("<III", raw)
        at = 12 + name_bytes
        self._place = {character: n for n, character in enumerate(raw[12:at].decode())}
        if len(self._place) != count or len(raw) != at + 5 * count + 3 * pairs:
            raise ValueError("its counts disagree")
        levels = np.frombuffer(raw, np.uint8, 3 * count, at).reshape(3, count)
        self._occurrences, self._begins, self._ends = np.exp2(levels / 8) - 1
        first = np.repeat(np.arange(count), np.frombuffer(raw, "<u2", count, at + 3 * count))
        low, high, often = np.frombuffer(raw, np.uint8, 3 * pairs, at + 5 * count).reshape(3, pairs)
        steps = low.astype(np.int64) + 256 * high.astype(np.int64)
        # One sum over all steps; the sum before each first character's own pairs is subtracted again.
        total = steps.cumsum()
        begin = np.flatnonzero(np.diff(first, prepend=-1))
        before = (total - steps)[begin]
        second = total - np.repeat(before, np.diff(begin, append=pairs))
        self._pairs = dict(zip((first * count + second).tolist(), (np.exp2(often / 2) - 1).tolist(), strict=True))
        self._words = float(self._begins.sum())

    def log_probability(self, first: str, second: str) -> float:
        """The natural logarithm of P(second | first). "" as the first character is the beginning of a text."""
        a, b = self._place.get(first), self._place.get(second)
        begins = float(self._begins[b]) if b is not None else 0.0
        if a is None or not self._occurrences[a]:
            return math.log((begins + _UNSEEN) / self._words)
        together = self._pairs.get(a * len(self._place) + b, 0.0) if b is not None else 0.0
        follows = together + float(self._ends[a]) * begins / self._words + _UNSEEN * begins / self._words
        return math.log(max(follows, _UNSEEN / self._words) / float(self._occurrences[a]))


@cache
def load_bigrams() -> Bigrams:
    """The packaged bigrams, read once. Raises :class:`InstallationError` when the file is damaged."""
    return Bigrams(files("hanmo.sheets").joinpath("bigrams.bin").read_bytes())


def in_context(
    predictions: Sequence[Prediction], bigrams: Bigrams | None = None, *, weight: float = WEIGHT, sure: float = SURE
) -> list[str]:
    """For successive cells that were read, the candidates that fit together best; each has at least one."""
    bigrams = bigrams or load_bigrams()
    choices = [_choice(prediction, sure) for prediction in predictions]
    if not choices:
        return []
    # For each candidate of a cell: the score of the best way to it, and the candidate before it on that way.
    score = np.array([log + weight * bigrams.log_probability("", c) for c, log in choices[0]])
    back: list[NDArray[np.intp]] = []
    for before, here in pairwise(choices):
        follows = np.array([[bigrams.log_probability(a, b) for b, _ in here] for a, _ in before])
        ways = score[:, None] + weight * follows
        back.append(ways.argmax(axis=0))
        score = ways.max(axis=0) + [log for _, log in here]
    best = [int(score.argmax())]
    for pointers in reversed(back):
        best.append(int(pointers[best[-1]]))
    return [choice[n][0] for choice, n in zip(choices, reversed(best), strict=True)]


def _choice(prediction: Prediction, sure: float) -> list[tuple[str, float]]:
    """The candidates that a cell may be, with the logarithms of their probabilities."""
    best, *others = prediction.candidates
    if not prediction.refused and best.probability >= sure:
        return [(best.character, 0.0)]
    return [(c.character, math.log(max(c.probability, _LEAST))) for c in (best, *others)]
