"""Batches that mix real samples into drawn ones, for users who own a corpus.

The real samples bring real writers; the drawn ones bring every character of the charset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from hanmo.charset import Charset
from hanmo.normalize import Normalization
from hanmo.train.batches import DeviceData
from hanmo.train.drawn import DrawnData
from hanmo.train.parallel import Processes
from hanmo.train.squares import as_bytes, refit


class MixedData:
    """Training data (:class:`TrainingData`) of which a ``share`` of every batch is real and the rest is drawn.

    An epoch is as long as one of the drawn data. Real samples are chosen at random with replacement. If the drawn
    recipe has pages, real samples are enlarged to the drawn squares' size, so that they can be put on pages too. The
    classes are those of the drawn recipe. Raises :class:`CharsetError` for a pack with other characters,
    :class:`PackError` for a pack of another normalisation.
    """

    def __init__(self, drawn: DrawnData, pack: str | Path, share: float, device: torch.device) -> None:
        real, info = DeviceData.open(str(pack), drawn.charset, device)
        info.require(normalization=drawn.normalization)
        self.drawn, self.real, self.share = drawn, real, share
        self.side = drawn.side
        self.charset: Charset = drawn.charset
        self.members = drawn.members
        self.normalization: Normalization = drawn.normalization
        self.sources: tuple[str, ...] = (*drawn.sources, *info.sources)
        identity = f"{drawn.digest} {info.digest} {share}"
        self.digest: str = hashlib.sha256(identity.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.drawn)

    def epoch(
        self, epoch: int, batch: int, seed: int, processes: Processes, start: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """This process' share of each batch of an epoch, from batch number ``start``: squares and labels."""
        drawn = self.drawn.epoch(epoch, batch, seed, processes, start)
        for number, (squares, labels) in enumerate(drawn, start):
            # The same number in every batch, so shapes never change.
            count = round(self.share * len(squares))
            chosen = self._choose(count, (seed, epoch, number, processes.rank))
            real_labels = self.real.labels[chosen.to(self.real.labels.device)]
            real = self.real.squares(chosen)
            if self.drawn.drawn != self.normalization:
                real = as_bytes(refit(real / 255, self.normalization, self.drawn.drawn))
            # The first drawn samples are replaced. All are drawn nevertheless, so numbers and shapes are those without
            # real ones.
            yield torch.cat((real, squares[count:])), torch.cat((real_labels, labels[count:]))

    def _choose(self, count: int, key: tuple[int, ...]) -> Tensor:
        """Random numbers of ``count`` real samples, decided by ``key`` alone, so that a resumed run repeats them."""
        digest = hashlib.sha256(repr(key).encode()).digest()
        # 7 of the 32 bytes: a torch seed is a signed 64-bit number, and 56 bits always fit.
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))
        return torch.randint(len(self.real), (count,), generator=generator)
