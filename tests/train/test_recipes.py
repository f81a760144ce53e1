"""The recipes that are shipped."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from hanmo.config import load_toml
from hanmo.distill import build_method
from hanmo.nets.registry import build_net, count_parameters
from hanmo.train.config import Recipe

RECIPES = sorted(Path(str(files("hanmo") / "recipes")).glob("*/*.toml"))
OTHERS = ("bench", "search", "pso", "synth", "fonts", "ppocr")
EXPERIMENTS = [path for path in RECIPES if not path.stem.startswith(OTHERS)]


def test_there_are_some() -> None:
    assert {"teacher", "student", "paper"} <= {path.stem for path in EXPERIMENTS}


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_recipe_can_be_begun(path: Path) -> None:
    recipe = load_toml(path, Recipe)
    assert recipe.name == path.stem, "runs/NAME is where the others look for it"
    for method in recipe.distill.methods if recipe.distill else ():
        build_method(method.name, method.options)
    if recipe.name == "paper":
        assert round(count_parameters(build_net(recipe.net, 100)) / 1e6, 1) <= 11.3
