"""From the TOML file of a search to the recipe of every trial. All input errors are raised here, before training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from hanmo.config import from_table, load_toml, to_table
from hanmo.errors import ConfigError
from hanmo.nets.registry import NetConfig, build_net, net_size
from hanmo.search.config import SearchConfig
from hanmo.search.judging import Judging
from hanmo.search.space import Drawing, Settings, with_settings
from hanmo.train.config import DistillConfig, Recipe
from hanmo.train.methods import hook_student
from hanmo.train.teachers import build_teacher


class SearchProblem:
    """The recipes, the space and the data of a search in the folder ``out``. Nothing is written.

    ``base`` is the recipe with ``changes``, ``short`` the one that trials vary. Raises :class:`ConfigError` for a
    space that does not fit the recipe, and the errors of opening data and teachers.
    """

    def __init__(self, config: SearchConfig, out: Path) -> None:
        self.config, self.out = config, out
        self.base = load_toml(config.recipe, Recipe, config.changes)
        short = load_toml(config.recipe, Recipe, (*config.changes, *config.trial_changes))
        if short.data != self.base.data:
            raise ConfigError("trial_changes: data is the same for trials and the winner; name it in changes")
        self.judging = Judging(config, self.base, out)
        self.short = replace(short, name=config.name, data=self.judging.trial_data())
        self.drawing = Drawing(config.space, to_table(self.short))
        self._check()

    def _check(self) -> None:
        """Build every net and recipe that one changed value alone gives, and connect teachers and methods."""
        # Both calls raise an error for what is impossible: a batch larger than the data, a net that cannot be built.
        for recipe in self.trial_recipes():
            self.images_of(recipe)
            self.size_of(recipe.net)
        for _ in Drawing(self.config.space, to_table(self.base)).each_alone():  # the winner's recipe, too
            pass
        if self.short.distill is not None:
            self._check_teaching(self.short.net, self.short.distill)
        # Only where all trials are equally long is it certain that none fits into the budget.
        budget, images = self.config.budget, self.images_of(self.short)
        if budget is not None and self.fixed_length and images > budget:
            raise ConfigError(f"budget {budget:,}: one trial alone uses {images:,} images")

    def size_of(self, net: NetConfig) -> tuple[int, int]:
        """Parameters and MACs of a net. Raises :class:`ConfigError` for nets that cannot be built."""
        return net_size(net, self.judging.classes, self.judging.side)

    def _check_teaching(self, net: NetConfig, distill: DistillConfig) -> None:
        """Raise an error for missing teachers and for layers that do not fit."""
        teacher, _ = build_teacher(distill, self.judging.described, torch.device("cpu"))

        def build_student() -> nn.Module:
            return build_net(net, self.judging.classes, self.judging.side)

        characters = self.judging.described.charset.characters
        hook_student(build_student(), distill, teacher, self.judging.side, characters, build_student)

    def images_of(self, recipe: Recipe) -> int:
        """Training images of a whole trial. Raises :class:`ConfigError` for a batch larger than the data."""
        samples, batch = self.judging.samples, recipe.train.batch
        if batch > samples:
            raise ConfigError(f"train.batch {batch} is larger than the {samples} samples that trials train on")
        return samples // batch * batch * recipe.train.epochs

    def trial_recipes(self) -> list[Recipe]:
        """The recipe of the trials as it stands, and with every choice and both ends of every range, one at a time."""
        return [self.short, *self.drawing.each_alone()]

    @property
    def fixed_length(self) -> bool:
        """Whether all trials use the same number of images, unless they are stopped."""
        return not {"train.epochs", "train.batch"} & self.drawing.spaces.keys()

    def winner(self, settings: Settings) -> Recipe:
        """The recipe of the best settings, for all the training data; ``data.test`` is used once, at its end."""
        recipe = from_table(with_settings(to_table(self.base), settings), Recipe)
        # data.test plays no part in the search then, and the winner looks at it only once.
        every = 0 if self.judging.split else recipe.train.evaluate_every
        return replace(recipe, name=f"{self.config.name}-best", train=replace(recipe.train, evaluate_every=every))
