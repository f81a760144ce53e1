"""Shows distillation methods the training samples before the first step, as the teacher sees them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hanmo.distill import Distillation
from hanmo.nets.feature_hooks import FeatureHooks, Output
from hanmo.normalize import Normalization, standardise
from hanmo.train.augment import unchanged
from hanmo.train.batches import TrainingData
from hanmo.train.domains import DomainData
from hanmo.train.drawn import DrawnData
from hanmo.train.mixed import MixedData
from hanmo.train.parallel import Processes
from hanmo.train.squares import refit

MOST = 100_000
"""At most so many samples: enough for means and variances of thousands of classes."""
_BATCH = 256


@torch.no_grad()
def survey(
    distillation: Distillation, teacher: FeatureHooks, data: TrainingData, batch: int, device: torch.device
) -> None:
    """Call :meth:`Method.survey` of the methods that need it, each with the teacher's answers for ``data``.

    The samples are those of the first epoch of seed 0, as far as they fill whole batches, at most :data:`MOST`. Every
    process sees all of them, so that all reach the same result. ``batch`` is that of the training. A run that is
    resumed repeats this; its checkpoint then replaces the result by that of the first time.
    """
    for method in distillation.methods:
        if method.needs_survey:
            method.survey(_answers(teacher, data, batch, device))


def _answers(
    teacher: FeatureHooks, data: TrainingData, batch: int, device: torch.device
) -> Iterator[tuple[Output, Tensor]]:
    batch = min(_BATCH, batch)
    if isinstance(data, DomainData):
        batch = max(1, batch // len(data.domains)) * len(data.domains)
    drawn = _drawn_as(data)
    for number, (squares, labels) in enumerate(data.epoch(0, batch, 0, Processes(device=device))):
        if (number + 1) * batch > MOST:
            return
        pictures = unchanged(squares)
        if drawn:  # squares to be put on pages are larger than those that the teacher reads
            pictures = refit(pictures[:, 0], *drawn)[:, None]
        yield teacher(standardise(pictures).to(memory_format=torch.channels_last)), labels


def _drawn_as(data: TrainingData) -> tuple[Normalization, Normalization] | None:
    """The normalisation of squares that are drawn for pages and that of the net; None where both are the same."""
    source = data.drawn if isinstance(data, MixedData) else data
    if isinstance(source, DrawnData) and source.drawn != source.normalization:
        return source.drawn, source.normalization
    return None
