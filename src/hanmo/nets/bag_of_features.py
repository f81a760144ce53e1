"""Bag-of-features pooling: the places of a map are counted by the words of a learned codebook that they resemble."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WORDS = 128
"""Words, unless the recipe says otherwise: four parts of the picture then give 512 features, as many as ResNet-18."""


class BagOfFeatures(nn.Module):
    """(N, C, H, W) -> histograms (N, ``outputs``): how much of each part of the map resembles each word.

    A place with features x belongs to word k by the share ``softmax_k(-|x - v_k|² / s_k²)``; v_k are the words, s_k
    their widths, both trained with the net. The shares are averaged over each quarter of the map (one part alone where
    the map is a single place), and multiplied by the number of words, so that they are about 1.

    Passalis, Tefas, "Learning Bag-of-Features Pooling for Deep Convolutional Neural Networks", ICCV 2017, with their
    first spatial level. They find the first words by k-means on features of the training samples. Here the words start
    at random; that is our reading, so that a net needs no data to be built. For maps of ``places`` a side only.
    """

    def __init__(self, channels: int, places: int, words: int = WORDS) -> None:
        super().__init__()
        # Features after a ReLU are not negative, and neither are the first words.
        self.codebook = nn.Parameter(torch.randn(words, channels).abs())
        # Squared distances to random words spread by about the root of the number of channels. Divided by that, the
        # softmax starts neither flat nor at a single word.
        self.widths = nn.Parameter(torch.full((words,), channels**0.25))
        # Halves of a map with an odd side overlap by a row.
        self.size, self.step = -(-places // 2), max(1, places // 2)
        self.outputs = words * min(places, 2) ** 2

    def forward(self, x: Tensor) -> Tensor:
        shares = F.avg_pool2d(self.shares(x), self.size, self.step)
        return shares.flatten(1) * len(self.codebook)

    def shares(self, x: Tensor) -> Tensor:
        """How much each place belongs to each word: (N, C, H, W) -> (N, words, H, W), summing to 1 over the words."""
        # |x|² - 2 x v + |v|², by a 1x1 convolution: the differences themselves would take ``words`` times the memory.
        # In float32 also under autocast: a product in bf16 would be less precise than the lengths that it is taken
        # from, and where they nearly cancel, a place would go to another word.
        x, words = x.float(), self.codebook.float()
        with _full_precision(x.device):
            products = F.conv2d(x, words[:, :, None, None])
        lengths = x.square().sum(1, keepdim=True), words.square().sum(1)[:, None, None]
        distances = (lengths[0] - 2 * products + lengths[1]).clamp(min=0)  # rounding can make 0 negative
        return torch.softmax(-distances / self.widths.square()[:, None, None], 1)


def _full_precision(device: torch.device) -> AbstractContextManager[object]:
    # Shapes alone are computed on the device "meta", which has no autocast.
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)
