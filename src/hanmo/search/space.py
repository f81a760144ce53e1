"""From the space of a search to Optuna's distributions, and from sampled values back to recipes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hanmo.config import from_table
from hanmo.errors import ConfigError
from hanmo.search.config import Space
from hanmo.train.config import Recipe

Table = dict[str, Any]
Settings = dict[str, Any]
"""Key of the space -> value in a recipe."""


def with_settings(table: Table, settings: Mapping[str, Any]) -> Table:
    """A copy of a recipe's tables with other values. Raises :class:`ConfigError` for a key that does not exist."""
    # Trials start from the same tables: what one changes must not reach the next.
    table = copy.deepcopy(table)
    for key, value in settings.items():
        *path, last = key.split(".")
        parent: Any = table
        for part in path:
            # One step along the path: into a list by number, into a table by name. A missing section is made.
            parent = parent[_index(parent, part, key)] if isinstance(parent, list) else parent.setdefault(part, {})
            if not isinstance(parent, dict | list):
                raise ConfigError(f"space {key!r}: {part!r} is a value of the recipe, with nothing inside")
        parent[_index(parent, last, key) if isinstance(parent, list) else last] = value
    return table


def _index(values: Sequence[Any], part: str, key: str) -> int:
    if not part.isdecimal() or int(part) >= len(values):
        raise ConfigError(f"space {key!r}: the recipe's list has entries 0 to {len(values) - 1}, not {part!r}")
    return int(part)


class Drawing:
    """The distributions that the sampler draws from, for ``spaces`` around the recipe with the tables ``base``.

    Raises :class:`ConfigError` for a range or choice that no distribution can express.
    """

    def __init__(self, spaces: Sequence[Space], base: Table) -> None:
        self.spaces = {space.key: space for space in spaces}
        self.base = base
        self.distributions = {space.key: _distribution(space, base) for space in spaces}

    def settings(self, drawn: Mapping[str, Any]) -> Settings:
        """Sampled values as values of the recipe."""
        # Choices were given to Optuna as JSON, see _distribution().
        return {key: json.loads(value) if self.spaces[key].choices else value for key, value in drawn.items()}

    def each_alone(self) -> Iterator[Recipe]:
        """The recipe with every choice and both ends of every range, one change at a time.

        Raises :class:`ConfigError` for values that the recipe refuses, naming the key.
        """
        for key, space in self.spaces.items():
            distribution = self.distributions[key]
            if isinstance(distribution, FloatDistribution | IntDistribution):
                # Between two ends that are possible, the values are taken to be possible, too.
                values: Sequence[Any] = (distribution.low, distribution.high)
            else:
                values = space.choices
            for value in values:
                try:
                    yield from_table(with_settings(self.base, {key: value}), Recipe, where="the recipe")
                except ConfigError as error:
                    message = str(error)
                    named = message if message.startswith("space ") else f"space {key!r}: {message}"
                    raise ConfigError(named) from error


def _distribution(space: Space, base: Table) -> BaseDistribution:
    if space.choices:  # as JSON, because Optuna's choices cannot be lists or tables
        try:
            return CategoricalDistribution([json.dumps(choice, ensure_ascii=False) for choice in space.choices])
        except TypeError as error:
            raise ConfigError(f"space {space.key!r}: choices are words, numbers, lists or tables ({error})") from error
    low, high, step = space.low, space.high, space.step
    assert low is not None
    assert high is not None
    if step is not None:  # high becomes the last step at or below it; decimals, because 0.1 is no exact float
        low_, step_ = Decimal(str(low)), Decimal(str(step))
        last = low_ + (Decimal(str(high)) - low_) // step_ * step_
        high = int(last) if last == last.to_integral_value() and isinstance(high, int) else float(last)
    numbers = [number for number in (low, high, step) if number is not None]
    if _is_whole(space, base):
        if not all(isinstance(number, int) for number in numbers):
            raise ConfigError(f"space {space.key!r}: whole numbers are needed, not {', '.join(map(str, numbers))}")
        return IntDistribution(int(low), int(high), log=space.log, step=int(step or 1))
    return FloatDistribution(float(low), float(high), log=space.log, step=None if step is None else float(step))


def _is_whole(space: Space, base: Table) -> bool:
    """Whether values are whole numbers: as the recipe's value is, or where it has none, as the ends of the range."""
    value: Any = base
    # The recipe's own value at this key, None where it has none.
    for part in space.key.split("."):
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, int | float):
        return isinstance(value, int)
    return all(isinstance(number, int) for number in (space.low, space.high))
