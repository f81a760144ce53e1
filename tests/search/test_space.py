"""Ranges and places of a search's space."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from hanmo.errors import ConfigError
from hanmo.search.config import Space
from hanmo.search.space import Drawing, with_settings

BASE: dict[str, Any] = {"net": {"dropout": 0.0, "width": 16, "depths": [2, 2, 2, 2]}}


@pytest.mark.parametrize(
    ("space", "ends"),
    [
        (Space(key="net.dropout", low=0, high=1, step=0.3), FloatDistribution(0.0, 0.9, step=0.3)),
        (Space(key="net.dropout", low=0.1, high=0.5, step=0.2), FloatDistribution(0.1, 0.5, step=0.2)),
        (Space(key="net.width", low=8, high=31, step=8), IntDistribution(8, 24, step=8)),
    ],
)
def test_the_last_step_ends_at_or_before_the_upper_end(space: Space, ends: Any) -> None:
    assert Drawing([space], BASE).distributions[space.key] == ends


def test_places_inside_lists_and_places_that_are_none() -> None:
    assert with_settings(BASE, {"net.depths.3": 1})["net"]["depths"] == [2, 2, 2, 1]
    assert BASE["net"]["depths"] == [2, 2, 2, 2]
    for key in ("net.depths.0.x", "net.depths.0.x.y", "net.width.x"):
        with pytest.raises(ConfigError, match=f"space '{key}': '(0|width)' is a value of the recipe"):
            with_settings(BASE, {key: 1})


def test_choices_are_what_toml_and_json_share() -> None:
    with pytest.raises(ConfigError, match=r"space 'net.width': choices are words"):
        Drawing([Space(key="net.width", choices=(date(2020, 1, 1), 8))], BASE)
