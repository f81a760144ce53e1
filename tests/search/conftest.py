"""A search of a few trainings of a second, on drawn characters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

RECIPE = """
name = "base"
[data]
train = "{packs}/small-train"
test = "{packs}/small-test"
[net]
width = 8
depths = [1, 1, 1, 1]
[optim]
learning_rate = 5e-3
ema = 0.9
[train]
epochs = 3
batch = 16
evaluate_every = 1
checkpoint_every = 0
"""
SEARCH = """
name = "search"
recipe = "{recipe}"
trial_changes = ["train.epochs=2"]
sampler = "{sampler}"
trials = {trials}
held_out = 0.2
prune = "no"
{more}
[[space]]
key = "optim.learning_rate"
low = 1e-3
high = 1e-2
log = true
[[space]]
key = "net.width"
low = 8
high = 16
step = 4
[[space]]
key = "net.depths.3"
low = 1
high = 2
"""
Run = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, drawn: Path) -> Write:
    """Write a search, of a recipe of five steps an epoch of which four are left to train on."""

    def make(*, sampler: str = "tpe", trials: int = 3, more: str = "", space: str = "") -> Path:
        recipe = tmp_path / "recipe.toml"
        recipe.write_text(RECIPE.format(packs=drawn), encoding="utf-8")
        path = tmp_path / "search.toml"
        text = SEARCH.format(recipe=recipe, sampler=sampler, trials=trials, more=more) + space
        path.write_text(text, encoding="utf-8")
        return path

    return make
