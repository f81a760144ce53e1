"""Pictures of different sizes in one tensor, and the small filters of the front end on them.

N pictures are uint8 (N, P, P): each lies in the upper left corner, and its last row and column are repeated to the
right and below. So filters that repeat the edge of a picture need no special case. :class:`Sizes` tells what is inside.

Nothing here loops over pictures. What few pictures need is computed for these alone (:func:`where`): that waits for the
GPU once, and saves most of the work.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Sizes(NamedTuple):
    """Height and width of each picture, int64 (N,)."""

    height: Tensor
    width: Tensor

    @property
    def longer(self) -> Tensor:
        return torch.maximum(self.height, self.width)

    @property
    def area(self) -> Tensor:
        return self.height * self.width

    @property
    def turned(self) -> Sizes:
        """The sizes of the transposed pictures."""
        return Sizes(self.width, self.height)

    def of(self, rows: Tensor) -> Sizes:
        """The sizes of some of the pictures."""
        return Sizes(self.height[rows], self.width[rows])

    def inside(self, side: int) -> Tensor:
        """bool (N, side, side): the pixels that belong to the pictures."""
        line = torch.arange(side, device=self.height.device)
        return (line < self.height[:, None])[:, :, None] & (line < self.width[:, None])[:, None]


def where(flags: Tensor) -> Tensor | None:
    """The numbers of the pictures for which bool (N,) is set, int64 (M,); None if there are none."""
    found = flags.nonzero()[:, 0]
    return found if len(found) else None


def unpacked(flat: Tensor, starts: Tensor, sizes: Sizes, side: int) -> Tensor:
    """Pictures uint8 (N, side, side) from all their pixels one after another, uint8 (B,).

    ``starts``, int64 (N,), are the places of their first pixels.
    """
    line = torch.arange(side, device=flat.device)
    rows = torch.minimum(line, sizes.height[:, None] - 1) * sizes.width[:, None] + starts[:, None]
    columns = torch.minimum(line, sizes.width[:, None] - 1)
    return flat[rows[:, :, None] + columns[:, None]]


def edged_again(pictures: Tensor, sizes: Sizes) -> Tensor:
    """The pictures with their last rows and columns repeated anew, as after a filter."""
    side = pictures.shape[1]
    line = torch.arange(side, device=pictures.device)
    rows = torch.minimum(line, sizes.height[:, None] - 1)[:, :, None].expand(-1, -1, side)
    columns = torch.minimum(line, sizes.width[:, None] - 1)[:, None].expand(-1, side, -1)
    return pictures.gather(1, rows).gather(2, columns)


def counted(levels: Tensor) -> Tensor:
    """Histograms of whole numbers from 0 to 256, int64 (N, M): int64 (N, 256). 256 stands for what does not count."""
    counts = torch.zeros(len(levels), 257, dtype=torch.int32, device=levels.device)
    ones = torch.ones((), dtype=torch.int32, device=levels.device).expand_as(levels)
    return counts.scatter_add_(1, levels, ones)[:, :256].long()


def words_of(mask: Tensor) -> Tensor:
    """bool (N, P, P), P at most 96, as bits: int64 (N, P, 2). Bit j of word k is column 48 k + j - 8.

    So each word has 48 columns of its own and eight more on both sides: filters along the rows can shift words.
    """
    eights = F.pad(mask, (0, 96 - mask.shape[2])).contiguous().view(torch.int64)
    # The product moves byte i, which is 0 or 1, to bit 56 + i.
    packed = F.pad((eights * 0x0102040810204080 >> 56).to(torch.uint8), (1, 3))  # (N, P, 16), eight columns each
    return torch.stack((packed[..., :8], packed[..., 6:14]), 2).view(torch.int64)[..., 0]


def mask_of(words: Tensor) -> Tensor:
    """bool (N, P, P) of :func:`words_of`."""
    packed = words.view(torch.uint8).view(*words.shape, 8)[..., 1:7].flatten(2)  # (N, P, 12)
    bits = torch.tensor([1 << bit for bit in range(8)], dtype=torch.uint8, device=words.device)
    return ((packed[..., None] & bits) > 0).flatten(2)[..., : words.shape[1]]


def any_of(mask: Tensor, count: int, axis: int) -> Tensor:
    """For each place whether any of ``count`` flags from there on is set along ``axis``; ``count`` - 1 places fewer."""
    found, reach = mask, 1
    while reach < count:  # each step looks up to twice as far as the last
        step = min(reach, count - reach)
        length = found.shape[axis] - step
        found = found.narrow(axis, 0, length) | found.narrow(axis, step, length)
        reach += step
    return found


def grown(mask: Tensor, down: int, across: int) -> Tensor:
    """Dilation of bool (N, H, W) by ``down`` rows and ``across`` columns to both sides."""
    mask = F.pad(mask, (across, across, down, down))
    return any_of(any_of(mask, 2 * down + 1, 1), 2 * across + 1, 2)
