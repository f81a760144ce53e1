"""Radicals: the student also names the components of the character, and where they are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.charset import components_of
from hanmo.distill.layers import in_float32
from hanmo.distill.method import Method, register_method
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output


def radicals_of(characters: Sequence[str]) -> tuple[str, ...]:
    """The components (:func:`hanmo.charset.components_of`) of the characters, each once, in Unicode order."""
    return tuple(sorted({part for character in characters for part in components_of(character)}))


@in_float32
def radical_loss(maps: Tensor, labels: Tensor, members: Tensor) -> Tensor:
    """Binary cross-entropy of the maxima of radical maps (N, R, H, W), summed over radicals, mean over pictures.

    ``labels``: classes (N,), or probabilities (N, C). ``members`` (C, R) is 1 where a character has a radical.
    """
    wanted = labels @ members if labels.is_floating_point() else members[labels]
    return F.binary_cross_entropy_with_logits(maps.amax((2, 3)), wanted, reduction="sum") / len(maps)


@register_method("radicals")
class Radicals(Method):
    """An auxiliary head names the radicals of the character at every place of a map; it needs no teacher.

    Loss: ``sum_r BCE(max_places z_r, y_r)``, mean over pictures; z_r are the logits of radical r, by a 1x1 convolution
    on the map of ``layer``, y_r is 1 where the character has the radical. A radical counts as found where some place
    shows it, so the head also learns in which region it is, from the class alone.

    Radicals are the components of the characters (:func:`radicals_of`). Of the net of radical regions for offline
    handwritten Chinese characters that the paper cites, we know the subject alone; this method is our reading of it.
    Its regions come from the maxima and not from boxes, it has no second net for regions, and the weight 0.1 is ours
    too. Use ``label_weight = 1``. The head is not part of the finished net.
    """

    weight = 0.1
    needs_teacher = False

    def __init__(self, *, layer: str = "layer4") -> None:
        super().__init__()
        self.student_layers = (layer,)

    def name_classes(self, characters: Sequence[str]) -> None:
        radicals = radicals_of(characters)
        rows = [[float(radical in components_of(c)) for radical in radicals] for c in characters]
        self.members: Tensor
        # Not in checkpoints: the characters of the run say the same.
        self.register_buffer("members", torch.tensor(rows), persistent=False)

    def connect(self, student: Output, teacher: Output) -> None:
        features = student.features[self.student_layers[0]]
        if features.ndim != 4:
            raise ConfigError(
                f"{self.name}: layer {self.student_layers[0]!r} gives {tuple(features.shape)}, no map (N, C, H, W)"
            )
        self.head = nn.Conv2d(features.shape[1], self.members.shape[1], 1)
        # The head starts with how frequent each radical is. From an even chance, hundreds of absent radicals would
        # make the first loss, and the first gradients, very large.
        frequency = self.members.mean(0)
        with torch.no_grad():
            self.head.bias.copy_(torch.logit(frequency, eps=1e-4))  # type: ignore[union-attr]

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        return radical_loss(self.head(student.features[self.student_layers[0]]), labels, self.members)
