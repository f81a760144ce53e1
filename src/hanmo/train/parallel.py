"""One process or several under torchrun, behind the same few calls.

Gradients are averaged by one all-reduce of a flat buffer after the backward pass. No wrapper stands around the net,
so names in state dicts, hooks and torch.compile are the same in one process and in many.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


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
        """Join the group that torchrun describes in the environment; alone when it describes none."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        local = int(os.environ.get("LOCAL_RANK", "0"))
        chosen = torch.device(device or (f"cuda:{local}" if torch.cuda.is_available() else "cpu"))
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)
        if world == 1:
            return cls(device=chosen)
        if not dist.is_initialized():
            dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
        return cls(rank=dist.get_rank(), world=world, device=chosen)

    def average_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over the processes."""
        if self.world == 1:
            return
        parts = list(tensors)
        flat = torch.cat([t.reshape(-1).float() for t in parts])
        dist.all_reduce(flat)
        flat /= self.world
        for tensor, mean in zip(parts, torch.split(flat, [t.numel() for t in parts]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def average_gradients(self, modules: Iterable[nn.Module]) -> None:
        self.average_(p.grad for m in modules for p in m.parameters() if p.grad is not None)

    def average_buffers(self, net: nn.Module) -> None:
        """Norm statistics are gathered by each process on its own share; this makes them one."""
        self.average_(b for b in net.buffers() if b.is_floating_point())

    def barrier(self) -> None:
        if self.world > 1:
            dist.barrier()

    def leave(self) -> None:
        if self.world > 1 and dist.is_initialized():
            dist.destroy_process_group()
