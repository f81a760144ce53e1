"""The page's own reader beside Python's: the same JavaScript that browsers run, run by node."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from hanmo.errors import ImageError
from hanmo.image import load
from hanmo.medians import load_medians
from hanmo.normalize import Normalization, Version
from hanmo.serve.site import STATIC
from hanmo.strokes import MAX_POINTS, MAX_STROKES, draw
from hanmo.synth.paper.page import PageConfig, write_page
from needs import NODE

Grey = NDArray[np.uint8]
Outcome = tuple[Grey, Grey, str | None] | tuple[str, str]
Ask = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GOLDEN = HERE.parent / "golden" / "normalize.txt"


@pytest.fixture(scope="module")
def node() -> str:
    return NODE.get()


@pytest.fixture(scope="module", params=get_args(Version))
def squares(request: pytest.FixtureRequest) -> Normalization:
    """How squares are made: each test runs with every version."""
    return Normalization(side=48, version=request.param)


@pytest.fixture(scope="module")
def javascript(node: str, squares: Normalization) -> Ask:
    """What the page's modules make of cases, see squares.mjs."""
    return partial(ask, node, squares)


def ask(node: str, squares: Normalization, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    settings = [str(squares.side), str(squares.margin), str(squares.version)]
    command = [node, str(HERE / "squares.mjs"), str(STATIC / "js" / "local"), *settings]
    ran = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    answers: list[dict[str, Any]] = json.loads(ran.stdout)
    return answers


def encoded(array: Grey) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def of_grey(grey: Grey) -> dict[str, Any]:
    return {"width": grey.shape[1], "height": grey.shape[0], "levels": encoded(grey)}


def python(squares: Normalization, make: Callable[[], Grey]) -> Outcome:
    """Grey picture, square and remark, or the error's class and text."""
    try:
        grey = make()
        inspected = squares.inspect(grey)
        return grey, inspected.square, inspected.remark
    except ImageError as error:
        return type(error).__name__, str(error)


def compare(answers: list[dict[str, Any]], expected: list[Outcome]) -> int:
    """Grey pictures must be equal; returns how many squares are not, none by more than a level in a few places."""
    unlike = 0
    for number, (answer, outcome) in enumerate(zip(answers, expected, strict=True)):
        if len(outcome) == 2:
            assert "message" in answer, (number, outcome)
            assert answer["message"] == str(outcome[1]).split(": ", 1)[-1] or answer["message"] == outcome[1], number
            continue
        grey, square, remark = outcome
        assert "square" in answer, (number, answer)
        assert answer["remark"] == remark, number
        shape = (answer["height"], answer["width"])
        levels = np.frombuffer(base64.b64decode(answer["levels"]), np.uint8).reshape(shape)
        np.testing.assert_array_equal(levels, grey, err_msg=str(number))
        got = np.frombuffer(base64.b64decode(answer["square"]), np.uint8).reshape(square.shape)
        apart = np.abs(got.astype(int) - square)
        # A level of difference is rounding, as in tests/golden: sums are added in another order on another processor.
        assert apart.max() <= 1, number
        assert (apart > 0).sum() <= 4, number
        unlike += bool(apart.any())
    return unlike


def hand(random: np.random.Generator) -> list[list[list[float]]]:
    """Strokes of any length and size, some with pressure, some of whole numbers, some a single dot."""
    scale = 10 ** random.uniform(-3, 4)
    pressed = random.random() < 0.5
    strokes = []
    for _ in range(random.integers(1, 8)):
        count = random.integers(1, 12)
        steps = random.normal(size=(count, 2)) * scale * random.choice([0.02, 0.3, 1])
        points = steps.cumsum(axis=0) + random.normal(size=2) * scale
        points = points.round() if random.random() < 0.3 else points
        pressure = random.random(count) if random.random() < 0.8 else np.full(count, 0.5)
        strokes.append((np.c_[points, pressure] if pressed else points).tolist())
    return strokes


def test_strokes_are_drawn_pixel_by_pixel_as_python_draws_them(javascript: Ask, squares: Normalization) -> None:
    random = np.random.default_rng(7)
    cases = [hand(random) for _ in range(300)]
    cases += [[stroke.tolist() for stroke in load_medians().of(character)] for character in "永书翰墨一凸"]
    expected = [python(squares, lambda strokes=strokes: draw(strokes)) for strokes in cases]  # type: ignore[misc]
    assert compare(javascript([{"strokes": strokes} for strokes in cases]), expected) == 0


def test_impossible_strokes_are_refused_in_the_same_words(javascript: Ask, squares: Normalization) -> None:
    cases: list[Any] = [
        [],
        [[]],
        [[[1]]],
        [[[1, 2, 3, 4]]],
        [[[0, 0, 2]]],
        [[[0, 0], [1, 1, 1]]],
        [[[-1.7e308, 0], [1.7e308, 0]]],
        [[[0, 0]]] * (MAX_STROKES + 1),
        [[[0, 0]] * (MAX_POINTS + 1)],
    ]
    answers = javascript([{"strokes": strokes} for strokes in cases])
    expected = [python(squares, lambda strokes=strokes: draw(strokes)) for strokes in cases]  # type: ignore[misc]
    assert all(isinstance(outcome[0], str) for outcome in expected)
    compare(answers, expected)
    codes = {"ImageError": "unusable_picture", "ImageTooLargeError": "picture_too_large"}
    assert [answer["code"] for answer in answers] == [codes[str(outcome[0])] for outcome in expected]


def pictures(random: np.random.Generator) -> list[Grey]:
    """Noise, boxes on darkened paper with dust, and enlarged handwriting; some bright on dark, some blank."""
    made = []
    for number in range(200):
        height, width = random.integers(1, 120, 2)
        if number % 3 == 0:
            grey = random.integers(0, 256, (height, width)).astype(np.uint8)
        elif number % 3 == 1:
            grey = np.full((height, width), 255 - random.integers(0, 60), np.uint8)
            y, x = random.integers(0, height), random.integers(0, width)
            grey[y : y + random.integers(1, 40), x : x + random.integers(1, 40)] = random.integers(0, 255)
            grey[random.random((height, width)) < 0.003] = 0
        else:
            grey = np.array(Image.fromarray(draw(hand(random))).resize((int(width) + 2, int(height) + 2)))
        made.append(255 - grey if random.random() < 0.4 else grey)
    return made


def test_squares_are_those_of_python(javascript: Ask, squares: Normalization) -> None:
    random = np.random.default_rng(3)
    given = [np.asarray(load(path)) for path in sorted((ROOT / "examples").iterdir())]
    given += pictures(random)
    expected = [python(squares, lambda grey=grey: load(grey)) for grey in given]  # type: ignore[misc]
    assert compare(javascript([of_grey(grey) for grey in given]), expected) <= len(given) // 50


def pages(count: int, sides: tuple[int, ...]) -> list[Grey]:
    """Drawn characters on pages that spoil them, some bright on dark, some blank, some cut to a strip."""
    random = np.random.default_rng(11)
    made = []
    for number in range(count):
        side = sides[number % len(sides)]
        drawn = Image.fromarray(255 - draw(hand(random))).resize((64, 64))
        strokes = np.asarray(drawn) if number % 10 else np.zeros((64, 64), np.uint8)
        batch = torch.from_numpy(np.stack([strokes] + [np.rot90(strokes, turn).copy() for turn in (1, 2)]))
        keys = torch.arange(3 * number, 3 * number + 3)
        page = write_page(batch, keys, PageConfig(clean=0), side)[0].numpy()
        page = page[: side * 2 // 3] if number % 7 == 3 else page
        made.append(255 - page if number % 5 == 4 else page)
    return made


def test_squares_of_photographed_pages_are_those_of_python(javascript: Ask, squares: Normalization) -> None:
    given = pages(60, (40, 59, 61, 96, 97, 130, 200, 300))
    expected = [python(squares, partial(load, grey)) for grey in given]
    assert any(len(outcome) == 2 for outcome in expected) or squares.version == 1
    assert compare(javascript([of_grey(grey) for grey in given]), expected) <= 2


def test_squares_are_those_recorded_for_good(node: str, squares: Normalization) -> None:
    drawn = {"tree": tree(), "dash": dash()}
    answers = ask(node, Normalization(side=16, margin=1, version=squares.version), [of_grey(g) for g in drawn.values()])
    blocks = GOLDEN.read_text(encoding="utf-8").split("\n\n")
    for name, answer in zip(drawn, answers, strict=True):
        block = next(b for b in blocks if b.startswith(f"fit {name} version {squares.version}\n"))
        recorded = [list(bytes.fromhex(row)) for row in block.strip().splitlines()[1:]]
        got = np.frombuffer(base64.b64decode(answer["square"]), np.uint8).reshape(16, 16)
        np.testing.assert_array_equal(got, recorded, err_msg=name)


def tree() -> Grey:
    """As in tests/test_normalize.py."""
    picture = np.repeat(np.linspace(250, 225, 24).astype(np.uint8)[None], 30, 0)
    picture[9:11, 2:22] = 30
    picture[3:28, 11:13] = 50
    for i in range(9):
        picture[11 + i, 10 - i : 12 - i] = picture[11 + i, 12 + i : 14 + i] = 70
    return picture


def dash() -> Grey:
    """As in tests/test_normalize.py."""
    picture = np.full((9, 31), 255, np.uint8)
    picture[3:6, 2:29] = 120
    picture[4, 3:28] = 0
    return picture


def test_transparency_is_laid_over_white(javascript: Ask, squares: Normalization) -> None:
    random = np.random.default_rng(5)
    given = [random.integers(0, 256, (*random.integers(2, 60, 2), 4)).astype(np.uint8) for _ in range(60)]
    for rgba in given[::3]:
        rgba[..., :3] = 255  # white on nothing: the opaque part is the ink
    cases = [{"width": a.shape[1], "height": a.shape[0], "rgba": encoded(a)} for a in given]
    assert compare(javascript(cases), [python(squares, lambda a=a: load(a)) for a in given]) <= 1  # type: ignore[misc]
