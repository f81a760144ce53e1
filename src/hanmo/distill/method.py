"""What a distillation method is, and how recipes name one.

A method looks at what student and teacher say about the same pictures and returns a loss; :class:`Distillation` adds
several up to ``(loss, parts)``. A method never edits a net's code: features come from layers it names, and weights of
its own (connectors) are made in :meth:`Method.connect` and train, move, stop and go on with the student. To add one,
write a file with a pure loss function and a small class, and import it in ``distill/__init__.py``::

    @register("mine")
    class Mine(Method):
        weight = 1.0                      # the paper's
        def __init__(self, *, temperature: float = 4.0) -> None: ...
        def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor: ...
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, get_type_hints

from torch import Tensor, nn

from hanmo.config import convert, nearest
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output


class Method(nn.Module):
    """One way to teach. ``weight`` is its default share in the sum of losses.

    Options are keyword arguments of ``__init__``; their annotations are what recipes are checked against. A method that
    needs no teacher (``needs_teacher = False``) is shown the student's own output in its place when there is none.
    ``name`` is the one it is registered under. ``takes_empty_pages`` says that the loss also means something where the
    teacher holds all classes for equally likely, because no character is on the picture.
    """

    name: str = ""
    weight: float = 1.0
    needs_teacher: bool = True
    takes_empty_pages: bool = False
    student_layers: tuple[str, ...] = ()
    teacher_layers: tuple[str, ...] = ()

    def attach(self, student: nn.Module, teacher: nn.Module | None, build_student: Callable[[], nn.Module]) -> None:
        """Called once with the nets themselves, before :meth:`connect`.

        Here a method may set or freeze weights of the student (never of the teacher), and make another untrained
        net like the student by ``build_student()``. What it keeps as a module of its own is trained and saved with the
        student.
        """

    def connect(self, student: Output, teacher: Output) -> None:
        """Called once with a sample of both outputs, before the optimiser is built: make connectors, check shapes."""

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        """A scalar. ``labels`` are classes (N,) int64, or shares (N, C) where pictures were mixed or are empty."""
        raise TypeError(f"{type(self).__name__} defines no loss")

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        return self.loss(student, teacher, labels)


METHODS: dict[str, type[Method]] = {}
M = TypeVar("M", bound=type[Method])


def register(name: str) -> Callable[[M], M]:
    """Register a :class:`Method` under the name recipes use."""

    def add(cls: M) -> M:
        METHODS[name] = cls
        cls.name = name
        return cls

    return add


def build_method(name: str, options: Mapping[str, Any]) -> Method:
    """The method ``name`` with its options; :class:`ConfigError` names what is unknown and the nearest known."""
    if name not in METHODS:
        raise ConfigError(f"distillation method {name!r} is unknown; {nearest(name, METHODS)}")
    cls = METHODS[name]
    parameters = inspect.signature(cls.__init__).parameters
    known = {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    hints = get_type_hints(cls.__init__)
    for option in options:
        if option not in known:
            raise ConfigError(f"distillation method {name!r} has no option {option!r}; {nearest(option, known)}")
    where = f"distillation method {name!r}"
    return cls(**{k: convert(v, hints[k], where, (k,)) for k, v in options.items()})


class Distillation(nn.Module):
    """The weighted sum of methods and of the loss on true labels: ``(loss, parts)``.

    ``label_loss`` is computed by the caller (it owns smoothing and mixing); ``parts`` are the unweighted values. No
    gradient reaches the teacher, or what the student says in its place.
    """

    def __init__(self, methods: Sequence[tuple[str, float, Method]], label_weight: float) -> None:
        super().__init__()
        self.names = [name for name, _, _ in methods]
        self.weights = [weight for _, weight, _ in methods]
        self.methods = [m for _, _, m in methods]
        self._registered = nn.ModuleList(self.methods)  # so that connectors move, train and are saved
        self.label_weight = label_weight

    @property
    def student_layers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(layer for m in self.methods for layer in m.student_layers))

    @property
    def teacher_layers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(layer for m in self.methods for layer in m.teacher_layers))

    def attach(self, student: nn.Module, teacher: nn.Module | None, build_student: Callable[[], nn.Module]) -> None:
        for one in self.methods:
            one.attach(student, teacher, build_student)

    def connect(self, student: Output, teacher: Output) -> None:
        for one in self.methods:
            one.connect(student, teacher)

    def forward(
        self, student: Output, teacher: Output, labels: Tensor, label_loss: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        features = {layer: feature.detach() for layer, feature in teacher.features.items()}
        teacher = Output(teacher.logits.detach(), features, teacher.pictures)
        loss = self.label_weight * label_loss
        parts = {"label": label_loss}
        for name, weight, one in zip(self.names, self.weights, self.methods, strict=True):
            parts[name] = one(student, teacher, labels)
            loss = loss + weight * parts[name]
        return loss, parts
