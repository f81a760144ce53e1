"""What the page that reads by itself answers, beside what Python answers to the same pictures and strokes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hanmo.medians import load_medians
from hanmo.occlusion import explain
from hanmo.recognizer import Recognizer

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").iterdir())
TOP = 10
Ask = Callable[..., Any]
BUILDS_APART = 0.005
"""The builds of ONNX Runtime round the quantised means of an int8 net differently."""


def same(result: Any, reader: Recognizer, source: Any) -> None:
    """The same verdict and nearly the same probabilities, each for the same character.

    Logits of an int8 net are often equal; which of several equal characters comes last among ten, nobody has promised.
    """
    prediction = reader.recognize(source, 200)
    by_character = {c.character: c.probability for c in prediction.candidates}
    expected = [c.probability for c in prediction.candidates[:TOP]]
    got = [c["probability"] for c in result["candidates"]]
    assert got == pytest.approx(expected, abs=BUILDS_APART)
    assert [by_character[c["character"]] for c in result["candidates"]] == pytest.approx(expected, abs=BUILDS_APART)
    distinct = [c.character for c in prediction.candidates[:TOP] if c.probability > 0.5]
    assert [c["character"] for c in result["candidates"][: len(distinct)]] == distinct
    assert (result["character"], result["reason"]) == (prediction.character, prediction.reason)
    assert result["refused"] == prediction.refused
    assert result["probability"] == pytest.approx(prediction.probability, abs=BUILDS_APART)


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_examples_are_read_as_python_reads_them(read: Ask, nano: Recognizer, path: Path) -> None:
    (result,) = read(path.read_bytes())
    same(result, nano, path)


def hand(random: np.random.Generator) -> list[list[list[float]]]:
    """A character of the table, its points shaken and pressed unevenly."""
    characters = load_medians().characters
    strokes = load_medians().of(characters[random.integers(len(characters))])
    return [
        np.c_[stroke + random.normal(size=stroke.shape) * 0.015, random.uniform(0.2, 0.9, len(stroke))].tolist()
        for stroke in strokes
    ]


def test_strokes_are_read_as_python_reads_them(read: Ask, nano: Recognizer) -> None:
    random = np.random.default_rng(11)
    cases = [hand(random) for _ in range(60)]
    results = read(*cases)
    for result, strokes in zip(results, cases, strict=True):
        same(result, nano, strokes)
    assert sum(result["refused"] for result in results) < 10
    assert len(read(cases[0], top=1)[0]["candidates"]) == 1


def test_scribbles_are_refused_as_python_refuses_them(read: Ask, nano: Recognizer) -> None:
    random = np.random.default_rng(2)
    cases = [[random.random((60, 2)).tolist()] for _ in range(8)]
    results = read(*cases)
    assert any(result["refused"] for result in results)
    for result, strokes in zip(results, cases, strict=True):
        same(result, nano, strokes)


def test_the_model_is_described(page: Any, nano: Recognizer) -> None:
    told = page.evaluate("reader.describe()")
    assert (told["name"], told["characters"]) == ("nano", len(nano.bundle.charset))
    assert told["limits"] == {"pixels": 2**24, "strokes": 256, "points": 5000}


@pytest.mark.parametrize("character", [None, "水"])
@pytest.mark.parametrize("path", [EXAMPLES[0], EXAMPLES[3], EXAMPLES[6]], ids=lambda path: path.stem)
def test_explanations_are_those_of_python(page: Any, nano: Recognizer, path: Path, character: str | None) -> None:
    told = page.evaluate(
        "([file, character]) => reader.explain({ file: blobOf(file) }, character)",
        [base64.b64encode(path.read_bytes()).decode(), character],
    )
    expected = explain(nano, path, character)
    assert told["character"] == expected.character
    assert told["probability"] == pytest.approx(expected.probability, abs=BUILDS_APART)
    assert base64.b64decode(told["square"]) == expected.square.tobytes()
    assert (told["side"], told["size"]) == (len(expected.square), len(expected.heat))
    np.testing.assert_allclose(told["heat"], expected.heat, rtol=0, atol=0.03)  # a mean may round the other way


def test_reading_does_not_wait_for_an_explanation(page: Any) -> None:
    first = page.evaluate("""async () => {
        const input = { strokes: [[[0, 5], [9, 5]], [[5, 0], [5, 9]]] };
        const explaining = reader.explain(input, null).then(() => "explained");
        const reading = reader.read([input]).then(() => "read");
        const first = await Promise.race([explaining, reading]);
        await explaining;
        return first;
    }""")
    assert first == "read"


def test_look_alikes_are_what_python_sees_in_the_model_glyph(page: Any, nano: Recognizer) -> None:
    for character in "永未":
        told = page.evaluate("(character) => reader.lookup(character)", character)
        glyph = [stroke.tolist() for stroke in load_medians().of(character)]
        np.testing.assert_array_equal(np.concatenate(told["strokes"]), np.concatenate(glyph))
        expected = [c for c in nano.recognize(glyph, 6).candidates if c.character != character][:4]
        assert [c["character"] for c in told["look_alikes"]] == [c.character for c in expected]
        for look_alike in told["look_alikes"]:
            assert len(look_alike["strokes"]) == len(load_medians().of(look_alike["character"]))


def test_an_unknown_character_is_refused(page: Any) -> None:
    for call in ("reader.lookup('A')", "reader.explain({strokes: [[[0, 0], [9, 0]]]}, 'A')"):
        assert page.evaluate(f"{call}.catch((error) => error.code)") == "unknown_character"


def test_a_call_that_nobody_waits_for_is_given_up(page: Any, read: Ask) -> None:
    given_up = page.evaluate("""async () => {
        const stop = new AbortController();
        const call = reader.read([{ strokes: [[[0, 0], [9, 0]]] }], { signal: stop.signal });
        stop.abort();
        return call.catch((error) => error.name);
    }""")
    assert given_up == "AbortError"
    assert read([[[0, 5], [9, 5]]])[0]["character"] == "一"
