"""Everything a training needs before its first step: data, teacher, student, objective, made from one recipe."""

from __future__ import annotations

import torch
from torch import Tensor

from hanmo.charset import named_charset
from hanmo.nets.feature_hooks import FeatureHooks
from hanmo.train.batches import steps_per_epoch
from hanmo.train.config import Recipe
from hanmo.train.data import open_data
from hanmo.train.objective import Objective
from hanmo.train.pages import build_pages
from hanmo.train.parallel import Processes
from hanmo.train.speed import compiled, compiled_alone, precision_of
from hanmo.train.state import TrainState
from hanmo.train.student import Student, build_student
from hanmo.train.teachers import build_teacher


class TrainingSetup:
    """The parts of one training. Only ``state`` changes while it runs.

    ``compute`` is the objective, compiled where the recipe says so; ``show_pages`` puts drawn characters on pages, and
    is None where the data has no pages. ``start`` says what was taken from the weights that the net starts from.
    ``sources`` are everything that the net learns from: the data, what its teachers were trained on, and what the
    weights it starts from were trained on.
    """

    def __init__(self, recipe: Recipe, processes: Processes) -> None:
        torch.backends.cudnn.benchmark = True  # shapes never change, so a search for the fastest convolutions pays
        self.processes, self.device, self.recipe = processes, processes.device, recipe
        self.data = open_data(recipe.data, self.device)
        # Counted before teachers are loaded, so that a batch that is too large is reported at once.
        self.steps_per_epoch = steps_per_epoch(len(self.data.train), recipe.train.batch, processes)
        self.teacher: FeatureHooks | None = None
        self.teacher_sources: list[str] = []
        if recipe.distill:
            self.teacher, self.teacher_sources = build_teacher(recipe.distill, self.data.info, self.device)
        student = build_student(recipe, self.data, self.teacher, self.device)
        self.state = TrainState(student.hooks.net, student.distillation, recipe.optim)
        self._note_sources(student)
        self.objective = self._build_objective(student)
        self.compute = compiled(self.objective, recipe.train.compile, self.device)
        pages = build_pages(recipe, self.data.train)
        self.show_pages = compiled_alone(pages.show, recipe.train.compile, self.device) if pages else None

    def restart(self, recipe: Recipe) -> None:
        """Become the setup of ``recipe`` at its first step, without compiling again.

        Apart from its name, ``recipe`` may differ from the first one in the seed, and in data of the same charset,
        normalisation and pages.
        """
        if recipe.data != self.recipe.data:
            self.data = open_data(recipe.data, self.device)
        self.steps_per_epoch = steps_per_epoch(len(self.data.train), recipe.train.batch, self.processes)
        self.recipe = recipe
        student = build_student(recipe, self.data, self.teacher, self.device)
        # The new student only lends its weights: compiled code refers to the modules of the first one.
        self.state.restart(student.hooks.net, student.distillation, recipe.optim)
        self._note_sources(student)

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole training."""
        return self.steps_per_epoch * self.recipe.train.epochs

    def _build_objective(self, student: Student) -> Objective:
        recipe = self.recipe
        return Objective(
            student.hooks,
            self.teacher,
            student.distillation,
            augment=recipe.augment,
            classes=len(self.data.info.charset),
            label_smoothing=recipe.optim.label_smoothing,
            mixup=recipe.optim.mixup > 0,
            precision=precision_of(recipe.train.precision, self.device),
            untaught=self._untaught(),
        )

    def _untaught(self) -> Tensor | None:
        """bool (C,): the classes learnt from labels alone, of ``labels_alone`` or unknown to every teacher."""
        if self.recipe.distill is None or self.teacher is None:
            return None
        charset = self.data.info.charset
        untaught = getattr(self.teacher.net, "lacks", torch.zeros(len(charset), dtype=torch.bool)).cpu().clone()
        for names in self.recipe.distill.labels_alone or ():
            untaught[torch.from_numpy(charset.encode([c for c in named_charset(names) if c in charset]))] = True
        return untaught.to(self.device) if untaught.any() and not self.recipe.optim.mixup else None

    def _note_sources(self, student: Student) -> None:
        self.start = student.start
        every = (*self.data.info.sources, *self.teacher_sources, *(student.start.sources if student.start else ()))
        self.sources = tuple(dict.fromkeys(every))  # each once, in this order
