"""The interface of a distillation method, and the registry that recipes name methods from.

To add a method, write a class and register it; recipes then know it by that name, once its module is imported::

    @register_method("mine")
    class Mine(Method):
        weight = 1.0  # the paper's weight of this loss in the sum
        def __init__(self, *, temperature: float = 4.0) -> None: ...  # keyword arguments are the recipe's options
        def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor: ...  # a scalar

A method compares the outputs of student and teacher for the same pictures. It never edits a net's code: it reads
features from layers that it names, and creates its own weights (connectors) in :meth:`Method.connect`; these are
trained, saved and resumed with the student. :class:`Distillation` adds several methods up to ``(loss, parts)``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, get_type_hints

from torch import Tensor, nn

from hanmo.config import convert, nearest
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output


class Method(nn.Module):
    """One distillation method. Subclasses define :meth:`loss`, and the hooks before it where they need them.

    ``name``: the name it is registered under.
    ``weight``: the default weight of its loss in the sum; recipes may set another.
    ``needs_teacher``: False for methods that work without one; they then get the student's own output in its place.
    ``takes_empty_pages``: True if the loss also makes sense for pictures without a character, where the teacher's
    probabilities are the same for all classes.
    ``needs_survey``: True for methods that must see the training samples before the first step (:meth:`survey`).
    ``domains``: how many domains the training data must have (``data.domains``); 1 for any number.
    ``student_layers``, ``teacher_layers``: names of the layers whose features :meth:`loss` reads.
    ``teacher_views``: 1, 3 or 5 views of each picture that the teacher sees (:data:`hanmo.nets.tta.VIEWS`). With more
    than one, ``teacher.features`` in :meth:`loss` has the features of all views, see
    :func:`hanmo.nets.feature_hooks.name_in_view`.

    Options are keyword arguments of ``__init__``; recipes are checked against their annotations.
    """

    name: str = ""
    weight: float = 1.0
    needs_teacher: bool = True
    takes_empty_pages: bool = False
    needs_survey: bool = False
    domains: int = 1
    teacher_views: int = 1
    student_layers: tuple[str, ...] = ()
    teacher_layers: tuple[str, ...] = ()

    def attach(self, student: nn.Module, teacher: nn.Module | None, build_student: Callable[[], nn.Module]) -> None:
        """Called once with the nets themselves, before :meth:`connect`.

        A method may set or freeze weights of the student here (never of the teacher), and make another untrained net
        like the student with ``build_student()``. A module that it stores as an attribute is trained and saved with
        the student.
        """

    def name_classes(self, characters: Sequence[str]) -> None:
        """Called once before :meth:`connect` with the character of each class."""

    def connect(self, student: Output, teacher: Output) -> None:
        """Called once with an example output of both nets, before the optimiser exists: check shapes, make connectors.

        Raises :class:`ConfigError` for layers that do not fit.
        """

    def survey(self, answers: Iterable[tuple[Output, Tensor]]) -> None:
        """Called once after :meth:`connect` where ``needs_survey``: the teacher's outputs for the training samples.

        ``answers`` are batches of outputs and labels (N,), without gradients and augmentation. What is learnt here
        belongs into buffers, so that it is saved and resumed.
        """

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        """A scalar. ``labels``: classes (N,) int64, or probabilities (N, C) where pictures were mixed or are empty."""
        raise TypeError(f"{type(self).__name__} defines no loss")

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        return self.loss(student, teacher, labels)


METHODS: dict[str, type[Method]] = {}
"""Name in recipes -> class."""
M = TypeVar("M", bound=type[Method])


def register_method(name: str) -> Callable[[M], M]:
    """Make a :class:`Method` known to recipes as ``name``; a later registration of the same name replaces it."""

    def add(cls: M) -> M:
        METHODS[name] = cls
        cls.name = name
        return cls

    return add


register = register_method
"""The name before :func:`register_net` existed; methods written by users may import it."""


def build_method(name: str, options: Mapping[str, Any]) -> Method:
    """The method ``name`` with ``options``.

    Raises :class:`ConfigError` for an unknown method or option, naming the nearest known one, and for a value of the
    wrong type.
    """
    if name not in METHODS:
        raise ConfigError(f"distillation method {name!r} is unknown; {nearest(name, METHODS)}")
    cls = METHODS[name]
    parameters = inspect.signature(cls.__init__).parameters
    # Only keyword arguments are options; ``self`` is none.
    known = {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    # Resolved types: with postponed annotations the signature holds only their text.
    hints = get_type_hints(cls.__init__)
    for option in options:
        if option not in known:
            raise ConfigError(f"distillation method {name!r} has no option {option!r}; {nearest(option, known)}")
    where = f"distillation method {name!r}"
    return cls(**{k: convert(v, hints[k], where, (k,)) for k, v in options.items()})


class Distillation(nn.Module):
    """The total loss: ``label_weight * label_loss + sum of weight * method``; returned as ``(loss, parts)``.

    ``methods`` are (name, weight, method). The caller computes ``label_loss``, because label smoothing and mixup are
    its business. ``parts`` holds the unweighted value of every term by name. No gradient reaches the teacher, nor the
    student's output where it stands in for a teacher's.
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
        """All layers of the student that some method reads, each once."""
        return tuple(dict.fromkeys(layer for m in self.methods for layer in m.student_layers))

    @property
    def teacher_layers(self) -> tuple[str, ...]:
        """All layers of the teacher that some method reads, each once."""
        return tuple(dict.fromkeys(layer for m in self.methods for layer in m.teacher_layers))

    @property
    def teacher_views(self) -> int:
        """The most views that some method wants of the teacher."""
        return max((m.teacher_views for m in self.methods), default=1)

    @property
    def needs_survey(self) -> bool:
        """Whether some method must see the training samples first."""
        return any(m.needs_survey for m in self.methods)

    def attach(self, student: nn.Module, teacher: nn.Module | None, build_student: Callable[[], nn.Module]) -> None:
        """:meth:`Method.attach` of every method."""
        for method in self.methods:
            method.attach(student, teacher, build_student)

    def name_classes(self, characters: Sequence[str]) -> None:
        """:meth:`Method.name_classes` of every method."""
        for method in self.methods:
            method.name_classes(characters)

    def connect(self, student: Output, teacher: Output) -> None:
        """:meth:`Method.connect` of every method."""
        for method in self.methods:
            method.connect(student, teacher)

    def forward(
        self, student: Output, teacher: Output, labels: Tensor, label_loss: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        # Without a teacher net the student's own output stands here. Detached, it is a fixed target: otherwise the
        # target would move towards the student as well.
        features = {layer: feature.detach() for layer, feature in teacher.features.items()}
        teacher = Output(teacher.logits.detach(), features, teacher.pictures)
        loss = self.label_weight * label_loss
        parts = {"label": label_loss}
        for name, weight, method in zip(self.names, self.weights, self.methods, strict=True):
            # Logged without its weight, so that runs with different weights can be compared.
            parts[name] = method(student, teacher, labels)
            loss = loss + weight * parts[name]
        return loss, parts
