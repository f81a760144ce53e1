"""Particle swarm optimisation (PSO) as an Optuna sampler.

Kennedy, Eberhart, "Particle swarm optimization", ICNN 1995, with the inertia of Shi, Eberhart, "A modified particle
swarm optimizer", 1998. A particle has a place x in the space of settings, a velocity v, and remembers its own best
place p; g is the best place of all particles. A move is

    v <- inertia v + cognitive r (p - x) + social r' (g - x),    x <- x + v

with new random numbers r and r' in [0, 1] for every axis. The space is a cube: each range goes from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

Place = NDArray[np.float64]

INERTIA, ATTRACTION = 0.7298, 1.49618
"""With these weights swarms come to rest: Clerc, Kennedy, "The particle swarm - explosion, stability, and convergence
in a multidimensional complex space", 2002. The cognitive and the social weight are equal."""

SWARM = 10
"""Particles, unless the search says otherwise: 30 trials are then three places of each."""


class _Particle:
    """One particle; ``best`` and ``value`` belong to its best trial, and are None and -inf before there is one."""

    def __init__(self) -> None:
        self.best: Place | None = None
        self.value = -math.inf
        self.place = self.velocity = np.zeros(0)

    def move(self, leader: Place | None, generator: np.random.Generator, axes: int) -> None:
        """The next place, on the way to the particle's own best place and to that of the ``leader``."""
        own, others = generator.random((2, axes))
        if self.best is None or leader is None:
            # It has no finished trial: it starts anew at a random place, at rest.
            self.place, self.velocity = generator.random(axes), np.zeros(axes)
            return
        velocity = (
            INERTIA * self.velocity
            + ATTRACTION * own * (self.best - self.place)
            + ATTRACTION * others * (leader - self.place)
        )
        self.place = np.clip(self.place + velocity, 0, 1)
        # A wall takes the velocity that leads into it; otherwise the particle would stay there for many moves.
        inside = (self.place > 0) & (self.place < 1)
        self.velocity = np.where(inside, velocity, 0)


def next_place(
    outcomes: Sequence[float | None], axes: int, particles: int, generator_of: Callable[[int], np.random.Generator]
) -> Place:
    """The place of proposal number ``len(outcomes)``, (axes,) in [0, 1].

    ``outcomes`` are the accuracies of all proposals before; None for those without one. Proposal n is a move of
    particle n modulo ``particles``, with the random numbers of ``generator_of(n)``. All moves are computed anew from
    these, so nothing has to be stored, and a search that was killed goes on as if it had not been. Particles move one
    after another, each with the newest best place of all (asynchronous PSO: Carlisle, Dozier, "An off-the-shelf PSO",
    2001).
    """
    swarm = [_Particle() for _ in range(particles)]
    leader, best = None, -math.inf
    for number, outcome in enumerate((*outcomes, None)):
        particle = swarm[number % particles]
        particle.move(leader, generator_of(number), axes)
        if outcome is None:
            continue
        if outcome > particle.value:
            particle.best, particle.value = particle.place, outcome
        if outcome > best:
            leader, best = particle.place, outcome
    return swarm[len(outcomes) % particles].place


def value_at(distribution: FloatDistribution | IntDistribution, place: float) -> float | int:
    """The value at a ``place`` in [0, 1] of a range. Steps and whole numbers have equal parts of it.

    With ``log`` these parts are equal in the logarithm of the value.
    """
    low, high, step = distribution.low, distribution.high, distribution.step
    if step is None:  # a range of all numbers
        if distribution.log:
            low, high = math.log(low), math.log(high)
            return min(max(math.exp(low + place * (high - low)), distribution.low), distribution.high)
        return low + place * (high - low)
    if distribution.log:  # Optuna has no logarithm with steps but that of whole numbers
        low, high = math.log(low - 0.5), math.log(high + 0.5)
        return min(max(round(math.exp(low + place * (high - low))), int(distribution.low)), int(distribution.high))
    count = round((high - low) / step) + 1
    value = low + min(int(place * count), count - 1) * step
    return int(value) if isinstance(distribution, IntDistribution) else min(float(value), float(high))


class SwarmSampler(BaseSampler):
    """Moves a swarm through the ranges of ``distributions``; ``others`` samples their choices, which have no distances.

    ``generator_of(n)``: the random numbers of proposal n. The swarm is computed anew from the finished trials
    (:func:`next_place`).
    """

    def __init__(
        self,
        distributions: Mapping[str, BaseDistribution],
        particles: int,
        generator_of: Callable[[int], np.random.Generator],
        others: BaseSampler,
    ) -> None:
        self.ranges = {
            name: distribution
            for name, distribution in distributions.items()
            if isinstance(distribution, FloatDistribution | IntDistribution)
        }
        self.particles, self.generator_of, self.others = particles, generator_of, others

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(self.ranges)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        before = [other for other in study.get_trials(deepcopy=False) if other.number < trial.number]
        place = next_place(outcomes_of(before), len(self.ranges), self.particles, self.generator_of)
        return {name: value_at(range_, float(x)) for (name, range_), x in zip(self.ranges.items(), place, strict=True)}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self.others.sample_independent(study, trial, param_name, param_distribution)


def outcomes_of(trials: Sequence[FrozenTrial]) -> list[float | None]:
    """The accuracy of every proposal among ``trials``, None without one.

    The repetition of an interrupted trial ("instead of") is no proposal of its own: it answers for that trial.
    """
    place_of: dict[int, int] = {}  # number of a trial -> which proposal it is
    outcomes: list[float | None] = []
    for trial in trials:
        repeated = trial.user_attrs.get("instead of")
        if repeated is None:
            outcomes.append(None)
        place_of[trial.number] = len(outcomes) - 1 if repeated is None else place_of[repeated]
        if trial.state == TrialState.COMPLETE:
            outcomes[place_of[trial.number]] = trial.value
    return outcomes
