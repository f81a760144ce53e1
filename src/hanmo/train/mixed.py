"""Real samples mixed into drawn ones: for those who own a corpus, and want its writers and all characters at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from hanmo.charset import Charset
from hanmo.data.pack import Pack
from hanmo.normalize import Normalization
from hanmo.train.batches import DeviceData, TrainingData
from hanmo.train.config import DataConfig
from hanmo.train.drawn import SYNTH_PREFIX, DrawnData
from hanmo.train.parallel import Processes
from hanmo.train.squares import as_bytes, refit


class MixedData:
    """Batches of which a ``share`` is real, the rest drawn, as :class:`TrainingData`; an epoch is the drawn one's.

    Real samples are drawn with replacement, whatever their number. Among characters drawn for pages they are
    enlarged to squares of the same size and put on pages, too. The recipe of the drawn names the classes. Raises
    :class:`CharsetError` for a pack with other characters, :class:`PackError` for one of another normalisation.
    """

    def __init__(self, drawn: DrawnData, pack: str | Path, share: float, device: torch.device) -> None:
        real, opened = DeviceData.open(str(pack), drawn.charset, device)
        opened.require(normalization=drawn.normalization)
        self.drawn, self.real, self.share = drawn, real, share
        self.side = drawn.side
        self.charset: Charset = drawn.charset
        self.normalization: Normalization = drawn.normalization
        self.sources: tuple[str, ...] = (*drawn.sources, *opened.sources)
        told = f"{drawn.digest} {opened.digest} {share}"
        self.digest: str = hashlib.sha256(told.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.drawn)

    def epoch(
        self, epoch: int, batch: int, seed: int, processes: Processes, start: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of one epoch from number ``start``: this process' share of images and labels."""
        drawn = self.drawn.epoch(epoch, batch, seed, processes, start)
        for number, (images, labels) in enumerate(drawn, start):
            count = round(self.share * len(images))
            words = (seed, epoch, number, processes.rank)
            mixed = hashlib.sha256(repr(words).encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(mixed[:7], "little"))
            chosen = torch.randint(len(self.real), (count,), generator=generator)
            own = self.real.labels[chosen.to(self.real.labels.device)]
            real = self.real.images(chosen)
            if self.drawn.drawn != self.normalization:
                real = as_bytes(refit(real / 255, self.normalization, self.drawn.drawn))
            yield torch.cat((real, images[count:])), torch.cat((own, labels[count:]))


def open_training(config: DataConfig, device: torch.device) -> tuple[TrainingData, MixedData | DrawnData | Pack]:
    """The data that a recipe trains on, and what is to be recorded of it."""
    if not config.train.startswith(SYNTH_PREFIX):
        return DeviceData.open(config.train, None, device)
    drawn = DrawnData(config.train.removeprefix(SYNTH_PREFIX), device)
    if config.real is None:
        return drawn, drawn
    mixed = MixedData(drawn, config.real, config.real_share, device)
    return mixed, mixed
