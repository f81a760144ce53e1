"""The TOML file of a search: a recipe, the values of it that vary, and the budget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from hanmo.config import require_folder_name
from hanmo.errors import ConfigError

Number = int | float

FIXED = {
    "name": "every trial has the search's",
    "data.train": "trials on other data cannot be compared",
    "data.test": "trials on other data cannot be compared",
    "data.real": "trials on other data cannot be compared",
    "train.seed": "a lucky seed is no better recipe",
}
"""Keys of the recipe that may not vary, and why."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """The values that one ``key`` of the recipe may take.

    ``key``: written as for ``--set``; a number is an index of a list (``net.depths.3``).
    Either ``choices``, or a range from ``low`` to ``high``, both included: uniform, in multiples of ``step``, or
    uniform in the logarithm (``log``).

    Raises :class:`ConfigError` for keys that may not vary and for impossible ranges.
    """

    key: str
    choices: tuple[Any, ...] = ()
    low: Number | None = None
    high: Number | None = None
    log: bool = False
    step: Number | None = None

    def __post_init__(self) -> None:
        try:
            self._check()
        except ConfigError as error:
            raise ConfigError(f"space {self.key!r}: {error}") from None

    def _check(self) -> None:
        # Whole sections would contain keys that are fixed.
        if self.key in FIXED or self.key in ("data", "train", ""):
            raise ConfigError(f"may not vary: {FIXED.get(self.key, 'name one value of a section')}")
        if self.choices:
            if (self.low, self.high, self.step, self.log) != (None, None, None, False):
                raise ConfigError("has choices, so low, high, step and log have no place")
            # In pairs, because choices may be lists or tables, which a set cannot hold.
            if any(one == other for one, other in combinations(self.choices, 2)):
                raise ConfigError(f"a choice of {list(self.choices)} is there twice")
            return
        if self.low is None or self.high is None:
            raise ConfigError("name its choices, or low and high")
        if self.low >= self.high:
            raise ConfigError(f"from {self.low} to {self.high} is no range; low must be below high")
        if self.log and self.low <= 0:
            raise ConfigError(f"low {self.low} has no logarithm; start above 0")
        if self.step is not None and (self.log or not 0 < self.step <= self.high - self.low):
            raise ConfigError(f"step {self.step}: above 0, within the range, and not together with log")


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """A search.

    ``recipe``: the training that is varied. ``changes``: changes to it; ``trial_changes``: for the trials only.
    ``sampler``: how the values of a trial are chosen (:func:`hanmo.search.sampling.sampler`).
    ``swarm``: number of particles of the sampler ``pso``; None: :data:`hanmo.search.swarm.SWARM`.
    ``trials``, ``budget``: the search ends after so many trainings, or so many training images in total.
    ``objective``: trials are compared by top-1. ``held-out``: on the share ``held_out`` of the training pack, on which
    they do not train; ``test``: on the recipe's ``data.test``, which is then no longer an independent test.
    ``most_parameters``, ``most_macs``: larger nets are not trained.
    ``prune``: how trials that fall behind are stopped early, where they are evaluated on the way.

    Raises :class:`ConfigError` for impossible values, and for keys of the space that occur twice.
    """

    name: str
    recipe: str
    changes: tuple[str, ...] = ()
    trial_changes: tuple[str, ...] = ()
    sampler: Literal["tpe", "cma-es", "pso", "random"] = "tpe"
    # None and not a number: a search that was begun before this key existed is then still the same search.
    swarm: int | None = None
    trials: int = 30
    budget: int | None = None
    seed: int = 0
    objective: Literal["held-out", "test"] = "held-out"
    held_out: float = 0.1
    prune: Literal["median", "halving", "no"] = "median"
    most_parameters: int | None = None
    most_macs: int | None = None
    space: tuple[Space, ...]

    def __post_init__(self) -> None:
        require_folder_name(self.name)
        if not self.space:
            raise ConfigError("space needs at least one entry: a key and what it may be")
        for name in ("trials", "swarm", "budget", "most_parameters", "most_macs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} {value}: at least 1")
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"seed {self.seed}: 0 to 2^31 - 1")
        if not 0 < self.held_out < 1:
            raise ConfigError(f"held_out {self.held_out}: a share of the training pack, above 0 and below 1")
        _require_disjoint([space.key for space in self.space])
        if self.swarm is not None and self.sampler != "pso":
            raise ConfigError(f"swarm {self.swarm}: is for sampler 'pso'; leave it out")
        if self.sampler == "pso" and all(space.choices for space in self.space):
            raise ConfigError("sampler 'pso' moves in ranges of numbers; name at least one, or take 'tpe'")
        # With a single range Optuna's CMA-ES would silently leave it to the other sampler.
        if self.sampler == "cma-es" and sum(not space.choices for space in self.space) < 2:
            raise ConfigError("sampler 'cma-es' moves in ranges of numbers; name at least two, or take 'tpe'")


def _require_disjoint(keys: Iterable[str]) -> None:
    """Raise :class:`ConfigError` for a key that occurs twice or lies inside another."""
    # In sorted order a key comes before the keys inside it, so one direction is enough.
    for one, other in combinations(sorted(keys), 2):
        if one == other or other.startswith(f"{one}."):
            raise ConfigError(f"space {other!r}: is there twice, or is part of {one!r}")
