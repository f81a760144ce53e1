"""The deep matching network: handwriting is compared with printed templates instead of with learnt class weights.

Li, Wu, Xiao, Jin, Lu, "Deep Matching Network for Handwritten Chinese Character Recognition", Pattern Recognition 107,
2020: one branch maps handwriting to features, another maps printed templates; the features of the templates stand where
a classifier has its class weights. A character that was never trained is read as soon as it has a template.

What is ours: features are centred by a batch norm (Luo et al., "Bag of tricks and a strong baseline for deep person
re-identification", CVPR workshops 2019) and compared by their cosine, times a learnt scale (Radford et al., "Learning
transferable visual models from natural language supervision", ICML 2021); the true class may have to win by a margin
(Wang et al., "CosFace", CVPR 2018); and a step computes the features of some templates only, while a memory holds the
others' (Wang et al., "Cross-batch memory for embedding learning", CVPR 2020).

Shapes: N pictures of handwriting, T templates, C classes, F features, S the side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.errors import ConfigError
from hanmo.nets.registry import NetConfig, build_net

_FIRST_SCALE, _LARGEST_SCALE = 10.0, 100.0
"""The scale before training, and its bound. Cosines lie in [-1, 1]: times 10 they are usual logits; training from a
larger scale first lowers it, which takes time. Radford et al. bound theirs by 100, since a larger one makes training
unstable."""

DIRECTIONS = 4
"""As it is, mirrored left and right, mirrored above and below, and both: see :func:`turned`."""


@dataclass(frozen=True, kw_only=True)
class MatchingConfig:
    """The options of a :class:`MatchingNet`; raises :class:`ConfigError` for impossible values."""

    branch: NetConfig = field(default_factory=NetConfig)
    """The net of a branch; its classifier becomes the layer that gives the features."""
    features: int = 256
    """Numbers that describe a picture."""
    shared: bool = True
    """Whether one net is both branches. It halves the file, and templates train the layers that read handwriting."""

    def __post_init__(self) -> None:
        if self.features < 8:
            raise ConfigError(f"features = {self.features} are too few: at least 8")


class MatchingNet(nn.Module):
    """Handwriting (N, 1, S, S) and templates (T, 1, S, S), both standardised -> logits (N, T): scaled cosines."""

    def __init__(self, config: MatchingConfig, side: int = 64) -> None:
        super().__init__()
        self.config = config
        self.handwriting = build_net(config.branch, config.features, side)
        # No module of its own when shared: the weights would appear twice in files.
        self.templates = None if config.shared else build_net(config.branch, config.features, side)
        # Untrained features all point nearly the same way, so cosines would hardly differ and little would be learnt.
        # Each kind of picture has its own norm, even with a shared branch, since print differs from handwriting.
        self.handwriting_norm = nn.BatchNorm1d(config.features, affine=False)
        self.template_norm = nn.BatchNorm1d(config.features, affine=False)
        # The logarithm is learnt, so that the scale stays positive and steps are relative.
        self.log_scale = nn.Parameter(torch.tensor(math.log(_FIRST_SCALE)))

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied by, ()."""
        return self.log_scale.exp().clamp(max=_LARGEST_SCALE)

    def embed(self, handwriting: Tensor) -> Tensor:
        """Handwriting (N, 1, S, S) -> unit vectors float32 (N, F)."""
        return _unit(self.handwriting_norm(self.handwriting(handwriting)))

    def embed_templates(self, templates: Tensor) -> Tensor:
        """Templates (T, 1, S, S) -> unit vectors float32 (T, F)."""
        return _unit(self.template_norm((self.templates or self.handwriting)(templates)))

    def embed_both(self, handwriting: Tensor, templates: Tensor) -> tuple[Tensor, Tensor]:
        """Both kinds at once, for training: as :meth:`embed` and :meth:`embed_templates`.

        A shared branch sees one batch of both. In two batches its batch norms would use the statistics of each kind in
        training, but those of the mixture in reading.
        """
        if self.templates is None:
            both = self.handwriting(torch.cat((handwriting, templates)))
            written, printed = both[: len(handwriting)], both[len(handwriting) :]
            return _unit(self.handwriting_norm(written)), _unit(self.template_norm(printed))
        return self.embed(handwriting), self.embed_templates(templates)

    def forward(self, handwriting: Tensor, templates: Tensor) -> Tensor:
        return self.scale * _cosine(self.embed(handwriting), self.embed_templates(templates))

    def reader(self, prototypes: Tensor) -> TemplateReader:
        """A net that reads the C characters of ``prototypes`` (C, F); see :func:`prototypes_of`."""
        return TemplateReader(nn.Sequential(self.handwriting, self.handwriting_norm), prototypes, self.scale.detach())


class TemplateReader(nn.Module):
    """Handwriting (N, 1, S, S) -> logits (N, C): the handwriting branch, and the prototypes of C characters.

    It is a usual net: nothing of the template branch is needed to read.
    """

    def __init__(self, branch: nn.Module, prototypes: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.branch = branch
        self.prototypes: Tensor
        self.scale: Tensor
        self.register_buffer("prototypes", F.normalize(prototypes.detach().float(), dim=1).clone())
        self.register_buffer("scale", scale.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * _cosine(_unit(self.branch(x)), self.prototypes)

    def with_characters(self, prototypes: Tensor) -> TemplateReader:
        """The same reader with further characters, ``prototypes`` (K, F), after its own; no training is needed."""
        return TemplateReader(self.branch, torch.cat((self.prototypes, prototypes.to(self.prototypes))), self.scale)


class TemplateMemory(nn.Module):
    """The latest features of the templates of all C classes, (C, F); those of a step's templates pass gradients."""

    def __init__(self, classes: int, features: int) -> None:
        super().__init__()
        self.features: Tensor
        # Random directions until a class has had its turn: zeros would be a class that is never near anything.
        self.register_buffer("features", F.normalize(torch.randn(classes, features), dim=1))

    def refreshed(self, classes: Tensor, features: Tensor) -> Tensor:
        """All features (C, F), with new ones (T, F) for ``classes`` (T,), through which gradients pass.

        The new ones are stored. A class that is named twice gets the features of one of its templates.
        """
        whole = self.features.index_copy(0, classes, features.to(self.features.dtype))
        # A new tensor in place of the old one, which the graph of this step may still need.
        self.features = whole.detach()
        return whole


def matching_loss(
    handwriting: Tensor,
    templates: Tensor,
    labels: Tensor,
    scale: Tensor,
    *,
    margin: float = 0.0,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Softmax over templates: the mean cross-entropy of unit vectors (N, F) beside those of the C classes (C, F).

    ``labels`` (N,) name the rows of ``templates``. ``margin`` is subtracted from the cosine of the true class.
    """
    cosine = _cosine(handwriting, templates)
    if margin:
        cosine = cosine.scatter_add(1, labels[:, None], cosine.new_full((len(labels), 1), -margin))
    return F.cross_entropy(scale * cosine, labels, label_smoothing=label_smoothing)


def prototypes_of(features: Tensor, classes: Tensor, count: int) -> Tensor:
    """The mean direction of each class' templates: unit vectors (T, F) of ``classes`` (T,) -> (count, F).

    A class may have several templates, such as one of each font. A class without any gets zeros, a cosine of 0 to all.
    """
    sums = features.new_zeros(count, features.shape[1]).index_add(0, classes, features)
    return F.normalize(sums, dim=1)


def turned(pictures: Tensor, labels: Tensor, directions: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Mirror pictures (N, ..., S, S), where ``directions`` (N,) are 0 to 3, and give them classes of their own.

    Direction 1 mirrors left and right, 2 above and below, 3 does both. A mirrored character with a mirrored template
    is another character to match, so C classes become 4 C: class c in direction d becomes d C + c.
    """
    shape = (-1,) + (1,) * (pictures.ndim - 1)
    pictures = torch.where((directions % 2 == 1).view(shape), pictures.flip(-1), pictures)
    pictures = torch.where((directions >= 2).view(shape), pictures.flip(-2), pictures)
    return pictures, directions * classes + labels


def _unit(features: Tensor) -> Tensor:
    return F.normalize(features.float(), dim=1)


def _cosine(one: Tensor, other: Tensor) -> Tensor:
    """The cosines (N, T) of unit vectors (N, F) and (T, F)."""
    # Autocast would round them to bf16, two digits, and characters that look alike have nearly equal templates.
    with torch.autocast(one.device.type, enabled=False):
        return one.float() @ other.float().T
