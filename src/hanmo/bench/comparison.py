"""From a comparison to trainings: what each is, what it waits for, and what it costs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import nn

from hanmo.atomic import write_whole
from hanmo.bench.config import BenchConfig, MethodRow
from hanmo.bench.jobs import Done, Job
from hanmo.config import dump_toml, load_toml, nearest
from hanmo.distill import METHODS
from hanmo.errors import CharsetError, CheckpointError, ConfigError
from hanmo.nets.feature_hooks import FeatureHooks
from hanmo.nets.registry import NetConfig, build_net, count_macs
from hanmo.train.config import DistillConfig, MethodConfig, Recipe
from hanmo.train.data import open_training
from hanmo.train.drawn import SYNTH_PREFIX
from hanmo.train.initialisation import load_fitting
from hanmo.train.methods import build_methods, connect
from hanmo.train.onnx_teacher import ONNX_PREFIX, load_onnx_teacher
from hanmo.train.run import WEIGHTS, load_trained
from hanmo.train.teachers import combine_teachers


@dataclass(frozen=True, kw_only=True)
class Row:
    """One training, with all its seeds: a line of the table. ``student`` is the net's row, itself for a net alone."""

    name: str
    title: str
    student: str
    recipe: Recipe
    waits_for: tuple[Done, ...] = ()
    """Rows and seeds whose nets teach."""

    @property
    def is_alone(self) -> bool:
        return self.recipe.distill is None


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a row trains on, all seeds together: ``images``, and multiply-accumulate operations ``macs`` of the nets.

    Three times the student's forward pass and once the teachers' for each view; what methods add is not in it, nor what
    ``onnx:`` teachers take.
    """

    images: int
    macs: int


class Comparison:
    """All rows of a bench in a folder ``out``; building one checks everything that can be before anything is trained.

    Raises :class:`ConfigError` for recipes, layers and feature maps that do not fit (naming the row), what opening the
    data raises, and :class:`CharsetError` for teachers of other characters.
    """

    def __init__(self, config: BenchConfig, out: Path) -> None:
        self.config, self.out = config, out
        base = load_toml(config.recipe, Recipe, config.changes)
        if base.distill is not None:
            raise ConfigError(f"{config.recipe}: has a [distill] section; methods are rows of the bench")
        data, self.pack = open_training(base.data, torch.device("cpu"))
        self.side, self.samples = data.side, len(data)
        self.rows: dict[str, Row] = {}
        for net in config.nets:
            recipe = load_toml(config.recipe, Recipe, (*config.changes, *net.changes))
            recipe = replace(recipe, name=net.name, net=net.net)
            title = net.title or net.name
            self.rows[net.name] = Row(name=net.name, title=title, student=net.name, recipe=recipe)
        for method in config.methods:
            for student in config.students_of(method):
                row = self._taught(method, student)
                self.rows[row.name] = row
        for row in self.rows.values():
            self._check(row)

    def _taught(self, row: MethodRow, student: str) -> Row:
        teachers, waits_for = [], []
        for teacher in self.config.teachers_of(row):
            found = self._seeds_of(teacher)
            waits_for += found
            teachers += [str(self.folder(name, seed)) for name, seed in found] or [teacher]
        own = next(net for net in self.config.nets if net.name == student)
        recipe = load_toml(self.config.recipe, Recipe, (*self.config.changes, *own.changes, *row.changes))
        distill = DistillConfig(
            teachers=tuple(teachers),
            teacher_tta=row.teacher_tta,
            methods=tuple(_weighted(method) for method in row.methods),
            label_weight=row.label_weight,
        )
        name = f"{row.name}+{student}"
        return Row(
            name=name,
            title=row.title or row.name,
            student=student,
            recipe=replace(recipe, name=name, net=own.net, distill=distill),
            waits_for=tuple(waits_for),
        )

    def _seeds_of(self, teacher: str) -> list[Done]:
        """The rows and seeds that ``teacher`` means; none when it is no row."""
        name, slash, seed = teacher.rpartition("/")
        if name in self.rows and slash:
            if seed not in map(str, self.config.seeds):
                raise ConfigError(f"teacher {teacher!r}: no seed {seed}; there are {self.config.seeds}")
            return [(name, int(seed))]
        if teacher in self.rows:
            return [(teacher, seed) for seed in self.config.seeds]
        if not slash and ":" not in teacher:
            raise ConfigError(f"teacher {teacher!r} is no row above it; {nearest(teacher, self.rows)}")
        return []

    def folder(self, name: str, seed: int) -> Path:
        """The run of a row and seed; other settings go into another folder."""
        return self._place(self.rows[name]) / f"seed-{seed}"

    def _place(self, row: Row) -> Path:
        return self.out / "runs" / row.name / self.key(row)

    def key(self, row: Row) -> str:
        """Digest of all settings, the teachers' included: records of other settings are not taken for this row's.

        Of a pack it tells the number of samples, characters and normalisation: the last bit of a pixel may differ
        between machines. Teachers that are no rows, and the run that nets start from, count by their path alone.
        """
        text = dump_toml(row.recipe).replace(str(self.out), "")
        text += f"{self.samples} {self.pack.charset.digest} {self.pack.normalization}"
        if row.recipe.data.train.startswith(SYNTH_PREFIX):
            text += Path(row.recipe.data.train.removeprefix(SYNTH_PREFIX)).read_text(encoding="utf-8")
        text += "".join(self.key(self.rows[name]) for name, _ in dict.fromkeys(row.waits_for))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def cost(self, row: Row) -> Cost:
        train, classes = row.recipe.train, len(self.pack.charset)
        images = self.samples // train.batch * train.batch * train.epochs * len(self.config.seeds)
        macs = 3 * _macs(row.recipe.net, classes, self.side)
        if row.recipe.distill:
            nets = [self.rows[name].recipe.net for name, _ in row.waits_for]
            ours = {str(self.folder(*goal)) for goal in row.waits_for}
            others = [
                name for name in row.recipe.distill.teachers if name not in ours and not name.startswith(ONNX_PREFIX)
            ]
            nets += [load_trained(name).config for name in others]
            macs += row.recipe.distill.teacher_tta * sum(_macs(net, classes, self.side) for net in nets)
        return Cost(images=images, macs=images * macs)

    def jobs(self) -> list[Job]:
        """A command for each row; its recipe is written to the folder."""
        found = []
        for row in self.rows.values():
            path = self.out / "recipes" / f"{row.name}.toml"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, dump_toml(row.recipe).encode())
            numbers = ",".join(map(str, self.config.seeds))
            place = str(self._place(row))
            verb = "train" if row.is_alone else "distill"
            found.append(
                Job(
                    name=row.name,
                    arguments=(verb, str(path), "--out", place, "--resume", "--seeds", numbers),
                    seeds=self.config.seeds,
                    key=self.key(row),
                    after=row.waits_for,
                )
            )
        return found

    def lost(self, done: Sequence[Done]) -> set[Done]:
        """Of what is ``done``, the teachers whose weights are not here, though a row that is left waits for them."""
        finished = set(done)
        left = [r for r in self.rows.values() if any((r.name, seed) not in finished for seed in self.config.seeds)]
        wanted = {teacher for row in left for teacher in row.waits_for}
        return {goal for goal in wanted & finished if not (self.folder(*goal) / WEIGHTS).exists()}

    def _check(self, row: Row) -> None:
        """Untrained, the nets of a row are shown to its methods: layers and maps that do not fit are named now."""
        distill = row.recipe.distill
        classes = len(self.pack.charset)

        def fresh() -> nn.Module:
            return build_net(row.recipe.net, classes, self.side)

        try:
            student = fresh()
            if distill is None:
                return
            methods = build_methods(distill)
            nets = [self._teacher(name, row) for name in distill.teachers]
            teacher = FeatureHooks(combine_teachers(nets, distill).eval(), methods.teacher_layers) if nets else None
            connect(FeatureHooks(student, methods.student_layers), teacher, methods, self.side, fresh)
        except (ConfigError, CharsetError, CheckpointError) as error:
            raise type(error)(f"row {row.name!r}: {error}") from error

    def _teacher(self, name: str, row: Row) -> nn.Module:
        """A teacher by its name in the recipe; of rows, which need not be trained yet, only the net."""
        for goal in row.waits_for:
            if name == str(self.folder(*goal)):
                return build_net(self.rows[goal[0]].recipe.net, len(self.pack.charset), self.side)
        if name.startswith(ONNX_PREFIX):
            return load_onnx_teacher(name.removeprefix(ONNX_PREFIX), self.pack.charset, self.pack.normalization)[0]
        return load_fitting(name, self.pack, "teacher").net


def _weighted(method: MethodConfig) -> MethodConfig:
    """With the default weight written out, so that another default is another setting."""
    if method.weight is not None or method.name not in METHODS:  # an unknown name is told with its row
        return method
    return replace(method, weight=METHODS[method.name].weight)


@cache
def _macs(net: NetConfig, classes: int, side: int) -> int:
    return count_macs(build_net(net, classes, side), side)
