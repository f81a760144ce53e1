"""A teacher from elsewhere: an ONNX classifier or line reader, brought to our pictures and our characters.

A recipe names it ``onnx:`` and a TOML file that says what the model reads and what its outputs stand for::

    model = "PP-OCRv6_rec_small.onnx"       # beside the TOML file, or a full path
    labels = "metadata:character"           # or a text file of one label a line, beside the TOML file
    before = [""]                           # labels the model has before these (a line reader's blank) ...
    after = [" "]                           # ... and after
    source = "PP-OCRv6 small"               # what taught, and under which licence: recorded in runs and bundles
    licence = "Apache-2.0"
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Literal

import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.charset import Charset
from hanmo.config import load_toml
from hanmo.errors import CharsetError, ConfigError, one_line
from hanmo.nets.ensemble import resize
from hanmo.nets.onnx import OnnxNet
from hanmo.normalize import MEAN, STD, Normalization
from hanmo.onnxfile import needs_other_files

ONNX_PREFIX = "onnx:"
"""What a teacher's name begins with when the rest of it is a TOML file that describes an ONNX model."""

FLOOR = 1e-9
"""The probability of whatever the model holds for less likely: its log must stay finite."""

MISSING = 0.01
"""The share of our characters a teacher may lack: of these others decide (:class:`hanmo.nets.ensemble.Ensemble`)."""


@dataclass(frozen=True, kw_only=True)
class OnnxTeacherConfig:
    """What an ONNX model reads and says; see the module. ``side`` is in pixels, ``mean``, ``std`` are shares of white.

    ``ink`` is how the model wants it; ``scores`` what it gives: ``probabilities`` or ``logits``, (N, labels) or, from a
    reader of lines, (N, places, labels), where a character's score is its best place's. ``margin`` is the share of its
    picture left white on every side.
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
            raise ConfigError(f"licence {self.licence!r}: without parentheses; an SPDX name is best")
        if not 8 <= self.side <= 512 or self.channels < 1 or self.std <= 0 or not 0 <= self.margin < 0.4:
            raise ConfigError(
                f"side {self.side}, channels {self.channels}, std {self.std}, margin {self.margin}: "
                "side 8 to 512, channels from 1, std above 0, margin 0 to 0.4"
            )


class OnnxTeacher(nn.Module):
    """Pictures as our nets see them, (N, 1, S, S), standardised -> log-probabilities (N, C) of the charset."""

    def __init__(self, net: OnnxNet, config: OnnxTeacherConfig, classes: Tensor, margin: float) -> None:
        """``classes`` (C,) are the model's labels of our characters, -1 where it has none; ``margin`` our pictures'."""
        super().__init__()
        self.net, self.config = net, config
        self.trim = margin - config.margin
        self.classes: Tensor
        self.lacks: Tensor
        self.register_buffer("classes", classes.clamp(min=0))
        self.register_buffer("lacks", classes < 0)

    def forward(self, x: Tensor) -> Tensor:
        side, config = x.shape[-1], self.config
        cut = round(self.trim * side)
        ink = x[..., cut : side - cut, cut : side - cut] if cut > 0 else F.pad(x, [-cut] * 4, value=-MEAN / STD)
        ink = resize(ink, config.side) * STD + MEAN
        ink = (1 - ink if config.ink == "dark" else ink).sub(config.mean).div(config.std)
        scores = self.net(ink.expand(-1, config.channels, -1, -1)).float()
        if config.scores == "logits":
            scores = scores.softmax(-1)
        if scores.ndim == 3:
            scores = scores.amax(1)
        ours = scores[:, self.classes].clamp(min=FLOOR).log()
        known: Tensor = ours.masked_fill(self.lacks, log(FLOOR)).log_softmax(-1)
        return known


def load_onnx_teacher(path: str, charset: Charset, normalization: Normalization) -> tuple[OnnxTeacher, str]:
    """The teacher that the TOML file ``path`` describes, for pictures so normalised, and "source (licence)" of it.

    Raises :class:`ConfigError` for a file or model that cannot be used, :class:`CharsetError` when the model lacks more
    than :data:`MISSING` of our characters.
    """
    config = load_toml(path, OnnxTeacherConfig)
    file = Path(path).parent / config.model
    model = _read(file)
    labels = [*config.before, *_labels(config.labels, file, model, Path(path).parent), *config.after]
    place = {label: number for number, label in reversed(list(enumerate(labels)))}
    lacking = [c for c in charset if c not in place]
    if len(lacking) > MISSING * len(charset):
        raise CharsetError(f"{path}: the model lacks {len(lacking)} of our characters, {lacking[0]!r} first")
    try:
        net = OnnxNet(model)
    except (ConfigError, KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{file}: {one_line(error)}") from error
    classes = torch.tensor([place.get(c, -1) for c in charset])
    teacher = OnnxTeacher(net, config, classes, normalization.margin / normalization.side)
    _try(teacher, len(labels), file)
    return teacher, f"{config.source} ({config.licence})"


def _read(file: Path) -> onnx.ModelProto:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        if needs_other_files(data):
            raise ConfigError(f"{file}: keeps weights in other files; export it as one file")
        return onnx.load_model_from_string(data)
    except ConfigError:
        raise
    except Exception as error:  # protobuf's own errors have no base that onnx would name
        raise ConfigError(f"{file}: not an ONNX model ({one_line(error)})") from error


def _labels(named: str, file: Path, model: onnx.ModelProto, folder: Path) -> list[str]:
    kind, _, key = named.partition(":")
    if kind == "metadata":
        texts: dict[str, str] = {entry.key: entry.value for entry in model.metadata_props}
        if key not in texts:
            raise ConfigError(f"{file}: has no metadata {key!r}; it has: {', '.join(texts) or 'none'}")
        return texts[key].split("\n")
    try:
        return (folder / named).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{folder / named}: cannot be read as labels ({one_line(error)})") from error


@torch.no_grad()
def _try(teacher: OnnxTeacher, labels: int, file: Path) -> None:
    """Let it see two pictures, so that what does not fit is said now and in words."""
    config = teacher.config
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(2, config.channels, config.side, config.side, generator=generator)
    try:
        scores = teacher.net(pictures)
        alone = teacher.net(pictures[:1])
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    except (RuntimeError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise ConfigError(
            f"{file}: cannot read {config.channels} channels of {config.side} pixels ({one_line(error)})"
        ) from error
    if not isinstance(scores, Tensor) or scores.ndim not in (2, 3) or scores.shape[-1] != labels:
        shape = tuple(scores.shape) if isinstance(scores, Tensor) else "no tensor"
        raise ConfigError(f"{file}: gives {shape}, but there are {labels} labels; check before and after")
    if len(scores) != 2 or not torch.allclose(scores[:1], alone, atol=1e-3):
        raise ConfigError(f"{file}: answers one picture at a time only; export it with a free number of pictures")
    sums = scores.sum(-1)
    if config.scores == "probabilities" and not (
        scores.amin() > -1e-3 and torch.allclose(sums, sums.new_ones(()), atol=0.02)
    ):
        raise ConfigError(f'{file}: gives no probabilities; set scores = "logits"')
