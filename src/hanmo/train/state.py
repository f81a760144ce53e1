"""The state of a training: everything that a step changes, and therefore everything that a checkpoint holds."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from hanmo.distill import Distillation
from hanmo.errors import CheckpointError
from hanmo.train.checkpoint import (
    load_into,
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from hanmo.train.config import OptimConfig
from hanmo.train.optim import AveragedWeights, build_optimizer
from hanmo.train.parallel import Processes


class TrainState:
    """The net, the distillation methods, the optimiser, the averaged weights and the number of steps done.

    ``distillation`` is None for a training on labels alone; its methods may have weights of their own (connectors, a
    peer), which are trained with the net's. ``average`` is None where the recipe has ``optim.ema = 0``.
    """

    def __init__(self, net: nn.Module, distillation: Distillation | None, optim: OptimConfig) -> None:
        self.net, self.distillation = net, distillation
        # One optimiser for all that learns: connectors and peers of methods are trained with the net.
        self.learners: list[nn.Module] = [net] if distillation is None else [net, distillation]
        self._start_optimizer(optim)

    def _start_optimizer(self, optim: OptimConfig) -> None:
        self.optimizer = build_optimizer(self.learners, optim)
        self.average = AveragedWeights(self.net, optim.ema) if optim.ema else None
        self.step = 0

    def restart(self, net: nn.Module, distillation: Distillation | None, optim: OptimConfig) -> None:
        """Go back to step 0 with the weights of an untrained ``net`` and ``distillation`` of the same make.

        The weights are copied into the modules that are here already, because compiled code refers to those.
        """
        untrained: list[nn.Module] = [net] if distillation is None else [net, distillation]
        for learner, new in zip(self.learners, untrained, strict=True):
            learner.load_state_dict(new.state_dict())
        self._start_optimizer(optim)

    def weights(self) -> dict[str, Tensor]:
        """The state dict that is evaluated and kept at the end: the averaged weights, or else the net's own."""
        return self.average.state_dict(self.net) if self.average else dict(self.net.state_dict())

    def average_statistics(self, processes: Processes) -> None:
        """Replace the batch norms' statistics by their mean over all processes.

        Each process has seen only its own share of every batch, so the running means and variances differ.
        """
        # Gradients were averaged, so weights are equal everywhere; only statistics of norms differ.
        processes.average_(b for m in self.learners for b in m.buffers() if b.is_floating_point())
        if self.average:
            processes.average_(self.average.average.values())

    def save(self, folder: Path, net_name: str) -> Path:
        """Write ``folder/step-N.safetensors`` and return its path; raises :class:`StorageError`."""
        # One flat file: prefixes keep the four state dicts apart.
        tensors = _with_prefix("net.", self.net.state_dict())
        tensors |= _with_prefix("optimizer.", optimizer_tensors(self.optimizer))
        if self.distillation is not None:
            tensors |= _with_prefix("method.", self.distillation.state_dict())
        if self.average:
            tensors |= _with_prefix("average.", self.average.average)
        return save_checkpoint(folder, self.step, tensors, {"net": net_name})

    def load(self, path: Path) -> None:
        """Take everything from a checkpoint; raises :class:`CheckpointError` if damaged or of another net."""
        tensors, header = load_tensors(path)
        step = header.get("step")
        if not isinstance(step, int):
            raise CheckpointError(f"{path}: names no step, so it is not a checkpoint; remove it to go on from another")
        load_into(self.net, _without_prefix("net.", tensors), str(path))
        if self.distillation is not None:
            load_into(self.distillation, _without_prefix("method.", tensors), str(path))
        # After the weights: moments take the memory layout of their parameters.
        restore_optimizer(self.optimizer, _without_prefix("optimizer.", tensors))
        if self.average:
            self.average.load(_without_prefix("average.", tensors), str(path))
        self.step = step


def _with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
