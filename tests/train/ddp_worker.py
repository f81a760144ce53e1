"""One process of tests/train/test_parallel.py: trains three nets and prints digests of its own weights.

Arguments: the folder of packs, a teacher's run folder, the folder for the runs. With "die" in place of the teacher the
second process kills itself in its third step.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import nn

from hanmo.nets.registry import NetConfig, register_net
from hanmo.train.config import AugmentConfig, DataConfig, DistillConfig, MethodConfig, OptimConfig, Recipe, TrainConfig
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes


@register_net("no-norms")
def no_norms(config: NetConfig, classes: int, side: int) -> nn.Module:
    """Batch norms see another batch when it is shared; without them the processes must compute the same."""
    layers = nn.Sequential()
    layers.add_module("conv", nn.Conv2d(1, config.width, 3, 2, 1))
    layers.add_module("act", nn.ReLU())
    layers.add_module("flat", nn.Flatten())
    layers.add_module("fc", nn.Linear(config.width * (side // 2) ** 2, classes))
    return layers


STILL = AugmentConfig(**{f.name: 0 for f in fields(AugmentConfig) if f.name != "elastic_cells"})


def recipe(packs: str, net: str, teacher: str = "") -> Recipe:
    at = MethodConfig(name="at", options={"layers": ["conv"]})
    methods = (MethodConfig(name="kd"), at, MethodConfig(name="mutual"))
    return Recipe(
        name="shared",
        data=DataConfig(train=f"{packs}/small-train", test=f"{packs}/small-test"),
        net=NetConfig(name=net, width=12),
        augment=STILL,
        optim=OptimConfig(learning_rate=2e-3, ema=0.9),
        train=TrainConfig(epochs=2, batch=16, seed=3),
        distill=DistillConfig(teachers=(teacher,), methods=methods) if teacher else None,
    )


def train(recipe: Recipe, out: Path, processes: Processes) -> str:
    """Train and return a digest of all weights and statistics."""
    trainer = Trainer(recipe, out, processes)
    trainer.run()
    tensors = trainer.state.net.state_dict().values()
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in tensors)).hexdigest()


def train_until_killed(recipe: Recipe, out: Path, processes: Processes) -> None:
    trainer = Trainer(recipe, out, processes)
    advance = trainer.advance

    def dying(*batch: Any) -> Any:
        if processes.rank == 1 and trainer.state.step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return advance(*batch)

    trainer.advance = dying  # type: ignore[method-assign]
    trainer.run()


def main(packs: str, teacher: str, out: str) -> None:
    processes = Processes.join("cpu")
    if teacher == "die":
        train_until_killed(recipe(packs, "no-norms"), Path(out), processes)
    for name, what in (
        ("plain", recipe(packs, "no-norms")),
        ("distilled", recipe(packs, "no-norms", teacher)),
        ("norms", recipe(packs, "resnet18")),
    ):
        print(name, train(what, Path(out, name), processes))
    processes.leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
