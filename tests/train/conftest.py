"""A recipe that trains in a second, and the packs it names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from hanmo.nets.registry import NetConfig
from hanmo.train.config import AugmentConfig, DataConfig, OptimConfig, Recipe, TrainConfig


class MakeRecipe(Protocol):
    def __call__(self, **changes: Any) -> Recipe: ...


@pytest.fixture(scope="session")
def small(drawn: Path) -> MakeRecipe:
    """A recipe of four epochs of five steps; ``optim=...`` and the like replace single values of a section."""

    def make(**changes: Any) -> Recipe:
        recipe = Recipe(
            name="small",
            data=DataConfig(train=str(drawn / "small-train"), test=str(drawn / "small-test")),
            net=NetConfig(width=8),
            augment=AugmentConfig(cutout=0.1),
            optim=OptimConfig(learning_rate=5e-3, ema=0.9),
            train=TrainConfig(epochs=4, batch=16, seed=7, evaluate_every=1, checkpoint_every=2),
        )
        for section, values in changes.items():
            now = getattr(recipe, section)
            recipe = replace(recipe, **{section: replace(now, **values) if isinstance(values, dict) else values})
        return recipe

    return make
