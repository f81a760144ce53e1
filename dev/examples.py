"""The pictures in examples/, for the two demos: their paths, what they show, and which were read wrongly."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hanmo import Prediction

TRUE_CHARACTERS = "永山水马书月翰墨"
"""The characters on the pictures, in the order of the pictures' names."""


def list_pictures() -> list[str]:
    """The paths of the pictures, relative to the folder of the repository, which must be the current one."""
    return sorted(str(path) for path in Path("examples").glob("[0-9]*"))


def list_errors(answers: Iterable[Prediction]) -> list[str]:
    """For each picture that was read wrongly, its true character and the answer: ``永 as 水``."""
    pairs = zip(TRUE_CHARACTERS, answers, strict=True)
    return [f"{true} as {answer.character}" for true, answer in pairs if true != answer.character]
