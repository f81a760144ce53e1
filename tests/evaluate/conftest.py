"""A recogniser whose answers are known: it compares with one template a character."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from drawn_signs import glyph
from hanmo.charset import Charset
from hanmo.data.sample import Sample
from hanmo.normalize import Normalization

CHARACTERS = "永山水火木人口日月田"


class TemplateReader:
    """What evaluation uses of a Recognizer: ``bundle`` and ``logits``."""

    def __init__(self, *, refusal_threshold: float = 0.0, temperature: float = 1.0) -> None:
        self.bundle = SimpleNamespace(
            name="templates",
            charset=Charset(CHARACTERS),
            groups={"口": "口囗□0", "日": "日D"},
            normalization=Normalization(side=32),
            temperature=temperature,
            refusal_threshold=refusal_threshold,
            least_evidence=0.0,
        )
        self.calls: list[int] = []
        squares = [self.bundle.normalization(glyph(i)) for i in range(len(CHARACTERS))]
        self.templates = np.stack([s.ravel() / np.linalg.norm(s.ravel().astype(float)) for s in squares])

    def logits(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.calls.append(len(squares))
        flat = squares.reshape(len(squares), -1).astype(float)
        return (40 * flat / np.linalg.norm(flat, axis=1, keepdims=True) @ self.templates.T).astype(np.float32)


@pytest.fixture
def reader() -> TemplateReader:
    return TemplateReader()


@pytest.fixture
def samples() -> list[Sample]:
    """Three clean pictures of each of ten characters; then two signs of 山 and one of 水 that are labelled 永."""
    clean = [Sample(c, glyph(i), "clean.gnt", "1001") for i, c in enumerate(CHARACTERS) for _ in range(3)]
    wrong = [Sample("永", glyph(CHARACTERS.index(c)), "wrong.gnt", "") for c in "山山水"]
    return clean + wrong
