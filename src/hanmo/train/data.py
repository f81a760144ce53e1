"""Opens the data of a training: the samples to train on and the pack to evaluate on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hanmo.data.pack import Pack
from hanmo.train.batches import DataInfo, DeviceData, TrainingData
from hanmo.train.config import SYNTH_PREFIX, DataConfig
from hanmo.train.domains import DomainData
from hanmo.train.drawn import DrawnData
from hanmo.train.mixed import MixedData


@dataclass(frozen=True, kw_only=True)
class OpenedData:
    """The data of one training.

    ``info`` describes the training samples: their charset names the classes of the net. ``test`` is None for a recipe
    without ``data.test``. ``described`` is what the run folder records, by role: ``train`` and ``test``.
    """

    train: TrainingData
    info: DataInfo
    test: DeviceData | None
    described: dict[str, DataInfo]


def open_data(config: DataConfig, device: torch.device) -> OpenedData:
    """Open the training data and the test pack of a recipe on ``device``.

    Raises :class:`PackError` for a damaged pack or one of another normalisation, :class:`CharsetError` for a test pack
    with characters that the training data lacks, and what :func:`open_training` raises.
    """
    train, info = open_training(config, device)
    described: dict[str, DataInfo] = {"train": info}
    test = None
    if config.test:
        # The test pack's classes get the numbers of the training data, whatever order its own charset has.
        test, pack = DeviceData.open(config.test, info.charset, device)
        pack.require(normalization=info.normalization)
        described["test"] = pack
    return OpenedData(train=train, info=info, test=test, described=described)


def open_training(
    config: DataConfig, device: torch.device
) -> tuple[TrainingData, DomainData | MixedData | DrawnData | Pack]:
    """The samples that a recipe trains on, and their description.

    ``data.train`` is a pack, or ``synth:RECIPE`` for characters drawn during the training; with ``data.real`` samples
    of a pack are mixed into the drawn ones, with ``data.domains`` those of further sources. Raises :class:`PackError`,
    :class:`CharsetError`, :class:`ConfigError`.
    """
    stream = bool(config.stream)
    if config.domains:
        names = (config.train, *config.domains)
        first, info = _open_source(config.train, device, stream=stream, oversample=config.oversample)
        others = [_open_source(name, device, stream=stream) for name in config.domains]
        both = DomainData(names, [(first, info), *others])
        return both, both
    source, info = _open_source(config.train, device, stream=stream, oversample=config.oversample)
    if config.real is None or not isinstance(source, DrawnData):
        return source, info
    mixed = MixedData(source, config.real, config.real_share, device)
    return mixed, mixed


def _open_source(
    name: str, device: torch.device, *, stream: bool, oversample: dict[str, int] | None = None
) -> tuple[DeviceData | DrawnData, Pack | DrawnData]:
    """One source and its description. Drawn data describes itself; a pack does, not its copy on the device."""
    if not name.startswith(SYNTH_PREFIX):
        return DeviceData.open(name, None, device, stream=stream)
    drawn = DrawnData(name.removeprefix(SYNTH_PREFIX), device, oversample or {})
    return drawn, drawn
