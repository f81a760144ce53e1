"""Training data of several domains, such as drawn strokes, fonts and real samples, in equal parts of every batch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from hanmo.charset import Charset
from hanmo.data.pack import Pack
from hanmo.errors import CharsetError, ConfigError
from hanmo.normalize import Normalization
from hanmo.train.batches import DataInfo, DeviceData, steps_per_epoch
from hanmo.train.drawn import DrawnData
from hanmo.train.parallel import Processes

Source = DeviceData | DrawnData


class DomainData:
    """Training data (:class:`TrainingData`) whose batches hold the same number of samples of every domain.

    In a batch of D domains the first D-th is of the first domain, and so on. An epoch ends with the samples of the
    first domain; the others begin anew whenever they are through. The classes are those of the first domain. Raises
    :class:`CharsetError` for a domain with other characters, :class:`PackError` for a pack of another normalisation,
    :class:`ConfigError` for drawn characters of another normalisation or on pages.
    """

    def __init__(self, names: Sequence[str], sources: Sequence[tuple[Source, Pack | DrawnData]]) -> None:
        """``sources``: each domain and its description; ``names`` are for errors."""
        first = sources[0][1]
        self.domains = [source for source, _ in sources]
        self.charset: Charset = first.charset
        self.members = first.members
        self.normalization: Normalization = first.normalization
        self.side = self.domains[0].side
        self.classes = [
            _classes(name, info, first).to(source.device) for name, (source, info) in zip(names, sources, strict=True)
        ]  # each domain's numbers of classes -> ours
        self.sources: tuple[str, ...] = tuple(dict.fromkeys(source for _, info in sources for source in info.sources))
        self.digest: str = hashlib.sha256(" ".join(info.digest for _, info in sources).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.domains) * len(self.domains[0])

    def epoch(
        self, epoch: int, batch: int, seed: int, processes: Processes, start: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """This process' share of each batch of an epoch, from batch number ``start``: squares and labels."""
        shares = len(self.domains) * processes.world
        if batch % shares:
            raise ConfigError(
                f"train.batch {batch} cannot be shared by {len(self.domains)} domains in {processes.world} processes; "
                f"take a multiple of {shares}"
            )
        size = batch // len(self.domains)
        steps = steps_per_epoch(len(self.domains[0]), size, processes)
        streams = [
            _stream(domain, epoch * steps + start, size, seed, processes, classes)
            for domain, classes in zip(self.domains, self.classes, strict=True)
        ]
        for _ in range(start, steps):
            parts = [next(stream) for stream in streams]
            yield torch.cat([squares for squares, _ in parts]), torch.cat([labels for _, labels in parts])


def _stream(
    domain: Source, step: int, batch: int, seed: int, processes: Processes, classes: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of one domain without end, from batch number ``step`` of the whole training on."""
    # Epochs of its own: each sample once in each, however long those of the first domain are. The number of the step
    # decides everything, so a resumed run gets the same batches.
    epoch, start = divmod(step, steps_per_epoch(len(domain), batch, processes))
    while True:
        for squares, labels in domain.epoch(epoch, batch, seed, processes, start):
            yield squares, classes[labels]
        epoch, start = epoch + 1, 0


def _classes(name: str, info: DataInfo, first: DataInfo) -> Tensor:
    """The first domain's number of each class of another domain, int64 (C,)."""
    if isinstance(info, Pack):
        info.require(normalization=first.normalization)
    elif info.normalization != first.normalization:
        raise ConfigError(f"{name}: draws {info.normalization}, the first domain has {first.normalization}; both alike")
    if isinstance(info, DrawnData) and info.recipe.page:
        raise ConfigError(f"{name}: draws on pages, which domains cannot; leave out its [page] section")
    try:
        return torch.from_numpy(first.charset.encode(info.charset.characters))
    except CharsetError as error:
        raise CharsetError(f"{name}: {error}; take a domain of the first one's characters") from error
