"""A pack on the device, handed out in shuffled batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hanmo.charset import Charset
from hanmo.data.pack import Pack
from hanmo.errors import CharsetError, ConfigError
from hanmo.train.parallel import Processes

SHARE_OF_MEMORY = 0.5
"""A pack larger than this share of the free device memory stays in the memory map and is copied batch by batch."""


class DeviceData:
    """Normalised samples ``images`` uint8 (N, S, S) and ``labels`` int64 (N,), classes of ``charset``."""

    def __init__(self, pack: Pack, charset: Charset, device: torch.device) -> None:
        classes = charset.encode(pack.charset.characters)
        self.labels = torch.from_numpy(classes[np.asarray(pack.labels)]).to(device)
        self.device = device
        self.side = pack.normalization.side
        self._images = _as_tensor(pack.images)
        if device.type == "cuda" and pack.images.nbytes < SHARE_OF_MEMORY * torch.cuda.mem_get_info(device)[0]:
            self._images = self._images.to(device)

    @classmethod
    def open(cls, path: str, charset: Charset | None, device: torch.device) -> tuple[DeviceData, Pack]:
        """Open the pack at ``path``; its own charset names the classes unless another is given."""
        pack = Pack.open(Path(path))
        try:
            return cls(pack, charset or pack.charset, device), pack
        except CharsetError as error:
            raise CharsetError(f"{path}: {error}; pack it with the training pack's charset") from error

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, indices: Tensor) -> Tensor:
        """Samples at ``indices`` (on any device) as uint8 (n, S, S) on the device."""
        return self._images[indices.to(self._images.device)].to(self.device, non_blocking=True)

    def steps(self, batch: int, processes: Processes) -> int:
        """Whole batches in an epoch; :class:`ConfigError` when there is none or the processes cannot share one."""
        if batch % processes.world:
            raise ConfigError(f"train.batch {batch} cannot be shared by {processes.world} processes; take a multiple")
        if batch > len(self):
            raise ConfigError(f"train.batch {batch} is larger than the {len(self)} training samples; make it smaller")
        return len(self) // batch

    def epoch(
        self, epoch: int, batch: int, seed: int, processes: Processes, start: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of one epoch from number ``start``: this process' share of images and labels.

        Every process shuffles alike and takes its slice, so the global batches do not depend on their number.
        """
        generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
        order = torch.randperm(len(self), generator=generator)
        share = batch // processes.world
        order = order.to(self._images.device)
        for number in range(start, self.steps(batch, processes)):
            first = number * batch + processes.rank * share
            indices = order[first : first + share]
            yield self.images(indices), self.labels[indices.to(self.labels.device)]

    def in_order(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every sample once, in the pack's order; the last batch may be short."""
        for indices in torch.split(torch.arange(len(self)), batch):
            yield self.images(indices), self.labels[indices.to(self.labels.device)]


def _as_tensor(images: NDArray[np.uint8]) -> Tensor:
    if isinstance(images, np.memmap) and images.filename is not None:
        # Mapped again copy-on-write: torch refuses to share read-only memory without a warning.
        images = np.memmap(images.filename, images.dtype, "c", images.offset, images.shape)
    return torch.from_numpy(images)
