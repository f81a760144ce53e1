"""One net out of several that began alike: the mean of their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from hanmo.config import to_table
from hanmo.errors import CheckpointError
from hanmo.train.checkpoint import save_tensors
from hanmo.train.run import RECIPE, WEIGHTS, load_trained
from hanmo.train.shards import first_shard


def average_runs(runs: Sequence[str | Path], out: str | Path) -> Path:
    """Write the mean of the weights of finished ``runs`` into the folder ``out``; returns the file's path.

    Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing
    inference time", ICML 2022. It works for nets that went on from the same weights, one after another or each by
    itself; nothing of it works for nets that began at random. Integer buffers are the first run's. The mean of weights
    of few bits has more: average first, then train with ``weight_bits``. Raises :class:`CheckpointError` for fewer than
    two runs, for nets, charsets or normalisations that differ, and where ``out`` is a run or has weights.
    """
    file = Path(out) / WEIGHTS
    if len(runs) < 2:
        raise CheckpointError("an average needs at least two runs")
    if file.exists() or (Path(out) / RECIPE).exists() or first_shard(Path(out)):
        raise CheckpointError(f"{out}: has a run or weights already; take another folder")
    first, *others = trained = [load_trained(run) for run in runs]
    for run, other in zip(runs[1:], others, strict=True):
        for what in ("config", "charset", "normalization"):
            own, theirs = getattr(first, what), getattr(other, what)
            if what == "normalization":  # clean squares are the same in every version
                own = replace(own, version=theirs.version)
            if own != theirs:
                told = f"{theirs}, {own} in {runs[0]}" if what != "charset" else f"not that of {runs[0]}"
                raise CheckpointError(f"{run}: its {'net' if what == 'config' else what} is {told}; all must be alike")
    states = [one.net.state_dict() for one in trained]
    mean = {
        name: torch.stack([state[name] for state in states]).mean(0) if tensor.is_floating_point() else tensor
        for name, tensor in states[0].items()
    }
    header = {
        "net": to_table(first.config),
        "charset": str(first.charset),
        "normalization": max((one.normalization for one in trained), key=lambda n: n.version).as_dict(),
        "trained_on": list(dict.fromkeys(source for one in trained for source in one.trained_on)),
        "accuracy": {},
    }
    save_tensors(file, mean, header)
    return file
