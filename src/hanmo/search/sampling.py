"""Samplers and pruners by name; all but the particle swarm are from Optuna."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler, TPESampler

from hanmo.search.config import SearchConfig
from hanmo.search.swarm import SWARM, SwarmSampler

AT_RANDOM = 10
"""Trained trials before TPE starts to model results; until then it samples at random. Optuna's default."""


def quiet() -> None:
    """Turn off Optuna's log of every trial; the command line prints them itself."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def require(config: SearchConfig) -> None:
    """:class:`ImportError` when the sampler lacks its package, which Optuna would notice in the second trial."""
    if config.sampler == "cma-es":
        importlib.import_module("cmaes")


def sampler(
    config: SearchConfig, number: int, untrained: int, distributions: Mapping[str, BaseDistribution]
) -> BaseSampler:
    """The sampler of trial ``number``. Its random numbers depend only on the search's seed and the number.

    Everything else it reads from the earlier trials. So a resumed search does not repeat its first trials, and TPE
    (Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011), the particle swarm
    (:mod:`hanmo.search.swarm`) and random sampling continue as if there had been no stop. CMA-ES (Hansen, "The CMA
    Evolution Strategy: A Tutorial", 2016) and the swarm sample the ranges; choices have no distances, so TPE samples
    these. ``untrained`` is the number of trials that were refused or repeated: they say little about accuracy, so they
    do not count towards :data:`AT_RANDOM`.
    """
    seed = _seed(config, number)
    if config.sampler == "random":
        return RandomSampler(seed=seed)
    # TPE counts refused and repeated trials as trained ones; its random phase is made longer by as many.
    tpe = TPESampler(seed=seed, n_startup_trials=AT_RANDOM + untrained)
    if config.sampler == "tpe":
        return tpe
    if config.sampler == "pso":
        particles = config.swarm or SWARM
        return SwarmSampler(distributions, particles, lambda n: np.random.default_rng(_seed(config, n)), tpe)
    return CmaEsSampler(seed=seed, independent_sampler=tpe, warn_independent_sampling=False)


def _seed(config: SearchConfig, number: int) -> int:
    digest = hashlib.sha256(f"{config.seed} {number}".encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1  # 31 bits, as numpy's seeds allow


def pruner(config: SearchConfig) -> BasePruner:
    """When to stop a trial early: below the median of the others after as many epochs, or not in the best quarter."""
    if config.prune == "no":
        return NopPruner()
    return MedianPruner() if config.prune == "median" else SuccessiveHalvingPruner()
