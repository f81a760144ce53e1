"""Pen paths to pixels: each pixel's ink follows from its distance to the nearest piece of the path, antialiased.

The path is cut into short straight pieces, some 120 for a character of 64 pixels. Comparing every piece with every
pixel would take 500,000 distances. Each piece is compared with a small window around it instead, 9,000 distances in
all, and the windows are merged by their maximum.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

_LIGHTEST = 0.0015  # radius, as a part of the side, up to which a line would not be seen
_THIN = 1.75  # radius in pixels that most pens stay under
_PIECE = 3.0  # longest piece in pixels: longer ones need larger windows, shorter ones more windows


class Segments(NamedTuple):
    """K straight pen movements, in pixels.

    ``start`` and ``end`` (K, 2) as x, y; ``radius`` (K, 2) at start and end; ``ink`` (K,) in 0..1;
    ``owner`` (K,) int64, the picture each belongs to.
    """

    start: Tensor
    end: Tensor
    radius: Tensor
    ink: Tensor
    owner: Tensor

    @classmethod
    def of_path(cls, path: Tensor, radius: Tensor, ink: Tensor, joined: Tensor, owner: Tensor) -> Segments:
        """The movements from each point of paths (T, R, 2) to the next, if the pen touches and the next is ``joined``.

        ``radius``, ``ink`` and ``joined`` (T, R); ``owner`` (T,). A row's last point leads to the next row's first.
        """
        places = path.shape[1]
        points, width = path.view(-1, 2), radius.view(-1)
        touching = joined.view(-1)[1:] & (torch.maximum(width[1:], width[:-1]) > _LIGHTEST)
        here = touching.nonzero()[:, 0]
        row = torch.div(here, places, rounding_mode="floor")
        return cls(
            points[here],
            points[here + 1],
            torch.stack([width[here], width[here + 1]], 1),
            ink.reshape(-1)[here],
            owner[row],
        )


def render(segments: Segments, count: int, side: int) -> Tensor:
    """Draw ``count`` pictures, uint8 (count, side, side), 0 = paper, 255 = ink; no segment may lie outside of them."""
    pieces = _subdivide(segments)
    thickest = pieces.radius.amax(1)
    border = _window(float(thickest.max()) if len(thickest) else 0.0)
    canvas = side + 2 * border  # windows of pieces near the edge stick out of the picture: cropped at the end
    # A GPU takes the larger of two bytes in a slow loop, of two 32-bit numbers in one instruction.
    ink = torch.int32 if pieces.ink.is_cuda else torch.uint8
    sheet = torch.zeros(count * canvas * canvas, dtype=ink, device=pieces.ink.device)
    thin = thickest <= _THIN
    for which in (thin, ~thin):  # few lines are thick, and only these need large windows
        some = Segments(*(column[which] for column in pieces))
        if len(some.ink):
            _put(sheet, some, canvas, border)
    return sheet.view(count, canvas, canvas)[:, border:-border, border:-border].to(torch.uint8)


def _window(radius: float) -> int:
    """Side in pixels of a window that holds any piece of at most ``radius``, wherever it lies between the pixels."""
    return math.ceil(_PIECE + 2 * radius + 1) + 1


def _put(sheet: Tensor, pieces: Segments, canvas: int, border: int) -> None:
    """Draw pieces into ``sheet``, flat pictures of ``canvas`` x ``canvas`` pixels."""
    window = _window(float(pieces.radius.max()))
    corner = ((pieces.start + pieces.end) / 2 - window / 2).round()
    level = _levels(pieces, corner, window).to(sheet.dtype)
    column, row = (corner.long() + border).unbind(1)
    base = (pieces.owner * canvas + row) * canvas + column
    offset = torch.arange(window, device=base.device)
    index = base[:, None, None] + (offset * canvas)[:, None] + offset
    sheet.scatter_reduce_(0, index.reshape(-1), level.reshape(-1), "amax")


def _levels(pieces: Segments, corner: Tensor, window: int) -> Tensor:
    """The ink of each piece in its window, (K, window, window), 0 to 255; ``corner`` (K, 2) is its top left."""
    step = torch.arange(window, device=corner.device, dtype=corner.dtype) + 0.5
    ahead = pieces.end - pieces.start
    squared = (ahead * ahead).sum(1).clamp(min=1e-12)
    # Offsets of the window's columns and rows from the start of the piece. The place of a pixel's foot on the piece, t,
    # is the sum of a part from its column and one from its row.
    right, down = ((corner - pieces.start)[:, :, None] + step).unbind(1)
    along_x = right * (ahead[:, 0] / squared)[:, None]
    along_y = down * (ahead[:, 1] / squared)[:, None]
    t = (along_y[:, :, None] + along_x[:, None, :]).clamp_(0, 1)
    off_x = torch.addcmul(right[:, None, :], t, ahead[:, 0, None, None], value=-1)
    off_y = torch.addcmul(down[:, :, None], t, ahead[:, 1, None, None], value=-1)
    distance = off_x.mul_(off_x).addcmul_(off_y, off_y).sqrt_()
    thin, thick = pieces.radius[:, 0, None, None], (pieces.radius[:, 1] - pieces.radius[:, 0])[:, None, None]
    cover = t.mul_(thick).add_(thin + 0.5).sub_(distance).clamp_(0, 1)
    # A pen thinner than a pixel darkens it in proportion to its width only.
    strength = pieces.ink * (pieces.radius.sum(1)).clamp(max=1) * 255
    return cover.mul_(strength[:, None, None]).add_(0.5)


def _subdivide(s: Segments) -> Segments:
    """Cut segments into pieces of at most ``_PIECE`` pixels."""
    length = (s.end - s.start).square().sum(1).sqrt()
    parts = (length / _PIECE).ceil().clamp(min=1).long()
    which = torch.repeat_interleave(torch.arange(len(parts), device=parts.device), parts)
    nth = torch.arange(len(which), device=parts.device) - (parts.cumsum(0) - parts)[which]
    t = torch.stack([nth, nth + 1], 1) / parts[which][:, None]
    start, move = s.start[which], (s.end - s.start)[which]
    radius, growth = s.radius[which, :1], (s.radius[:, 1:] - s.radius[:, :1])[which]
    return Segments(start + move * t[:, :1], start + move * t[:, 1:], radius + growth * t, s.ink[which], s.owner[which])
