"""The pictures in examples/ are those that dev/draw_examples.py draws, and hanmo can look at all of them."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hanmo.config import load_toml
from hanmo.image import load
from hanmo.normalize import Normalization
from hanmo.synth.recipe import SynthRecipe

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def examples() -> tuple[Any, ...]:
    return tuple(runpy.run_path(str(ROOT / "dev" / "draw_examples.py"))["EXAMPLES"])


def test_eight_pictures_of_eight_demo_characters(examples: tuple[Any, ...]) -> None:
    charset = load_toml("@synth-demo", SynthRecipe).charset()
    assert sorted(e.name for e in examples) == sorted(p.name for p in (ROOT / "examples").iterdir())
    assert len({e.character for e in examples}) == 8
    assert all(e.character in charset for e in examples)


def test_the_pictures_are_as_the_tool_draws_them(examples: tuple[Any, ...]) -> None:
    for example in examples:
        with Image.open(ROOT / "examples" / example.name) as picture:
            kept = np.asarray(picture.convert("RGBA"), np.int16)
        drawn = np.asarray(example.draw().convert("RGBA"), np.int16)
        # Not to the last level: another CPU may round an exponential differently, and one picture is a JPEG.
        assert np.abs(kept - drawn).mean() < 4, example.name


def test_each_becomes_a_square_of_strokes(examples: tuple[Any, ...]) -> None:
    for example in examples:
        square = Normalization()(load(ROOT / "examples" / example.name))
        assert 0.04 < (square > 127).mean() < 0.3, example.name
        assert (square < 64).mean() > 0.6, example.name
