"""A foreign ONNX model as a teacher: a classifier of characters or a reader of text lines.

A recipe names it ``onnx:`` and a TOML file that describes the model's input and its outputs::

    model = "PP-OCRv6_rec_small.onnx"       # beside the TOML file, in the current folder or in models/; or a full path
    labels = "metadata:character"           # or a text file of one label a line, looked for in the same places
    before = [""]                           # labels the model has before these (a line reader's blank) ...
    after = [" "]                           # ... and after
    source = "PP-OCRv6 small"               # the model and its licence are recorded in runs and bundles
    licence = "Apache-2.0"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Literal

import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.builtin import MARK, recipe_path
from hanmo.charset import Charset
from hanmo.config import load_toml
from hanmo.errors import CharsetError, ConfigError, ModelError, one_line
from hanmo.files import read_limited
from hanmo.nets.ensemble import resize
from hanmo.nets.onnx import OnnxNet
from hanmo.normalize import MEAN, PAPER, STD, Normalization
from hanmo.onnxfile import needs_other_files

ONNX_PREFIX = "onnx:"
"""The prefix of a teacher's name that is a TOML file about an ONNX model; others are run folders."""

FLOOR = 1e-9
"""The smallest probability that a model may give, because its logarithm must stay finite."""

MISSING = 0.01
"""The largest share of our characters that a teacher may lack. The other teachers of the
:class:`hanmo.nets.ensemble.Ensemble` answer for these."""

MODELS = "models"
"""Folder below the current one in which foreign models are looked for."""


_MAX_MODEL = 2**31  # bytes; protobuf has no larger messages
_MAX_LABELS = 16 * 2**20


@dataclass(frozen=True, kw_only=True)
class OnnxTeacherConfig:
    """The TOML file of a model; the module's docstring shows one.

    The input has ``channels`` equal channels of ``side`` x ``side`` pixels, ``mean`` and ``std`` are shares of white,
    and ``ink`` says whether ink is ``dark`` or ``bright``. ``margin`` is the share of the picture that is left white on
    every side. The output holds ``scores``, ``probabilities`` or ``logits``: (N, labels), or (N, places, labels) from a
    reader of text lines, where the best place of each character counts.
    """

    model: str
    labels: str
    source: str
    licence: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    side: int = 48
    channels: int = 3
    mean: float = 0.5
    std: float = 0.5
    ink: Literal["dark", "bright"] = "dark"
    scores: Literal["probabilities", "logits"] = "probabilities"
    margin: float = 0.0

    def __post_init__(self) -> None:
        if set("()") & set(self.licence):
            # Runs record "source (licence)", and exports take the licence from between the parentheses.
            raise ConfigError(f"licence {self.licence!r}: without parentheses; an SPDX name is best")
        if not 8 <= self.side <= 512 or self.channels < 1 or self.std <= 0 or not 0 <= self.margin < 0.4:
            raise ConfigError(
                f"side {self.side}, channels {self.channels}, std {self.std}, margin {self.margin}: "
                "side 8 to 512, channels from 1, std above 0, margin 0 to 0.4"
            )


class OnnxTeacher(nn.Module):
    """Standardised pictures as our nets see them, (N, 1, S, S) -> log-probabilities (N, C) of our charset."""

    def __init__(
        self, net: OnnxNet, config: OnnxTeacherConfig, classes: Tensor, margin: float, members: Tensor | None = None
    ) -> None:
        """``classes``, (C,), are the model's labels of our characters, -1 where it has none.

        ``members``, (M, 2), are further labels of ours, each with the class whose probability it adds to. ``margin`` is
        the margin of our pictures, as a share of their side.
        """
        super().__init__()
        self.net, self.config = net, config
        self.trim = margin - config.margin
        self.classes: Tensor
        self.lacks: Tensor
        # -1 would read the last label; 0 is as good as any, since ``lacks`` masks these columns.
        self.register_buffer("classes", classes.clamp(min=0))
        self.register_buffer("lacks", classes < 0)
        self.members: Tensor
        self.register_buffer("members", torch.zeros(0, 2, dtype=torch.int64) if members is None else members)

    def forward(self, x: Tensor) -> Tensor:
        side, config = x.shape[-1], self.config
        # Bring our margin to the model's: cut some of it off, or add paper around.
        cut = round(self.trim * side)
        ink = x[..., cut : side - cut, cut : side - cut] if cut > 0 else F.pad(x, [-cut] * 4, value=PAPER)
        # Undo our standardisation (ink 0 to 1), then apply the model's own.
        ink = resize(ink, config.side) * STD + MEAN
        ink = (1 - ink if config.ink == "dark" else ink).sub(config.mean).div(config.std)
        scores = self.net(ink.expand(-1, config.channels, -1, -1)).float()
        if config.scores == "logits":
            scores = scores.softmax(-1)
        if scores.ndim == 3:
            scores = scores.amax(1)  # a reader of lines: the place where each character is most likely
        ours = scores[:, self.classes]
        if len(self.members):
            ours = ours.index_add(1, self.members[:, 1], scores[:, self.members[:, 0]])
        ours = ours.clamp(min=FLOOR).log()
        # Probabilities among our characters only: the model may know many more, whose share is dropped.
        known: Tensor = ours.masked_fill(self.lacks, log(FLOOR)).log_softmax(-1)
        return known


def load_onnx_teacher(
    path: str, charset: Charset, normalization: Normalization, members: Mapping[str, str] | None = None
) -> tuple[OnnxTeacher, str]:
    """The teacher that the TOML file ``path`` (or ``@NAME``) describes, and the text "source (licence)".

    It reads pictures of the given ``normalization``. ``members`` are the characters of each class that stands for
    several; their probabilities are added. Raises :class:`ModelError` for a model that is not there or
    cannot be used, :class:`ConfigError` for a TOML file that does not fit the model, :class:`CharsetError` when the
    model lacks more than :data:`MISSING` of our characters.
    """
    config = load_toml(path, OnnxTeacherConfig, kind="teacher")
    folder = recipe_path(path).parent
    file = _find(config.model, folder, path)
    model = _read(file)
    labels = [*config.before, *_labels(config.labels, file, model, folder, path), *config.after]
    # Reversed, so that of a label that occurs twice the first place counts.
    place = {label: number for number, label in reversed(list(enumerate(labels)))}
    labels_of = {c: [place[m] for m in (members or {}).get(c, c) if m in place] for c in charset}
    lacking = [c for c, own in labels_of.items() if not own]
    if len(lacking) > MISSING * len(charset):
        raise CharsetError(f"{path}: the model lacks {len(lacking)} of our characters, {lacking[0]!r} first")
    try:
        net = OnnxNet(model)
    except (ModelError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{file}: {one_line(error)}") from error
    classes = torch.tensor([own[0] if own else -1 for own in labels_of.values()])
    further = [(label, number) for number, own in enumerate(labels_of.values()) for label in own[1:]]
    margin = normalization.margin / normalization.side
    teacher = OnnxTeacher(net, config, classes, margin, torch.tensor(further).view(-1, 2))
    _try(teacher, len(labels), file)
    return teacher, f"{config.source} ({config.licence})"


def _find(name: str, folder: Path, path: str) -> Path:
    """The file ``name`` beside the TOML file, in the current folder or in ``models/``, whichever has it first."""
    for place in (folder, Path(), Path(MODELS)):  # a full path is itself in every place
        if (place / name).is_file():
            return place / name
    raise ModelError(
        f"{name}: cannot be found beside {path}, in the current folder or in {MODELS}/; put it there, as "
        f"{MODELS}/{Path(name).name}{_origin(path)}"
    )


def _origin(path: str) -> str:
    """For what comes with hanmo, a hint that its file says where the model is to be had."""
    return f" ({recipe_path(path)} says where to get it)" if path.startswith(MARK) else ""


def _read(file: Path) -> onnx.ModelProto:
    try:
        data = read_limited(file, _MAX_MODEL)
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        if needs_other_files(data):
            raise ModelError(f"{file}: keeps weights in other files; export it as one file")
        return onnx.load_model_from_string(data)
    except ModelError:
        raise
    except Exception as error:  # protobuf's own errors have no base that onnx would name
        raise ModelError(f"{file}: not an ONNX model ({one_line(error)})") from error


def _labels(named: str, file: Path, model: onnx.ModelProto, folder: Path, path: str) -> list[str]:
    """The labels of the model ``file``, from its metadata (``metadata:KEY``) or from a text file."""
    kind, _, key = named.partition(":")
    if kind == "metadata":
        texts: dict[str, str] = {entry.key: entry.value for entry in model.metadata_props}
        if key not in texts:
            raise ConfigError(f"{file}: has no metadata {key!r}; it has: {', '.join(texts) or 'none'}")
        return texts[key].split("\n")
    labels = _find(named, folder, path)
    try:
        return read_limited(labels, _MAX_LABELS).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{labels}: cannot be read as labels ({one_line(error)})") from error


@torch.no_grad()
def _try(teacher: OnnxTeacher, labels: int, file: Path) -> None:
    """Run the model on two pictures, so that errors of the TOML file are reported now and in plain words."""
    config = teacher.config
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(2, config.channels, config.side, config.side, generator=generator)
    try:
        scores = teacher.net(pictures)
        alone = teacher.net(pictures[:1])
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    except (RuntimeError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise ModelError(
            f"{file}: cannot read {config.channels} channels of {config.side} pixels ({one_line(error)})"
        ) from error
    if not isinstance(scores, Tensor) or scores.ndim not in (2, 3) or scores.shape[-1] != labels:
        shape = tuple(scores.shape) if isinstance(scores, Tensor) else "no tensor"
        raise ConfigError(f"{file}: gives {shape}, but there are {labels} labels; check before and after")
    if len(scores) != 2 or not torch.allclose(scores[:1], alone, atol=1e-3):
        raise ModelError(f"{file}: answers one picture at a time only; export it with a free number of pictures")
    sums = scores.sum(-1)
    if config.scores == "probabilities" and not (
        scores.amin() > -1e-3 and torch.allclose(sums, sums.new_ones(()), atol=0.02)
    ):
        raise ConfigError(f'{file}: gives no probabilities; set scores = "logits"')
