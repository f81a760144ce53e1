"""Weight averaging ("model soups"): one net from several that were fine-tuned from the same weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hanmo.data.pack import Pack
from hanmo.errors import ArgumentError, CheckpointError, RunError
from hanmo.nets.quantization import quantize_weights
from hanmo.train.run import RECIPE, WEIGHTS, TrainedNet, load_trained, write_weights
from hanmo.train.shards import first_shard
from hanmo.train.statistics import move_statistics

MEASURED = 3000
"""At most so many samples of a pack are used to measure the norms' statistics; more change them very little."""


@dataclass(frozen=True, kw_only=True)
class AverageOptions:
    """How runs are averaged.

    ``shares`` are the weights of the runs in the mean (empty: all equal). ``weight_bits`` rounds the large layers of
    the mean as ``train.weight_bits`` does (0: no rounding). With a pack ``statistics`` the norms' statistics move
    ``statistics_share`` of the way to those of its samples (:func:`hanmo.train.statistics.move_statistics`).
    """

    shares: tuple[float, ...] = ()
    weight_bits: int = 0
    statistics: str | Path | None = None
    statistics_share: float = 0.6

    def __post_init__(self) -> None:
        if not all(0 < share < math.inf for share in self.shares):
            raise ArgumentError(f"shares {', '.join(map(str, self.shares))}: all must be above 0; leave the run out")
        if self.weight_bits not in (0, *range(2, 8)):
            raise ArgumentError(f"weight_bits {self.weight_bits}: 2 to 7, or 0 for free weights")
        if not 0 <= self.statistics_share <= 1:
            raise ArgumentError(f"statistics_share {self.statistics_share}: 0 to 1")


def average_runs(runs: Sequence[str | Path], out: str | Path, options: AverageOptions | None = None) -> Path:
    """Write the mean of the weights of finished ``runs`` into the folder ``out``; returns the file's path.

    Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing
    inference time", ICML 2022. For a net and its fine-tuned version: Wortsman et al., "Robust fine-tuning of zero-shot
    models", CVPR 2022; the mean reads most of what either reads. It works only for nets that were trained on from the
    same weights, not for nets that were initialised apart. Integer buffers are taken from the first run. The sources
    of the pack ``statistics`` are recorded with those of the runs.

    Raises :class:`ArgumentError` for fewer than two runs (one is enough with ``statistics``) and for another number of
    shares than of runs, :class:`RunError` where ``out`` has a run or weights already, :class:`CheckpointError` for
    nets, charsets or normalisations that differ, :class:`PackError` for the pack.
    """
    options = options or AverageOptions()
    file = Path(out) / WEIGHTS
    if len(runs) < (1 if options.statistics else 2):
        raise ArgumentError("an average needs at least two runs")
    if options.shares and len(options.shares) != len(runs):
        raise ArgumentError(f"{len(options.shares)} shares for {len(runs)} runs; one each")
    if file.exists() or (Path(out) / RECIPE).exists() or first_shard(Path(out)):
        raise RunError(f"{out}: has a run or weights already; take another folder")
    first, *others = trained = [load_trained(run) for run in runs]
    for run, other in zip(runs[1:], others, strict=True):
        _require_alike(first, runs[0], other, run)
    # The first net becomes the mean; its own weights are not needed any more.
    net = first.net
    net.load_state_dict(_mean(trained, options.shares or (1.0,) * len(trained)))
    # The mean of weights on few levels lies between levels, so it has to be rounded again.
    if options.weight_bits:
        quantize_weights(net, options.weight_bits)
    sources = [source for one in trained for source in one.trained_on]
    if options.statistics:
        pack = _fitting(options.statistics, first)
        # At random, because packs may be in the order of classes; seed 0, so that the same runs give the same mean.
        chosen = np.random.default_rng(0).permutation(len(pack))[:MEASURED]
        move_statistics(net, torch.from_numpy(np.asarray(pack.images)[chosen]), options.statistics_share)
        sources += [f"statistics of the norms: {source}" for source in pack.sources]
    write_weights(
        file,
        net.state_dict(),
        config=first.config,
        charset=first.charset,
        groups=first.groups,
        normalization=max((one.normalization for one in trained), key=lambda n: n.version),
        trained_on=list(dict.fromkeys(sources)),  # each source once, in the order of the runs
        accuracy={},
    )
    return file


def _require_alike(first: TrainedNet, first_run: str | Path, other: TrainedNet, other_run: str | Path) -> None:
    for what in ("config", "charset", "normalization"):
        own, theirs = getattr(first, what), getattr(other, what)
        if what == "normalization":  # clean squares are nearly alike in all versions
            own = replace(own, version=theirs.version)
        if own != theirs:
            difference = f"{theirs}, {own} in {first_run}" if what != "charset" else f"not that of {first_run}"
            raise CheckpointError(
                f"{other_run}: its {'net' if what == 'config' else what} is {difference}; all must be alike"
            )


def _mean(trained: Sequence[TrainedNet], shares: Sequence[float]) -> dict[str, Tensor]:
    states = [one.net.state_dict() for one in trained]
    # Shares sum to 1. Integer buffers (numbers of batches seen) have no useful mean.
    counts = torch.tensor(shares) / sum(shares)
    return {
        name: torch.tensordot(counts, torch.stack([state[name] for state in states]), 1)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in states[0].items()
    }


def _fitting(path: str | Path, trained: TrainedNet) -> Pack:
    """Open a pack whose squares are normalised as the net's are; the version may differ."""
    pack = Pack.open(Path(path), verify=True)
    pack.require(normalization=replace(trained.normalization, version=pack.normalization.version))
    return pack
