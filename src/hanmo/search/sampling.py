"""Samplers and pruners by name. All are Optuna's."""

from __future__ import annotations

import hashlib
import importlib

import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler, TPESampler

from hanmo.search.config import SearchConfig

AT_RANDOM = 10
"""Trained trials before TPE begins to model; until then it draws at random."""


def quiet() -> None:
    """Leave the talking to us: Optuna logs every trial."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def require(config: SearchConfig) -> None:
    """:class:`ImportError` when the sampler lacks its package, which Optuna would notice in the second trial."""
    if config.sampler == "cma-es":
        importlib.import_module("cmaes")


def sampler(config: SearchConfig, number: int, in_vain: int) -> BaseSampler:
    """The sampler for the draw of that ``number``; its random numbers depend on the search's seed and the number alone.

    All else a sampler knows it reads from the trials before, so a search that goes on does not draw its first trials
    again; TPE (Bergstra et al., NeurIPS 2011) and random draw what they would have drawn without a stop. CMA-ES (Hansen
    2016) moves in the ranges; choices, which it has no distances for, are then drawn by TPE.
    TPE begins when enough draws were trained: the ``in_vain`` ones beyond the limits tell it little.
    """
    mixed = hashlib.sha256(f"{config.seed} {number}".encode()).digest()
    seed = int.from_bytes(mixed[:4], "little") >> 1
    if config.sampler == "random":
        return RandomSampler(seed=seed)
    tpe = TPESampler(seed=seed, n_startup_trials=AT_RANDOM + in_vain)
    if config.sampler == "tpe":
        return tpe
    return CmaEsSampler(seed=seed, independent_sampler=tpe, warn_independent_sampling=False)


def pruner(config: SearchConfig) -> BasePruner:
    """What stops a training: worse than the median of others after as many epochs, or not among the best quarter."""
    if config.prune == "no":
        return NopPruner()
    return MedianPruner() if config.prune == "median" else SuccessiveHalvingPruner()
