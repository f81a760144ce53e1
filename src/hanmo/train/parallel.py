"""One process, or several under torchrun, with the same few calls.

Gradients are averaged by one all-reduce of a flat buffer after the backward pass. The net has no wrapper such as
DistributedDataParallel, so names in state dicts, hooks and torch.compile are the same in one process and in many. The
average does not overlap the backward pass: a compiled backward pass gives all gradients at its end.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hanmo.errors import DeviceError, WorkerError


def channels_last(net: nn.Module, device: torch.device) -> nn.Module:
    """The net on ``device`` with its weights laid out for tensor cores; in place."""
    return net.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process' ``rank`` among ``world`` and the ``device`` it works on."""

    rank: int = 0
    world: int = 1
    device: torch.device

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @classmethod
    def join(cls, device: str | None = None) -> Processes:
        """Join the group of processes that torchrun describes in the environment; without torchrun one process alone.

        ``device`` is ``cpu``, ``cuda`` (this process' GPU) or ``cuda:N``; None takes a GPU where there is one. Raises
        :class:`DeviceError` for a device that cannot be used.
        """
        world = int(os.environ.get("WORLD_SIZE", "1"))
        # torchrun's number of this process on this machine, and so of its GPU.
        local = int(os.environ.get("LOCAL_RANK", "0"))
        wanted = device or ("cuda" if torch.cuda.is_available() else "cpu")
        chosen = _usable(f"cuda:{local}" if wanted == "cuda" else wanted)
        if chosen.type == "cuda":
            # Before the group is joined: NCCL takes the current device, and all processes would share the first GPU.
            torch.cuda.set_device(chosen)
        if world == 1:
            return cls(device=chosen)
        if not dist.is_initialized():
            dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
        return cls(rank=dist.get_rank(), world=world, device=chosen)

    def average_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over the processes."""
        parts = list(tensors)
        if self.world == 1 or not parts:
            return
        # One message for all tensors: many small ones would each wait for the network.
        flat = torch.cat([t.reshape(-1).float() for t in parts])
        with self._together():
            dist.all_reduce(flat)
        flat /= self.world
        for tensor, mean in zip(parts, torch.split(flat, [t.numel() for t in parts]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def average_gradients(self, modules: Iterable[nn.Module]) -> None:
        """Replace all gradients by their means over the processes."""
        self.average_(p.grad for m in modules for p in m.parameters() if p.grad is not None)

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.world > 1:
            with self._together():
                dist.barrier()

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Around what all processes do at once: :class:`WorkerError` when one of them has ended."""
        try:
            yield
        except RuntimeError as error:  # as gloo reports it; under NCCL torchrun ends the others
            # "[place in the source] what happened. Advice ..."
            first = next(iter(str(error).strip().splitlines()), type(error).__name__)
            reason = first.rpartition("] ")[2].partition(". ")[0]
            raise WorkerError(
                f"process {self.rank} of {self.world} cannot reach the others ({reason}); see why one of them ended, "
                "then train on with --resume"
            ) from error

    def leave(self) -> None:
        """Leave the group at the end of the program."""
        if self.world > 1 and dist.is_initialized():
            dist.destroy_process_group()


def _usable(name: str) -> torch.device:
    """The device of this name, tried with an empty tensor; :class:`DeviceError` says why it cannot be used."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # an assertion where torch was built without CUDA
        reason = str(error).splitlines()[0]
        raise DeviceError(f"device {name!r} cannot be used ({reason}); take cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device {name!r} is not one hanmo trains on; take cpu, cuda or cuda:N")
    return device
