"""Shared by the methods that compare layers: pairs of layers, equal sizes, losses in float32."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from typing import ParamSpec, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.distill.method import Method
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output

STAGES = ("layer2", "layer3", "layer4")
"""The layers compared by default: the last three stages, which every net here has."""

P = ParamSpec("P")
T = TypeVar("T")


def in_float32(loss: Callable[P, T]) -> Callable[P, T]:
    """Decorator: tensor arguments arrive as float32, and autocast is off inside. The first argument is a tensor.

    In half precision, matrix products lose the small differences that these losses measure.
    """

    @wraps(loss)
    def exact(*args: P.args, **kwargs: P.kwargs) -> T:
        # Both are needed: converted tensors alone would be cast back to half precision by autocast in matrix products.
        full = [a.float() if isinstance(a, Tensor) and a.is_floating_point() else a for a in args]
        with torch.autocast(cast(Tensor, args[0]).device.type, enabled=False):
            return loss(*full, **kwargs)  # type: ignore[arg-type]

    return exact


def same_size(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps (N, C, H, W), averaged down to the smaller height and width of both; channels may differ."""
    if one.shape[2:] == other.shape[2:]:
        return one, other
    # Always down, never up: enlarging would invent details that the smaller map does not have.
    size = (min(one.shape[2], other.shape[2]), min(one.shape[3], other.shape[3]))
    return F.adaptive_avg_pool2d(one, size), F.adaptive_avg_pool2d(other, size)


def pooled(features: Tensor) -> Tensor:
    """Maps (N, C, H, W) or tokens (N, L, C), averaged over places to vectors (N, C); vectors stay as they are."""
    if features.ndim == 4:
        return features.mean((2, 3))
    return features.mean(1) if features.ndim == 3 else features


class Layered(Method):
    """A method that compares ``layers`` of the student with ``teacher_layers`` (the same by default), pair by pair.

    Raises :class:`ConfigError` when there are no layers, or not as many of both.
    """

    def __init__(self, *, layers: tuple[str, ...] = STAGES, teacher_layers: tuple[str, ...] = ()) -> None:
        super().__init__()
        # Most nets here name their stages alike, so one list usually serves both.
        self.student_layers, self.teacher_layers = layers, teacher_layers or layers
        if not layers:
            raise ConfigError(f"{self.name}: layers is empty; name at least one layer of the student")
        if len(self.student_layers) != len(self.teacher_layers):
            raise ConfigError(
                f"{self.name}: {len(self.student_layers)} student layers but {len(self.teacher_layers)} teacher layers"
            )

    def pairs(self, student: Output, teacher: Output) -> list[tuple[Tensor, Tensor]]:
        """The features of each pair of layers: (student's, teacher's)."""
        layers = zip(self.student_layers, self.teacher_layers, strict=True)
        return [(student.features[s], teacher.features[t]) for s, t in layers]

    def need_maps(self, student: Output, teacher: Output) -> None:
        """:class:`ConfigError` when a layer gives anything but maps (N, C, H, W)."""
        advice = "name layers of maps, or take a method of pooled features: pkd, rkd, sp or cc"
        self._need(student, teacher, (4,), f", no map (N, C, H, W); {advice}")

    def need_vectors(self, student: Output, teacher: Output) -> None:
        """:class:`ConfigError` when :func:`pooled` cannot bring a layer's features to (N, C)."""
        advice = "; name layers of maps (N, C, H, W), tokens (N, L, C) or vectors (N, C)"
        self._need(student, teacher, (2, 3, 4), advice)

    def _need(self, student: Output, teacher: Output, dimensions: Collection[int], advice: str) -> None:
        """:class:`ConfigError` when a layer's features have a number of dimensions not among ``dimensions``."""
        both = (("student", student, self.student_layers), ("teacher", teacher, self.teacher_layers))
        for side, output, layers in both:
            for layer in layers:
                shape = tuple(output.features[layer].shape)
                if len(shape) not in dimensions:
                    raise ConfigError(f"{self.name}: {side} layer {layer!r} gives {shape}{advice}")


def total(losses: list[Tensor]) -> Tensor:
    """The sum of the losses, a list of at least one 0-d tensor."""
    # Not Python's sum(), which would turn an empty list silently into a loss of 0; stack refuses it.
    return torch.stack(losses).sum()


def above_zero(method: str, **options: float) -> None:
    """:class:`ConfigError` that names the first option not above 0."""
    for name, value in options.items():
        if value <= 0:
            raise ConfigError(f"{method}: {name} {value} must be above 0")


def not_negative(method: str, **options: float) -> None:
    """:class:`ConfigError` that names the first option below 0."""
    for name, value in options.items():
        if value < 0:
            raise ConfigError(f"{method}: {name} {value} must not be negative")
