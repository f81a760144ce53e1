"""From the TOML file of a bench to its trainings: their recipes, teachers and costs."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from hanmo.atomic import write_whole
from hanmo.bench.config import BenchConfig, MethodRow, NetRow
from hanmo.bench.dry_run import Cost, trained_nets, training_cost
from hanmo.bench.jobs import Job, RunId
from hanmo.builtin import MARK, recipe_path, with_former_names
from hanmo.config import dump_toml, load_toml, nearest
from hanmo.distill import METHODS
from hanmo.errors import CharsetError, CheckpointError, ConfigError, ModelError
from hanmo.nets.feature_hooks import FeatureHooks
from hanmo.nets.registry import build_net
from hanmo.train.config import SYNTH_PREFIX, DistillConfig, MethodConfig, Recipe
from hanmo.train.data import open_training
from hanmo.train.initialisation import begin_with, load_fitting
from hanmo.train.methods import build_methods, hook_student
from hanmo.train.onnx_teacher import ONNX_PREFIX, load_onnx_teacher
from hanmo.train.run import WEIGHTS
from hanmo.train.teachers import combine_teachers


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table: one training with all its seeds.

    ``student``: the row of the same net trained on labels alone; for such a row its own name.
    ``teacher_runs``: runs of other rows whose nets are its teachers.
    ``start_runs``: the run of another row that it begins with, if any.
    """

    name: str
    title: str
    student: str
    recipe: Recipe
    teacher_runs: tuple[RunId, ...] = ()
    start_runs: tuple[RunId, ...] = ()

    @property
    def earlier_runs(self) -> tuple[RunId, ...]:
        """The runs whose weights it needs; they must be finished first."""
        return (*self.teacher_runs, *self.start_runs)

    @property
    def is_alone(self) -> bool:
        """Whether it is trained on labels alone, without distillation."""
        return self.recipe.distill is None


class Comparison:
    """All rows of a bench whose results go into the folder ``out``. Nothing is written before :meth:`write_recipes`.

    The constructor checks everything that can be checked before training. It raises :class:`ConfigError` for recipes,
    layers and feature maps that do not fit (naming the row), :class:`CharsetError` for teachers of other characters,
    :class:`ModelError` for ONNX models that cannot be used, and the errors of opening the data.
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
            recipe, start_runs = self._recipe_of(net)
            title = net.title or net.name
            row = Row(name=net.name, title=title, student=net.name, recipe=recipe, start_runs=start_runs)
            self.rows[net.name] = row
        for method in config.methods:
            for student in config.students_of(method):
                row = self._method_row(method, student)
                self.rows[row.name] = row
        for row in self.rows.values():
            # Last, when all rows exist: a method's teachers may be other rows.
            self._check(row)

    def _recipe_of(self, net: NetRow, *changes: str) -> tuple[Recipe, tuple[RunId, ...]]:
        """The recipe of a net, with further changes; and the run that it begins with, as a tuple of one, or none."""
        recipe = load_toml(self.config.recipe, Recipe, (*self.config.changes, *net.changes, *changes))
        # The row sets the net; the rest is the common recipe, so that rows differ only in what is compared.
        recipe = replace(recipe, name=net.name, net=net.net)
        if not net.start:
            return recipe, ()
        role = f"row {net.name!r}: start"
        runs = self._runs_of(net.start, role)
        if len(runs) != 1 or "/" not in net.start:
            raise ConfigError(f"{role} {net.start!r} is no run of a row above it; write NAME/SEED")
        if recipe.train.start:
            raise ConfigError(f"{role} {net.start!r}, but a change sets train.start too; leave one out")
        return replace(recipe, train=replace(recipe.train, start=str(self.folder(*runs[0])))), (runs[0],)

    def _method_row(self, row: MethodRow, student: str) -> Row:
        """The training of one student by one method."""
        teachers, teacher_runs = [], []
        for teacher in self.config.teachers_of(row):
            runs = self._runs_of(teacher, f"row {row.name!r}: teacher")
            teacher_runs += runs
            # A row as teacher means its run folders, whether they are trained yet or not; other names stay as they are.
            teachers += [str(self.folder(name, seed)) for name, seed in runs] or [teacher]
        net = next(net for net in self.config.nets if net.name == student)
        recipe, start_runs = self._recipe_of(net, *row.changes)
        distill = DistillConfig(
            teachers=tuple(teachers),
            teacher_tta=row.teacher_tta,
            methods=tuple(_with_weight(method) for method in row.methods),
            label_weight=row.label_weight,
        )
        name = f"{row.name}+{student}"
        return Row(
            name=name,
            title=row.title or row.name,
            student=student,
            recipe=replace(recipe, name=name, distill=distill),
            teacher_runs=tuple(teacher_runs),
            start_runs=start_runs,
        )

    def _runs_of(self, teacher: str, role: str) -> list[RunId]:
        """The runs that ``teacher`` (``NAME`` or ``NAME/SEED``) means; none when it is a run folder or ONNX model.

        ``role`` says in errors what it is, and of which row.
        """
        # "resnet18/0" is the run of seed 0 of a row, "resnet18" all its runs, "runs/old" some other run folder.
        name, slash, seed = teacher.rpartition("/")
        if name in self.rows and slash:
            if seed not in map(str, self.config.seeds):
                raise ConfigError(f"{role} {teacher!r}: no seed {seed}; there are {self.config.seeds}")
            return [(name, int(seed))]
        if teacher in self.rows:
            return [(teacher, seed) for seed in self.config.seeds]
        # No row, and neither a path nor an "onnx:..." nor an "@..." name: a slip in a row's name.
        if not slash and ":" not in teacher and not teacher.startswith(MARK):
            raise ConfigError(f"{role} {teacher!r} is no row above it; {nearest(teacher, self.rows)}")
        return []

    def folder(self, name: str, seed: int) -> Path:
        """The run folder of a row and seed. Other settings have another folder, so no run is overwritten."""
        return self._place(self.rows[name]) / f"seed-{seed}"

    def _place(self, row: Row) -> Path:
        return self.out / "runs" / row.name / self.key(row)

    def key(self, row: Row) -> str:
        """A digest of all settings, including the teachers'; records with another key are not used for this row.

        Of a pack, the number of samples, the characters and the normalisation count, not the pixels: their last bits
        may differ between machines. Of teachers and starts that are no rows, only the path counts.
        """
        # Without the path of the results: a folder that was moved or copied keeps its finished runs.
        text = dump_toml(row.recipe).replace(str(self.out), "")
        # Renamed keys and paths go into the digest by their old names, so that finished results keep their keys.
        text = with_former_names(text.replace("\nteacher_tta =", "\nteacher_views ="))
        text = text.replace("\n[page_training]", "\n[views]")
        text += f"{self.samples} {self.pack.charset.digest} {self.pack.normalization}"
        # The recipe only names the file of the synthesis, so its content goes into the digest as well.
        if row.recipe.data.train.startswith(SYNTH_PREFIX):
            drawn = recipe_path(row.recipe.data.train.removeprefix(SYNTH_PREFIX))
            text += with_former_names(drawn.read_text(encoding="utf-8"))
        # A student depends on its teachers and its start: if their settings change, it must be trained again.
        text += "".join(self.key(self.rows[name]) for name, _ in dict.fromkeys(row.earlier_runs))
        # 12 hexadecimal digits (48 bits) are short enough for a folder's name, and two keys never meet by chance.
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def cost(self, row: Row) -> Cost:
        """The cost of a row, all seeds together. Raises :class:`CheckpointError` for a teacher without weights."""
        teachers = [self.rows[name].recipe.net for name, _ in row.teacher_runs]
        if row.recipe.distill:
            # Teachers that are rows were counted by their recipes above; what is left has finished run folders.
            rows = {str(self.folder(*run)) for run in row.teacher_runs}
            teachers += trained_nets([name for name in row.recipe.distill.teachers if name not in rows])
        cost = training_cost(row.recipe, self.samples, len(self.pack.charset), self.side, teachers)
        return cost * len(self.config.seeds)

    def jobs(self) -> list[Job]:
        """A command for each row; it reads the recipe that :meth:`write_recipes` writes."""
        return [self._job(row) for row in self.rows.values()]

    def _job(self, row: Row) -> Job:
        verb = "train" if row.is_alone else "distill"
        seeds = ",".join(map(str, self.config.seeds))
        # --resume, as a job that was stopped is started by the very same command.
        options = ("--out", str(self._place(row)), "--resume", "--seeds", seeds)
        return Job(
            name=row.name,
            arguments=(verb, str(self._recipe_path(row)), *options),
            seeds=self.config.seeds,
            key=self.key(row),
            after=row.earlier_runs,
            cost=self.cost(row),
        )

    def write_recipes(self) -> None:
        """Write the recipe of every row into the folder."""
        for row in self.rows.values():
            path = self._recipe_path(row)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, dump_toml(row.recipe).encode())

    def _recipe_path(self, row: Row) -> Path:
        return self.out / "recipes" / f"{row.name}.toml"

    def missing_weights(self, finished: Collection[RunId]) -> set[RunId]:
        """Those of the ``finished`` runs whose weights a row still to train needs, but which are not here.

        Records may come from another machine, where the weights stayed.
        """
        # Rows of which at least one seed is not finished.
        left = [r for r in self.rows.values() if any((r.name, seed) not in finished for seed in self.config.seeds)]
        needed = {run for row in left for run in row.earlier_runs}
        return {run for run in needed & set(finished) if not (self.folder(*run) / WEIGHTS).exists()}

    def _check(self, row: Row) -> None:
        """Connect the row's methods to untrained nets, so that layers and maps that do not fit raise an error now."""
        distill = row.recipe.distill
        classes = len(self.pack.charset)

        def build_student() -> nn.Module:
            return build_net(row.recipe.net, classes, self.side)

        try:
            student = build_student()
            for name, _ in row.start_runs:
                start = build_net(self.rows[name].recipe.net, classes, self.side).state_dict()
                begin_with(student, start, name)
            if distill is None:
                return
            layers = build_methods(distill).teacher_layers
            nets = [self._teacher(name, row) for name in distill.teachers]
            teacher = FeatureHooks(combine_teachers(nets, distill).eval(), layers) if nets else None
            hook_student(student, distill, teacher, self.side, self.pack.charset.characters, build_student)
        except (ConfigError, CharsetError, CheckpointError, ModelError) as error:
            raise type(error)(f"row {row.name!r}: {error}") from error

    def _teacher(self, name: str, row: Row) -> nn.Module:
        """A teacher by its name in the recipe. Rows need not be trained yet: of these it is the untrained net."""
        for run in row.teacher_runs:
            if name == str(self.folder(*run)):
                return build_net(self.rows[run[0]].recipe.net, len(self.pack.charset), self.side)
        if name.startswith(ONNX_PREFIX):
            return load_onnx_teacher(name.removeprefix(ONNX_PREFIX), self.pack.charset, self.pack.normalization)[0]
        return load_fitting(name, self.pack, "teacher").net


def _with_weight(method: MethodConfig) -> MethodConfig:
    """With the default weight written out, so that the key changes if the default changes."""
    if method.weight is not None or method.name not in METHODS:  # _check reports an unknown name with its row
        return method
    return replace(method, weight=METHODS[method.name].weight)
