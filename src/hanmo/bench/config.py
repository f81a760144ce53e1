"""The TOML file of a bench: many trainings that differ only in the net or the method that is compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hanmo.config import nearest
from hanmo.errors import ConfigError
from hanmo.nets.registry import NetConfig
from hanmo.train.config import MethodConfig

FORBIDDEN = set("/\\\0 \t\n")
"""Characters that a row's name may not have, because it is also a folder's name."""


@dataclass(frozen=True, kw_only=True)
class NetRow:
    """A net trained on labels alone.

    ``changes`` to the common recipe are written as for ``--set``.
    ``start``: a run of a row above, ``NAME/SEED``, whose weights it begins with; of a wider net it takes the strongest
    channels (:mod:`hanmo.nets.pruning`).
    """

    name: str
    title: str = ""
    net: NetConfig = field(default_factory=NetConfig)
    changes: tuple[str, ...] = ()
    start: str = ""


@dataclass(frozen=True, kw_only=True)
class MethodRow:
    """A distillation method, or a sum of several, tried on every student.

    ``title``: its name in the table.
    ``students``: rows of nets; none: the bench's.
    ``teachers``: none: the bench's. ``NAME`` is the ensemble of all seeds of a row, ``NAME/0`` its run of seed 0,
    ``NAME+STUDENT`` a student that another method trained. Other names with a slash or a colon are run folders and
    ``onnx:`` teachers, as in recipes.
    ``alone``: the method needs no teacher.
    ``changes``: as in :class:`NetRow`.
    """

    name: str
    title: str = ""
    methods: tuple[MethodConfig, ...]
    label_weight: float = 0.1
    students: tuple[str, ...] = ()
    teachers: tuple[str, ...] = ()
    teacher_tta: Literal[1, 3, 5] = field(default=1, metadata={"alias": "teacher_views"})
    alone: bool = False
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """A bench.

    ``recipe``: the training that all rows share, without a [distill] section.
    ``changes``: changes to it for all rows.
    ``seeds``: every row is trained once with each.
    ``students``, ``teachers``: for methods that name none.

    Raises :class:`ConfigError` for rows with the same name, and for students and teachers that are no rows.
    """

    name: str
    recipe: str
    seeds: tuple[int, ...] = (0, 1, 2)
    changes: tuple[str, ...] = ()
    students: tuple[str, ...] = ()
    teachers: tuple[str, ...] = ()
    nets: tuple[NetRow, ...]
    methods: tuple[MethodRow, ...] = ()

    def __post_init__(self) -> None:
        names = [*(row.name for row in self.nets), *(row.name for row in self.methods)]
        if repeated := [name for name, times in Counter(names).items() if times > 1]:
            raise ConfigError(f"row {repeated[0]!r} is there twice; every name once, because it is also a folder's")
        # "+" joins a method and its student ("kd+resnet18"); ":" marks teachers of other kinds ("onnx:...").
        if wrong := [name for name in names if not name or name.startswith(".") or set(name) & (FORBIDDEN | set("+:"))]:
            raise ConfigError(
                f"row {wrong[0]!r}: a name is also a folder's: no slashes, spaces, plus, colon or leading dot"
            )
        if not self.nets or not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ConfigError("nets and seeds need at least one entry each, and every seed once")
        for change in (*self.changes, *(c for rows in (self.nets, self.methods) for row in rows for c in row.changes)):
            key = change.partition("=")[0].strip()
            # Whole sections ("train = ...") are refused too, as they would bring a seed along.
            if key in ("name", "train", "train.seed") or key.split(".")[0] in ("net", "distill"):
                raise ConfigError(f"change {change!r}: nets, methods and seeds are set by the bench itself")
        nets = [row.name for row in self.nets]
        for method in self.methods:
            _require_known(f"row {method.name!r}: student", self.students_of(method), nets)
            # Either teachers or `alone`, never both or neither.
            if method.alone == bool(self.teachers_of(method)):
                raise ConfigError(f"row {method.name!r}: name teachers, or set alone = true when the method needs none")
            if not self.students_of(method):
                raise ConfigError(f"row {method.name!r}: no students; name rows of nets here or for the whole bench")

    def students_of(self, row: MethodRow) -> tuple[str, ...]:
        """The students of a method: its own, or else the bench's."""
        return row.students or self.students

    def teachers_of(self, row: MethodRow) -> tuple[str, ...]:
        """The teachers of a method: its own, or else the bench's, or none where it needs none."""
        return row.teachers or (() if row.alone else self.teachers)


def _require_known(what: str, names: Sequence[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(f"{what} {name!r} is no row of nets; {nearest(name, known)}")
