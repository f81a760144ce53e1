"""Compiles the step and measures its speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

from hanmo.train.objective import Objective

P = ParamSpec("P")
T = TypeVar("T")

LOG_SECONDS = 2.0
"""A training record is written about this often. Not every step: reading the loss waits for the device."""


def compiled(objective: Objective, mode: str, device: torch.device) -> Callable[..., tuple[Tensor, dict[str, Tensor]]]:
    """The objective through torch.compile, or as it is, as :class:`TrainConfig` says."""
    if not _is_compiled(mode, device):
        return objective
    if mode == "no-graphs":
        return torch.compile(objective)
    # Small nets on small pictures: launching kernels one by one can take longer than running them. CUDA graphs launch
    # all at once.
    computed = torch.compile(objective, mode="reduce-overhead")

    def compute(*inputs: Any) -> tuple[Tensor, dict[str, Tensor]]:
        # CUDA graphs reuse the memory of their outputs; this tells them that those of the last step are done with.
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        result: tuple[Tensor, dict[str, Tensor]] = computed(*inputs)
        return result

    return compute


def compiled_alone(function: Callable[P, T], mode: str, device: torch.device) -> Callable[P, T]:
    """A function beside the objective, for inputs of one shape: compiled as the objective is, without CUDA graphs."""
    return torch.compile(function, dynamic=False) if _is_compiled(mode, device) else function


def precision_of(mode: str, device: torch.device) -> torch.dtype:
    """The number format for ``train.precision`` (:class:`TrainConfig`) on a device."""
    return torch.bfloat16 if mode == "bf16" or (mode == "auto" and device.type == "cuda") else torch.float32


def _is_compiled(mode: str, device: torch.device) -> bool:
    return mode != "no" and (mode != "auto" or device.type == "cuda")


def wait_for(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        # A GPU works behind the program: without waiting, only the time to hand over its work would be measured.
        torch.cuda.synchronize(device)


class Speedometer:
    """Images a second between two logs. The median leaves out the first interval, in which code is compiled."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.started = device, time.perf_counter()
        self.rates: list[float] = []
        self.restart()

    def restart(self) -> None:
        self.images, self.since = 0, time.perf_counter()

    def count(self, images: int) -> None:
        self.images += images

    def is_due(self) -> bool:
        return time.perf_counter() - self.since > LOG_SECONDS

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time within the block (an evaluation, a checkpoint) does not count as training."""
        wait_for(self.device)
        paused = time.perf_counter()
        yield
        # The start of the interval moves on by the time of the pause.
        self.since += time.perf_counter() - paused

    def rate(self) -> float:
        wait_for(self.device)
        rate = self.images / max(time.perf_counter() - self.since, 1e-9)
        self.rates.append(rate)
        self.restart()
        return rate

    def median(self) -> float:
        return float(np.median(self.rates[1:] or self.rates or [0.0]))

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started
