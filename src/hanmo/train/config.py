"""The recipe: one TOML file that describes one experiment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from hanmo.charset import named_charset
from hanmo.config import require_folder_name
from hanmo.distill import METHODS, build_method
from hanmo.errors import ConfigError
from hanmo.nets.registry import NetConfig

SYNTH_PREFIX = "synth:"
"""The prefix of ``data.train`` that is a recipe to draw from; without it, it is a pack."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """``train`` and ``test`` are packs of the same normalisation; the net never trains on ``test``.

    ``train`` may also be ``synth:`` and a recipe of drawn handwriting: then every epoch has new samples. With ``real``,
    a pack, ``real_share`` of each batch are samples of that pack instead.

    ``domains`` are further sources as in ``train``, with the same characters and normalisation. Every batch then has as
    many samples of each as of ``train`` (:mod:`hanmo.train.domains`).

    With ``stream`` the packs that are trained on stay on the disk, mapped into memory, also where the GPU has room for
    them: each batch is read shortly before its step (:mod:`hanmo.train.streaming`). Larger packs than half of the GPU's
    free memory always do. Samples of ``real`` are not read ahead.
    """

    train: str
    test: str | None = None
    real: str | None = None
    real_share: float = 0.25
    oversample: dict[str, int] | None = None
    """Of drawn handwriting: sets of characters (``level1``), and how many times as often they are drawn as others."""
    # None and not (): it is then left out of recipes that are written, so that those of before stay the same.
    domains: tuple[str, ...] | None = None
    stream: bool | None = None

    def __post_init__(self) -> None:
        if not 0 < self.real_share < 1:
            raise ConfigError(f"real_share {self.real_share}: above 0 and below 1")
        if self.oversample and not self.train.startswith(SYNTH_PREFIX):
            raise ConfigError("oversample is for drawn samples, but train is a pack; leave it out")
        for names, number in (self.oversample or {}).items():
            named_charset(names)  # refuses unknown names
            if not 1 <= number <= 1000:
                raise ConfigError(f"oversample {names} = {number} is impossible; 1 to 1,000 times")
        if self.domains is not None and (self.real is not None or not self.domains):
            raise ConfigError(
                "domains: name at least one source beside train; real samples are a domain, too, not real"
            )
        if self.real is not None and not self.train.startswith(SYNTH_PREFIX):
            raise ConfigError("real is mixed into drawn samples, but train is a pack; join both: hanmo data pack")


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Augmentation. Every value is the largest change of a picture; 0 switches it off.

    ``rotate`` degrees; ``shear``, ``scale`` (logarithm of each axis' factor), ``translate``, ``perspective`` and
    ``elastic`` (root mean square displacement, on a grid of ``elastic_cells``) in units of the side; ``stroke``
    pixels of growth or thinning; ``fade`` the (root mean square) unevenness of the ink; ``intrude`` the share of
    pictures into which a neighbouring character reaches; ``blur``, ``contrast``, ``noise`` and ``cutout`` as shares
    (of a unit blur, of the grey range, of the side).

    ``drop_distortion`` is the share of the distortions (``rotate`` to ``elastic``) that is left at the last step: they
    become weaker from step to step, evenly. None: they stay. DropDistortion, of Lai, Jin, Yang, "Toward
    high-performance online HCCR", Pattern Recognition Letters 89, 2017; that they fall evenly, and over the whole
    training, is our reading.
    """

    rotate: float = 8.0
    shear: float = 0.15
    scale: float = 0.15
    translate: float = 0.05
    perspective: float = 0.1
    elastic: float = 0.02
    # So few cells bend whole strokes; many cells would make each stroke tremble.
    elastic_cells: int = 6
    stroke: float = 0.8
    fade: float = 0.0
    intrude: float = 0.0
    blur: float = 0.6
    contrast: float = 0.4
    noise: float = 0.08
    # Off by default: a hole may hide the only stroke in which two characters differ.
    cutout: float = 0.0
    # None and not 1: it is then left out of recipes that are written, so that those of before stay the same.
    drop_distortion: float | None = None

    def __post_init__(self) -> None:
        wrong = [name for name, value in vars(self).items() if value is not None and value < 0]
        if wrong:
            raise ConfigError(f"{wrong[0]} is negative; 0 switches it off")
        if self.elastic_cells < 2:
            raise ConfigError(f"elastic_cells {self.elastic_cells}: at least 2")
        if self.drop_distortion is not None and self.drop_distortion >= 1:
            raise ConfigError(f"drop_distortion {self.drop_distortion}: a share below 1; leave it out to keep them all")


@dataclass(frozen=True, kw_only=True)
class PageTrainingConfig:
    """What student and teacher see of characters that are drawn on pages; all values are shares of a batch.

    Usually the student sees the spoilt square of the page and the teacher the clean one. In ``clean_share`` of a batch
    both see the clean square, so that the student keeps reading those; in ``spoilt_teacher_share`` both see the spoilt
    one. In ``empty_share`` no character is on the page, and the student learns that all characters are equally likely;
    this works without mixup only, and with methods that have ``takes_empty_pages``.
    """

    clean_share: float = 0.3
    spoilt_teacher_share: float = 0.0
    empty_share: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.clean_share < 1:
            raise ConfigError(f"clean_share {self.clean_share}: at least 0 and below 1; without pages leave out [page]")
        for name in ("spoilt_teacher_share", "empty_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} {getattr(self, name)}: 0 to 1")
        if self.clean_share + self.spoilt_teacher_share + self.empty_share > 1:
            raise ConfigError("clean_share, spoilt_teacher_share and empty_share: at most 1 together")


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """The optimiser and its schedule: linear warm-up, then a cosine down to ``final`` of the top rate.

    ``warmup`` is a share of all steps. ``clip`` bounds the gradient's norm (0: no bound). ``ema`` is the decay of
    the averaged weights, which are the ones evaluated and saved (0: none). ``mixup`` is the alpha of its beta
    distribution (0: none).
    """

    name: Literal["adamw", "sgd"] = "adamw"
    # The defaults are for AdamW, which takes ``momentum`` as its first beta.
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    momentum: float = 0.9
    warmup: float = 0.1
    final: float = 0.0
    clip: float = 1.0
    # 0.1 as in Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.
    label_smoothing: float = 0.1
    mixup: float = 0.0
    # An average over about 1 / (1 - 0.998) = 500 steps.
    ema: float = 0.998

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise ConfigError(f"learning_rate {self.learning_rate} must be above 0")
        for name in ("warmup", "final", "label_smoothing", "ema", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)} must be at least 0 and under 1")
        for name in ("weight_decay", "clip", "mixup"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} {getattr(self, name)} must not be negative")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Length and settings of the training. ``batch`` counts samples over all processes.

    ``start`` is a finished run, a folder of shards, or weights that come with hanmo (``@flagship``, ``@nano``,
    ``@pages-free``, ``@pages-nano``); the net starts from its weights, or from the strongest channels of a wider net.
    None: random weights. ``weight_bits`` turns on quantization-aware training of the large layers, 2 to 7 bits a
    weight; 0 leaves it off. Exports store weights of up to four bits in four bits.

    ``fine_tune`` is for few samples, and needs ``start``: batch norms keep the statistics of the weights that the net
    starts from and normalise with them, and new characters start with weights that their pictures give them
    (:func:`hanmo.train.imprinting.imprint`).

    ``frozen = "convolutions"`` needs ``start`` too: all convolutions keep the weights of the start, and only norms and
    linear layers are trained (for norms: Frankle, Schwab, Morcos, "Training BatchNorm and only BatchNorm", ICLR 2021).

    ``precision`` and ``compile`` ``auto`` mean bf16 and yes on a GPU, fp32 and no on a CPU; compiled nets run as CUDA
    graphs unless ``no-graphs``. ``evaluate_every`` and ``checkpoint_every`` are in epochs, 0 for never. The finished
    net is evaluated and saved in any case, and Ctrl-C always saves a checkpoint.
    """

    epochs: int = 40
    batch: int = 512
    seed: int = 0
    start: str | None = None
    # None and not False: it is then left out of recipes that are written, so that those of before stay the same.
    fine_tune: bool | None = None
    frozen: Literal["convolutions"] | None = None
    # One bit is not possible: levels symmetric about zero would be zero alone.
    weight_bits: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: Literal["auto", "no", "yes", "no-graphs"] = "auto"
    evaluate_every: int = 5
    checkpoint_every: int = 5

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2:
            raise ConfigError(f"epochs {self.epochs} and batch {self.batch}: at least 1 epoch and a batch of 2")
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"seed {self.seed}: 0 to 2^31 - 1")
        for name in ("fine_tune", "frozen"):
            if getattr(self, name) and self.start is None:
                raise ConfigError(f"{name} needs weights to start from; set train.start, or leave it out")
        if self.weight_bits not in (0, *range(2, 8)):
            raise ConfigError(f"weight_bits {self.weight_bits}: 2 to 7, or 0 for free weights")
        if self.evaluate_every < 0 or self.checkpoint_every < 0:
            raise ConfigError("evaluate_every and checkpoint_every must not be negative; 0 means never before the end")


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """One distillation method: its name, its weight in the loss (None: the method's default) and its options."""

    name: str
    weight: float | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.weight is not None and self.weight < 0:
            raise ConfigError(f"weight {self.weight} of method {self.name!r} must not be negative")


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """``teachers`` are run folders, or ``onnx:`` and a TOML file (:mod:`hanmo.train.onnx_teacher`).

    It is empty for methods without teachers, such as ``mutual``. Several teachers answer with the mean of their
    log-probabilities, weighted by ``teacher_weights`` (empty: all equal), each by test-time augmentation of
    ``teacher_tta`` views (1, 3 or 5; :mod:`hanmo.nets.tta`). ``label_weight`` is the weight of the loss on true labels.

    ``labels_alone`` are character sets (as in :data:`hanmo.charset.SETS`) whose samples are learnt from their labels
    alone. A teacher that reads lines of text knows a comma by its size and place; alone on a square it misreads it.
    """

    teachers: tuple[str, ...] = ()
    teacher_weights: tuple[float, ...] = ()
    teacher_tta: Literal[1, 3, 5] = field(default=1, metadata={"alias": "teacher_views"})
    methods: tuple[MethodConfig, ...] = (MethodConfig(name="kd"),)
    # With the default weight of ``kd``, 0.9, the two weights sum to 1.
    label_weight: float = 0.1
    # None and not (): it is then left out of recipes that are written, so that those of before stay the same.
    labels_alone: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.methods:
            raise ConfigError("methods need at least one entry")
        self._check_teachers()
        if self.teacher_weights and len(self.teacher_weights) != len(self.teachers):
            raise ConfigError(
                f"{len(self.teacher_weights)} teacher_weights for {len(self.teachers)} teachers; one each"
            )
        if any(weight <= 0 for weight in self.teacher_weights):
            raise ConfigError("teacher_weights must be above 0; leave the teacher out instead")
        names = [m.name for m in self.methods]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ConfigError(f"method {twice[0]!r} is named twice; once is enough, with its layers in one list")
        if self.label_weight < 0:
            raise ConfigError(f"label_weight {self.label_weight} must not be negative")
        for sets in self.labels_alone or ():
            named_charset(sets)  # raises CharsetError, with the names there are

    def _check_teachers(self) -> None:
        names = [m.name for m in self.methods if m.name in METHODS]  # the others are refused when they are built
        # Both ways: a method that needs teachers has some, and teachers are not loaded for methods that ignore them.
        needing = [name for name in names if METHODS[name].needs_teacher]
        if needing and not self.teachers:
            alone = ", ".join(name for name, method in METHODS.items() if not method.needs_teacher)
            raise ConfigError(f"method {needing[0]!r} needs teachers; name at least one (without work: {alone})")
        if self.teachers and len(names) == len(self.methods) and not needing:
            raise ConfigError(f"method {names[0]!r} asks no teacher; leave teachers empty, or name a method that does")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One experiment: everything that decides the weights a training ends with."""

    name: str
    data: DataConfig
    net: NetConfig = field(default_factory=NetConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    distill: DistillConfig | None = None
    page_training: PageTrainingConfig | None = field(default=None, metadata={"alias": "views"})
    """Only where ``data.train`` draws on pages; None means the defaults there."""

    def __post_init__(self) -> None:
        require_folder_name(self.name)
        if self.page_training and self.page_training.empty_share:
            self._check_empty_pages()
        if self.optim.mixup and self.distill and self.distill.labels_alone:
            raise ConfigError("distill.labels_alone: mixed samples have two labels; set optim.mixup = 0")
        self._check_domains()

    def _check_domains(self) -> None:
        number = 1 + len(self.data.domains or ())
        if self.train.batch % number:
            raise ConfigError(f"train.batch {self.train.batch}: {number} domains cannot share it; take a multiple")
        for method in self.distill.methods if self.distill else ():
            if method.name not in METHODS or METHODS[method.name].domains == 1:
                continue
            if (wanted := build_method(method.name, method.options).domains) != number:
                raise ConfigError(
                    f"method {method.name!r}: domains = {wanted}, but data has {number}; set data.domains"
                )
            if self.optim.mixup:
                raise ConfigError(f"method {method.name!r}: mixed pictures belong to two domains; set optim.mixup = 0")

    def _check_empty_pages(self) -> None:
        if self.optim.mixup:
            raise ConfigError(
                "page_training.empty_share: an empty page cannot be mixed with a character; set optim.mixup = 0"
            )
        names = [m.name for m in self.distill.methods if m.name in METHODS] if self.distill else []
        if unable := [name for name in names if not METHODS[name].takes_empty_pages]:
            able = ", ".join(name for name, method in METHODS.items() if method.takes_empty_pages)
            raise ConfigError(
                f"page_training.empty_share: method {unable[0]!r} learns nothing of empty pages; take {able}"
            )
