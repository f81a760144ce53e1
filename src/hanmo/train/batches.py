"""Shuffled batches of training data on the device, and packs as such data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hanmo.charset import Charset
from hanmo.data.pack import Pack
from hanmo.errors import CharsetError, ConfigError
from hanmo.normalize import Normalization
from hanmo.train.parallel import Processes
from hanmo.train.streaming import streamed

SHARE_OF_MEMORY = 0.5
"""A pack larger than this share of the free GPU memory stays in the memory map and is streamed batch by batch.

The other half is for the nets, their gradients and activations.
"""
_CPU = torch.device("cpu")


class DataInfo(Protocol):
    """The description of a data set, which a run records: a :class:`Pack`, or the recipe of drawn samples.

    ``members`` are the characters of each class that stands for several (:mod:`hanmo.charset.groups`).
    """

    @property
    def charset(self) -> Charset: ...
    @property
    def normalization(self) -> Normalization: ...
    @property
    def sources(self) -> tuple[str, ...]: ...
    @property
    def digest(self) -> str: ...
    @property
    def members(self) -> Mapping[str, str]: ...
    def __len__(self) -> int: ...


class TrainingData(Protocol):
    """A source of batches. ``side`` is that of the net's input, in pixels; squares to be put on pages are larger."""

    side: int

    def __len__(self) -> int: ...

    def epoch(
        self, epoch: int, batch: int, seed: int, processes: Processes, start: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """This process' share of each batch of an epoch, from batch number ``start``: squares and labels.

        Squares are uint8 (n, S, S), labels int64 (n,).
        """
        ...


def steps_per_epoch(samples: int, batch: int, processes: Processes) -> int:
    """Whole batches in an epoch; :class:`ConfigError` if there is none, or if the processes cannot share one evenly."""
    if batch % processes.world:
        raise ConfigError(f"train.batch {batch} cannot be shared by {processes.world} processes; take a multiple")
    if batch > samples:
        raise ConfigError(f"train.batch {batch} is larger than the {samples} training samples; make it smaller")
    return samples // batch


def shuffled(
    samples: int,
    epoch: int,
    batch: int,
    seed: int,
    processes: Processes,
    start: int = 0,
    device: str | torch.device = "cpu",
) -> Iterator[Tensor]:
    """The sample numbers, int64 (n,) on ``device``, of this process' share of each batch, from batch ``start`` on.

    Every process shuffles in the same way and takes its slice, so batches do not depend on the number of processes.
    """
    # The multiplier gives every (seed, epoch) another order, for up to 100,003 epochs.
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(seed * 100_003 + epoch))
    # All at once: a copy of the numbers of each batch would wait for the step before.
    order = order.to(device)
    share = batch // processes.world
    # Whole batches only: a shorter last one would have another shape and need a compiled step of its own.
    for number in range(start, steps_per_epoch(samples, batch, processes)):
        first = number * batch + processes.rank * share
        yield order[first : first + share]


class DeviceData:
    """Normalised samples ``squares`` uint8 (N, S, S) and ``labels`` int64 (N,), classes of ``charset``."""

    def __init__(self, pack: Pack, charset: Charset, device: torch.device, *, stream: bool = False) -> None:
        classes = charset.encode(pack.charset.characters)
        self._labels = torch.from_numpy(classes[np.asarray(pack.labels)])  # pack's number -> the net's number
        # Labels are few bytes, so they are always on the device, too.
        self.labels = self._labels.to(device)
        self.device = device
        self.side = pack.normalization.side
        self._squares = _as_tensor(pack.images)
        self._streams = stream or (device.type == "cuda" and not self._fits(device))
        if not self._streams:
            self._squares = self._squares.to(device)

    def _fits(self, device: torch.device) -> bool:
        return self._squares.nbytes < SHARE_OF_MEMORY * torch.cuda.mem_get_info(device)[0]

    @classmethod
    def open(
        cls, path: str, charset: Charset | None, device: torch.device, *, stream: bool = False
    ) -> tuple[DeviceData, Pack]:
        """Open the pack at ``path``; its own charset names the classes unless another is given.

        With ``stream`` its squares stay in the memory map also where the GPU has room for them.
        """
        pack = Pack.open(Path(path), verify=True)
        try:
            return cls(pack, charset or pack.charset, device, stream=stream), pack
        except CharsetError as error:
            raise CharsetError(f"{path}: {error}; pack it with the training pack's charset") from error

    def __len__(self) -> int:
        return len(self.labels)

    def squares(self, indices: Tensor) -> Tensor:
        """Samples at ``indices`` (on any device) as uint8 (n, S, S) on the device."""
        # Squares that stayed on the CPU are looked up there; only this batch is copied to the device.
        return self._squares[indices.to(self._squares.device)].to(self.device, non_blocking=True)

    def epoch(
        self, epoch: int, batch: int, seed: int, processes: Processes, start: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """This process' share of each batch of an epoch, from batch number ``start``: squares and labels."""
        return self._batches(shuffled(len(self), epoch, batch, seed, processes, start, self._squares.device))

    def in_order(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every sample once, in the pack's order; the last batch may be short."""
        return self._batches(iter(torch.split(torch.arange(len(self)), batch)))

    def _batches(self, numbers: Iterator[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        if self._streams:
            yield from streamed(self._squares, self._labels, numbers, self.device)
            return
        for indices in numbers:
            yield self.squares(indices), self.labels[indices.to(self.device)]


def _as_tensor(squares: NDArray[np.uint8]) -> Tensor:
    if isinstance(squares, np.memmap) and squares.filename is not None:
        # Mapped again copy-on-write: torch refuses to share read-only memory without a warning.
        squares = np.memmap(squares.filename, squares.dtype, "c", squares.offset, squares.shape)
    return torch.from_numpy(squares)
