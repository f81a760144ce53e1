"""What a user adds to a bundle: new characters, and an adaptation to a hand. The model itself stays as it is.

An :class:`Extension` changes the features x of a picture and then the logits:

- **adaptation** (Zhang, Bengio and Liu, "Online and offline handwritten Chinese character recognition: A comprehensive
  study and new benchmark", 2017): x' = A x + b with A = I + U V^T of low rank;
- **prototypes**: each has a row of weights and a bias, as the classes of the last layer have, and belongs to a class.
  Classes of the model keep their logits; a class with prototypes gets the largest logit of all that belong to it.

The file ``extension.npy`` in a bundle holds the arrays one after another, each in NumPy's format .npy.
"""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hanmo.classifier import Classifier
from hanmo.errors import BundleError

Floats = NDArray[np.float32]

MAX_PROTOTYPES = 20_000
"""Far more than anyone adds by hand; twice the classes of the largest reader."""
MAX_FEATURES = 65_536
# NumPy's own reader of headers parses Python; files of others are held to the one form in which np.save() writes.
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<kind><i8|<f4)', 'fortran_order': False, "
    rb"'shape': \((?P<shape>(?:\d{1,9},)?(?: ?\d{1,9})?)\), \} *\n",
    re.DOTALL,
)
_INTS = ("base", "classes")
_NAMES = (*_INTS, "weight", "bias", "up", "down", "shift")
_AGAIN = "make the bundle again"


@dataclass(frozen=True, eq=False)
class Extension:
    """Prototypes and an adaptation for features of F numbers.

    ``base`` is the number of classes of the model; those that the prototypes add follow. ``classes`` int64 (K,) is the
    class of each prototype, ``weight`` float32 (K, F) and ``bias`` float32 (K,) its row;
    ``up`` and ``down`` float32 (F, R) and ``shift`` float32 (F,) are U, V and b of the adaptation, of rank R >= 0.
    """

    base: int
    classes: NDArray[np.int64]
    weight: Floats
    bias: Floats
    up: Floats
    down: Floats
    shift: Floats

    @classmethod
    def empty(cls, base: int, features: int) -> Extension:
        """An extension that changes nothing."""
        none = np.zeros((features, 0), np.float32)
        no_rows = np.zeros((0, features), np.float32)
        zeros = np.zeros(features, np.float32)
        return cls(base, np.zeros(0, np.int64), no_rows, np.zeros(0, np.float32), none, none, zeros)

    def with_prototypes(self, classes: NDArray[np.int64], weight: Floats, bias: Floats) -> Extension:
        """The same with further prototypes."""
        return replace(
            self,
            classes=np.concatenate([self.classes, classes]),
            weight=np.concatenate([self.weight, weight]),
            bias=np.concatenate([self.bias, bias]),
        )

    def adapted(self, features: Floats) -> Floats:
        """The features (N, F) as they are after the adaptation."""
        return np.asarray(features + (features @ self.down) @ self.up.T + self.shift, np.float32)

    def to_bytes(self) -> bytes:
        """The content of ``extension.npy``."""
        file = io.BytesIO()
        for name in _NAMES:
            array = np.ascontiguousarray(getattr(self, name), "<i8" if name in _INTS else "<f4")
            np.save(file, array.reshape(1) if name == "base" else array, allow_pickle=False)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, classes: int, where: str) -> Extension:
        """The inverse of :meth:`to_bytes`, for a bundle of ``classes`` classes.

        Raises :class:`BundleError`, beginning with ``where``, for anything that :meth:`to_bytes` did not write.
        """
        try:
            arrays = _read_arrays(data)
        except ValueError as error:
            raise BundleError(f"{where}: not the arrays of an extension ({error}); {_AGAIN}") from error
        if arrays["base"].shape != (1,):
            raise BundleError(f"{where}: its count of classes is no single number; {_AGAIN}")
        extension = cls(**(arrays | {"base": int(arrays["base"][0])}))  # type: ignore[arg-type]
        if not extension._fits(classes):
            raise BundleError(f"{where}: its arrays do not fit each other or the bundle; {_AGAIN}")
        return extension

    def _fits(self, classes: int) -> bool:
        k, f = self.weight.shape if self.weight.ndim == 2 else (-1, -1)
        rank = self.up.shape[1] if self.up.ndim == 2 else -1
        shapes = [(k,), (k, f), (k,), (f, rank), (f, rank), (f,)]
        arrays = [getattr(self, name) for name in _NAMES[1:]]
        added = range(self.base, classes)
        return (
            [array.shape for array in arrays] == shapes
            and 0 < self.base <= classes
            and set(added) <= set(self.classes.tolist())  # a class without a prototype could never be read
            and k <= MAX_PROTOTYPES
            and 0 < f <= MAX_FEATURES
            and rank <= f
            and bool(((self.classes >= 0) & (self.classes < classes)).all())
            and all(np.isfinite(array).all() for array in arrays[1:])
        )


class ExtendedLayer:
    """Computes the logits of an extended bundle from the logits and the features of its model.

    ``classifier`` is the last layer of the model with C classes, the bundle has ``classes`` >= C.
    """

    def __init__(self, extension: Extension, classifier: Classifier, classes: int) -> None:
        self.extension, self.classes = extension, classes
        # W U and W b are computed once, so that a picture costs two products with R columns in place of one with F.
        self._up = np.ascontiguousarray((classifier.weight @ extension.up).T)
        self._shift = classifier.weight @ extension.shift
        self._changes = bool(extension.up.shape[1] or extension.shift.any())

    def __call__(self, logits: Floats, features: Floats) -> Floats:
        """The logits float32 (N, classes) for the model's logits (N, C) and features (N, F)."""
        own, old = self.extension, logits.shape[1]
        answers = np.full((len(logits), self.classes), -np.inf, np.float32)
        answers[:, :old] = logits
        if self._changes:
            answers[:, :old] += (features @ own.down) @ self._up + self._shift
            features = own.adapted(features)
        if len(own.classes):
            # maximum.at and not answers[:, classes] = ...: a class may have several prototypes.
            np.maximum.at(answers.T, own.classes, (features @ own.weight.T + own.bias).T)
        return answers


def _read_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays by name; nothing is allocated beyond the size of ``data``, whatever a header says."""
    at, arrays = 0, {}
    for name in _NAMES:
        kind = "<i8" if name in _INTS else "<f4"
        found = _HEADER.match(data, at)
        if found is None or found["kind"].decode() != kind:
            raise ValueError(f"{name}: no .npy array of {kind}")
        shape = tuple(int(side) for side in found["shape"].replace(b" ", b"").split(b",") if side)
        count = math.prod(shape)
        if count * np.dtype(kind).itemsize > len(data) - found.end():
            raise ValueError(f"{name}: cut off")
        # A copy, as an array on the file's bytes may lie at any odd address.
        arrays[name] = np.frombuffer(data, kind, count, found.end()).reshape(shape).copy()
        at = found.end() + arrays[name].nbytes
    if at != len(data):
        raise ValueError("something follows the arrays")
    return arrays
