"""Morphology of grey pictures in torch, shared by strokes, glyphs, pages and the training's augmentation."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def thickened(x: Tensor, pixels: Tensor) -> Tensor:
    """Lines of (N, 1, S, S), ink bright, made thicker or thinner; same shape out.

    ``pixels``, broadcast against ``x``, is how far each side of a line moves: 1 is a grey dilation by a 3 x 3 square,
    -1 the erosion, and values between blend that with the unchanged picture.
    """
    thick, thin = F.max_pool2d(x, 3, 1, 1), -F.max_pool2d(-x, 3, 1, 1)
    return x + pixels.clamp(min=0) * (thick - x) + pixels.clamp(max=0) * (x - thin)
