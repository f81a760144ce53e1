"""The data of the trials: what they train on, and what they are compared on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from hanmo.data.pack import Pack, is_pack
from hanmo.data.part import write_part
from hanmo.data.split import split_by_writer
from hanmo.errors import ConfigError, PackError
from hanmo.search.config import SearchConfig
from hanmo.train.config import SYNTH_PREFIX, DataConfig, Recipe
from hanmo.train.data import open_training


class Judging:
    """The data of a search in the folder ``out``. Nothing is written before :meth:`prepare`.

    With held-out samples the training pack is split once, by the search's seed, into two packs in ``out/data``. Where
    writers are known, no writer is in both. Raises :class:`ConfigError` when there are no samples to compare trials
    on, and the errors of opening the data.
    """

    def __init__(self, config: SearchConfig, recipe: Recipe, out: Path) -> None:
        self.out = out / "data"
        self.split = config.objective == "held-out"
        self.data = recipe.data
        if self.split and recipe.data.train.startswith(SYNTH_PREFIX):
            raise ConfigError(
                f"{config.recipe}: trains on drawn samples, of which none can be held out; set objective = 'test' and "
                "in changes data.test, a pack that is not the one of the final test"
            )
        if not self.split and recipe.data.test is None:
            raise ConfigError(f"{config.recipe}: has no data.test for objective = 'test'; name one in changes")
        training, self.described = open_training(recipe.data, torch.device("cpu"))
        self.classes, self.side = len(self.described.charset), training.side
        # `training_samples` is what the winner trains on at the end, `samples` what each trial trains on.
        self.samples = self.training_samples = len(training)
        # By this digest a resumed search notices that its data has changed.
        self.digest = self.described.digest
        if self.split:
            pack = Pack.open(recipe.data.train)
            # By writer, because samples of one hand are alike: trials would be judged on what they have nearly seen.
            self.parts = split_by_writer(pack, config.held_out, config.seed)
            self.samples, held = map(len, self.parts)
            if not held or not self.samples:
                raise ConfigError(f"held_out {config.held_out} of {len(pack)} samples leaves one part empty")
            self.description = f"{held:,} held-out samples of {recipe.data.train}"
        else:
            assert recipe.data.test is not None
            self.digest += Pack.open(recipe.data.test).digest
            self.description = f"{recipe.data.test}, which is then no independent test any more"

    def prepare(self) -> None:
        """Write the two parts, unless they are there already."""
        if not self.split:
            return
        pack = Pack.open(self.data.train)
        for name, part in zip(("train", "held-out"), self.parts, strict=True):
            place = self.out / name
            # The same seed gives the same parts, so a part that an earlier call wrote is used again.
            if not is_pack(place):
                write_part(pack, part, place)
            elif len(Pack.open(place)) != len(part):
                raise PackError(f"{place}: is not what this search would hold out; remove it")

    def trial_data(self) -> DataConfig:
        """The data section of every trial."""
        if not self.split:
            return self.data
        return replace(self.data, train=str(self.out / "train"), test=str(self.out / "held-out"))
