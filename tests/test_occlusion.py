from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hanmo.errors import ArgumentError, BlankImageError, CharsetError
from hanmo.medians import load_medians
from hanmo.occlusion import VISIBLE, explain, explain_square
from hanmo.probability import softmax
from hanmo.recognizer import Recognizer
from hanmo.strokes import draw

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def reader() -> Recognizer:
    return Recognizer("nano")


@pytest.mark.parametrize(("character", "stroke"), [("太", 3), ("玉", 4), ("犬", 3)])
def test_the_dot_that_tells_two_characters_apart_is_the_hottest(
    reader: Recognizer, character: str, stroke: int
) -> None:
    strokes = load_medians().of(character)
    found = explain(reader, strokes)
    assert found.character == character
    hottest = np.array(np.unravel_index(found.heat.argmax(), found.heat.shape))
    # Where the dot lies in the square: the square is the box of all strokes, the longer side filling it.
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (strokes[stroke] - (low + high) / 2) / (high - low).max() + 0.5
    middle = scaled.mean(axis=0)[::-1] * len(found.heat)
    assert np.abs(hottest + 0.5 - middle).max() < 2, "within two of twelve places"
    without = [s for n, s in enumerate(strokes) if n != stroke]
    assert reader.recognize(without).character != character, "and indeed it is what the character hangs on"


def test_ink_that_is_missing_for_another_character_speaks_against_it(reader: Recognizer) -> None:
    strokes = load_medians().of("太")
    against = explain(reader, strokes, "大")
    for_it = explain(reader, strokes, "太")
    rows, columns = np.divmod([for_it.heat.argmax(), against.heat.argmin()], len(against.heat))
    assert np.ptp(rows) <= 1, "what speaks for the one speaks against the other"
    assert np.ptp(columns) <= 1
    assert against.heat.min() < -1
    assert against.probability < 0.01 < for_it.probability


def test_the_heat_is_the_fall_of_the_logarithm(linear_bundle: Callable[..., Any], tmp_path: Path) -> None:
    """A net whose logits are sums of ink, and windows that lie apart: what each takes is known to the last digit."""
    side, temperature = 9, 2.0
    weights = np.zeros((side * side, 2), np.float32)
    weights[:, 1] = 0.01
    bundle = linear_bundle(tmp_path / "sums", weights, "一丨", temperature=temperature)
    square = np.zeros((side, side), np.uint8)
    square[1, 1], square[4, 7], square[7, 4] = 200, 100, VISIBLE - 1
    found = explain_square(Recognizer(bundle), square, "丨", size=3)
    ink = np.array([0, 200, 100, 0]) * -1 + int(square.sum())
    logarithms = np.log(softmax(np.stack([np.zeros(4), ink * 0.01], axis=1), temperature)[:, 1])
    falls = logarithms[0] - logarithms
    np.testing.assert_allclose(found.heat, [[falls[1], 0, 0], [0, 0, falls[2]], [0, 0, 0]], rtol=1e-5)
    assert found.probability == pytest.approx(np.exp(logarithms[0]))


def test_no_ink_no_heat_and_twice_the_same(reader: Recognizer) -> None:
    for path in sorted(EXAMPLES.iterdir()):
        found, again = explain(reader, path), explain(reader, path)
        side, size = len(found.square), len(found.heat)
        cells = found.square.reshape(size, side // size, size, side // size).max(axis=(1, 3))
        assert found.heat.shape == (12, 12)
        assert not found.heat[cells < VISIBLE].any()
        assert found.heat.max() > 0
        np.testing.assert_array_equal(found.heat, again.heat)
        assert found.character == reader.recognize(path).candidates[0].character
        assert found.probability == pytest.approx(reader.recognize(path).probability)


@pytest.mark.parametrize("size", [1, 5, 7, 24])
def test_any_size_up_to_the_side(reader: Recognizer, size: int) -> None:
    assert explain(reader, load_medians().of("大"), size=size).heat.shape == (size, size)


def test_what_cannot_be_explained(reader: Recognizer) -> None:
    strokes = load_medians().of("大")
    for size in (0, -1, 49):
        with pytest.raises(ArgumentError, match="1 to 48"):
            explain(reader, strokes, size=size)
    for unknown in ("獸", "", "大小", "\ud800"):
        with pytest.raises(CharsetError, match="3755 characters of nano, which takes this picture for 大"):
            explain(reader, strokes, unknown)
    with pytest.raises(BlankImageError):
        explain(reader, np.full((9, 9), 255, np.uint8))
    with pytest.raises(ArgumentError):
        explain_square(reader, draw(strokes))
