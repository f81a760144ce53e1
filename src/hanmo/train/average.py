"""One net out of several that began alike: the mean of their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hanmo.config import to_table
from hanmo.data.pack import Pack
from hanmo.errors import CheckpointError, ConfigError
from hanmo.nets.fewbits import rounded, use_few_bits
from hanmo.train.checkpoint import save_tensors
from hanmo.train.run import RECIPE, WEIGHTS, TrainedNet, load_trained
from hanmo.train.shards import first_shard
from hanmo.train.statistics import move_statistics

MEASURED = 3000
"""Samples of a pack that the norms' statistics are measured on, at most."""


@dataclass(frozen=True, kw_only=True)
class AverageOptions:
    """``shares`` are what each run counts (none: all alike). ``weight_bits`` rounds the large layers of the mean as
    ``train.weight_bits`` does (0: not at all). With a pack ``statistics`` the norms' statistics move by
    ``statistics_share`` of the way to those of its samples (:func:`hanmo.train.statistics.move_statistics`).
    """

    shares: tuple[float, ...] = ()
    weight_bits: int = 0
    statistics: str | Path | None = None
    statistics_share: float = 0.6

    def __post_init__(self) -> None:
        if any(share <= 0 for share in self.shares):
            raise ConfigError(f"shares {', '.join(map(str, self.shares))}: all must be above 0; leave the run out")
        if self.weight_bits not in (0, *range(2, 8)):
            raise ConfigError(f"weight_bits {self.weight_bits}: 2 to 7, or 0 for free weights")
        if not 0 <= self.statistics_share <= 1:
            raise ConfigError(f"statistics_share {self.statistics_share}: 0 to 1")


def average_runs(runs: Sequence[str | Path], out: str | Path, options: AverageOptions | None = None) -> Path:
    """Write the mean of the weights of finished ``runs`` into the folder ``out``; returns the file's path.

    Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing
    inference time", ICML 2022; of a net and what it became in another training, the same, "Robust fine-tuning of
    zero-shot models", CVPR 2022: it keeps most of what either reads. It works for nets that went on from the same
    weights, one after another or each by itself; nothing of it works for nets that began at random. Integer buffers
    are the first run's. Raises :class:`CheckpointError` for fewer than two runs (one is enough where only its
    statistics move), for nets, charsets or normalisations that differ, and where ``out`` is a run or has weights;
    :class:`ConfigError` for other options than :class:`AverageOptions` takes.
    """
    options = options or AverageOptions()
    file = Path(out) / WEIGHTS
    if len(runs) < (1 if options.statistics else 2):
        raise CheckpointError("an average needs at least two runs")
    if options.shares and len(options.shares) != len(runs):
        raise ConfigError(f"{len(options.shares)} shares for {len(runs)} runs; one each")
    if file.exists() or (Path(out) / RECIPE).exists() or first_shard(Path(out)):
        raise CheckpointError(f"{out}: has a run or weights already; take another folder")
    first, *others = trained = [load_trained(run) for run in runs]
    for run, other in zip(runs[1:], others, strict=True):
        _require_alike(first, runs[0], other, run)
    net = first.net
    net.load_state_dict(_mean(trained, options.shares or (1.0,) * len(trained)))
    if options.weight_bits:
        use_few_bits(net, options.weight_bits)
        plain = load_trained(runs[0]).net
        plain.load_state_dict(rounded(net.state_dict(), options.weight_bits))
        net = plain
    if options.statistics:
        move_statistics(net, _squares(options.statistics, first), options.statistics_share)
    _save(file, net, trained)
    return file


def _require_alike(first: TrainedNet, run: str | Path, other: TrainedNet, others_run: str | Path) -> None:
    for what in ("config", "charset", "normalization"):
        own, theirs = getattr(first, what), getattr(other, what)
        if what == "normalization":  # clean squares are the same in every version
            own = replace(own, version=theirs.version)
        if own != theirs:
            told = f"{theirs}, {own} in {run}" if what != "charset" else f"not that of {run}"
            raise CheckpointError(
                f"{others_run}: its {'net' if what == 'config' else what} is {told}; all must be alike"
            )


def _mean(trained: Sequence[TrainedNet], shares: Sequence[float]) -> dict[str, Tensor]:
    states = [one.net.state_dict() for one in trained]
    counts = torch.tensor(shares) / sum(shares)
    return {
        name: torch.tensordot(counts, torch.stack([state[name] for state in states]), 1)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in states[0].items()
    }


def _squares(path: str | Path, trained: TrainedNet) -> Tensor:
    """Some of a pack's squares in random order, uint8 (N, S, S)."""
    pack = Pack.open(Path(path))
    pack.require(normalization=replace(trained.normalization, version=pack.normalization.version))
    chosen = np.random.default_rng(0).permutation(len(pack))[:MEASURED]
    return torch.from_numpy(np.asarray(pack.images)[chosen])


def _save(file: Path, net: nn.Module, trained: Sequence[TrainedNet]) -> None:
    header = {
        "net": to_table(trained[0].config),
        "charset": str(trained[0].charset),
        "normalization": max((one.normalization for one in trained), key=lambda n: n.version).as_dict(),
        "trained_on": list(dict.fromkeys(source for one in trained for source in one.trained_on)),
        "accuracy": {},
    }
    save_tensors(file, dict(net.state_dict()), header)
