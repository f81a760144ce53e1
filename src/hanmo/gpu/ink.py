"""From pictures of different sizes to their ink: :mod:`hanmo.paper` in torch, for thousands of pictures at once.

It computes the same whole numbers as the NumPy code, whose docstrings explain each step; tests compare the two.
:mod:`hanmo.train.page_ink` does the same for pages of one size, of which training makes so many kinds that every step
is computed for all. Here a step that a clean picture does not need is computed for the others alone.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo import paper
from hanmo.background import CLOSING, PAPER, TILES, UNEVEN, between_tiles
from hanmo.gpu.pictures import Sizes, counted, edged_again, where
from hanmo.train import page_ink

_TILES = (2, 3, 4)
"""Pixels of a tile's side (:func:`hanmo.background.tile_of`) in pictures of up to 96 pixels."""


class Ink(NamedTuple):
    """``ink`` uint8 (N, P, P), 0 outside of the pictures; bool (N,): nothing is written; there is no noise."""

    ink: Tensor
    blank: Tensor
    noiseless: Tensor


def ink_of(pictures: Tensor, sizes: Sizes, *, keep_faint: bool) -> Ink:
    """:func:`hanmo.paper.ink_of` of uint8 (N, P, P)."""
    flat, uneven = flatten(pictures, sizes)
    noise = noise_of(flat, sizes)
    clean, changed = without_impulses(flat, sizes)
    noiseless = (noise == 0) & ~changed
    seen, left = _denoised(clean, sizes, noise)
    # 256 is the level of what lies outside.
    level = seen.long().masked_fill_(~sizes.inside(seen.shape[1]), 256).flatten(1)
    counts = counted(level)
    bright, dark = page_ink.levels_of_counts(counts)
    contrast = bright - dark
    blank = (contrast < paper.MIN_CONTRAST) | (contrast * 64 < 5 * left)
    contrast = contrast.clamp(min=1)  # blank pictures are divided by it too, though their result is not used
    dead = (2000 * left // (64 * contrast)).clamp(paper.DEAD_ZONE, 999)
    levels = _ink_levels(bright, contrast, dead)
    if keep_faint:
        fainter = (counts * (torch.arange(256, device=bright.device) < bright[:, None])).sum(1)
        soft_edges = fainter < 2 * (counts * (levels > 0)).sum(1)
        dead = torch.where(noiseless & ~uneven & soft_edges, 0, dead)
        levels = _ink_levels(bright, contrast, dead)
    ink = F.pad(levels, (0, 1)).gather(1, level).view(seen.shape)
    return Ink(ink, blank, noiseless)


def _ink_levels(bright: Tensor, contrast: Tensor, dead: Tensor) -> Tensor:
    """:func:`hanmo.paper.ink_levels` of int64 (N,) each: uint8 (N, 256)."""
    level = torch.arange(256, device=bright.device)
    above = (bright[:, None] - level) * 1000 - (dead * contrast)[:, None]
    return (255 * above.clamp(min=0) // ((1000 - dead) * contrast)[:, None]).clamp(max=255).to(torch.uint8)


def flatten(pictures: Tensor, sizes: Sizes) -> tuple[Tensor, Tensor]:
    """:func:`hanmo.background.flatten`, and whether a picture was uneven, bool (N,)."""
    uneven = torch.zeros(len(pictures), dtype=torch.bool, device=pictures.device)
    # round() takes the even number of two that are equally near; so does torch.
    tile_of = (sizes.longer.double() / TILES).round().clamp(min=2)
    flat = pictures
    for tile in _TILES:
        if (rows := where(tile_of == tile)) is None:
            continue
        few = flat if len(rows) == len(flat) else flat[rows]
        tiles = Sizes(-(-sizes.height[rows] // tile), -(-sizes.width[rows] // tile))
        count = -(-few.shape[1] // tile)
        whole = page_ink.edged(few, 0, count * tile - few.shape[1])
        means = F.avg_pool2d(whole.float(), tile, divisor_override=1).int() // (tile * tile)
        inside = tiles.inside(count)
        most = _greatest(means.masked_fill(~inside, 0), CLOSING)
        least = most.masked_fill(~inside, 255).amin((1, 2))
        is_uneven = means.masked_fill(~inside, 0).amax((1, 2)) - least >= UNEVEN
        if (some := where(is_uneven)) is None:
            continue
        background = -_greatest((-most[some]).masked_fill(~inside[some], -255), CLOSING)
        divided = _divided(few[some], background, tiles.of(some), tile)
        uneven = uneven.index_fill(0, rows[some], True)
        flat = flat.index_copy(0, rows[some], edged_again(divided, sizes.of(rows[some])))
    return flat, uneven


def _divided(pictures: Tensor, background: Tensor, tiles: Sizes, tile: int) -> Tensor:
    """Pictures divided by the background of their tiles, int32 (N, t, t)."""
    for _ in range(2):
        background = page_ink.smoothed(edged_again(background, tiles), 1)
    # With the last tiles repeated, the weights between tiles do not depend on the size of a picture.
    background, side = edged_again(background, tiles).double(), pictures.shape[1]
    between = torch.from_numpy(between_tiles(side, tile, background.shape[1])).to(background)
    fine = (between @ background @ between.T).int() >> 12
    return (pictures.int() * PAPER // fine.clamp(min=1)).clamp(max=255).to(torch.uint8)


def _greatest(values: Tensor, reach: int) -> Tensor:
    return F.max_pool2d(values.float(), 2 * reach + 1, 1, reach).int()


def noise_of(pictures: Tensor, sizes: Sizes) -> Tensor:
    """:func:`hanmo.noise.noise_of` of uint8 (N, P, P): int64 (N,)."""
    side = pictures.shape[1]
    line = torch.arange(side, device=pictures.device)
    height, width = sizes
    # Repeated rows and columns are equal to their neighbours: they are taken off again.
    beside = (pictures[:, :, 1:] == pictures[:, :, :-1]).sum(2)
    below = (pictures[:, 1:] == pictures[:, :-1]).sum(1)
    equal = (beside * (line < height[:, None])).sum(1) - height * (side - width)
    equal += (below * (line < width[:, None])).sum(1) - width * (side - height)
    wanted = (2 * sizes.area - height - width) * 35 // 100
    noise = (64 * wanted // equal.clamp(min=1) - 32).clamp(min=0) * 156 // 100
    if (rows := where(equal <= wanted)) is not None:
        noise = noise.index_copy(0, rows, _noise_by_levels(pictures[rows].int(), sizes.of(rows)))
    return noise


def _noise_by_levels(pictures: Tensor, sizes: Sizes) -> Tensor:
    inside = sizes.inside(pictures.shape[1])
    down = (pictures[:, 1:] - pictures[:, :-1]).abs().masked_fill(~inside[:, 1:], 256)
    across = (pictures[..., 1:] - pictures[..., :-1]).abs().masked_fill(~inside[..., 1:], 256)
    return page_ink.noise_of_counts(counted(torch.cat((down.flatten(1), across.flatten(1)), 1).long()))


def without_impulses(pictures: Tensor, sizes: Sizes) -> tuple[Tensor, Tensor]:
    """:func:`hanmo.paper.without_impulses` of uint8 (N, P, P), and which pictures were changed, bool (N,)."""
    kept, impulses = _without_extremes(pictures)
    many = impulses * paper.IMPULSES >= sizes.area
    if (rows := where(many)) is None:
        return pictures, many
    few, once = sizes.of(rows), edged_again(kept[rows], sizes.of(rows))
    again, impulses_again = _without_extremes(once)
    twice = torch.where((impulses_again * paper.IMPULSES >= few.area)[:, None, None], again, once)
    dense = impulses[rows] * paper.DENSE > few.area
    smooth = torch.where(dense[:, None, None], page_ink.median(pictures[rows]), twice)
    return pictures.index_copy(0, rows, edged_again(smooth, few)), many


def _without_extremes(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Every pixel brought to the range of its eight neighbours; and how many changed much, (N,)."""
    most, least = page_ink.around(pictures), ~page_ink.around(~pictures)
    kept = torch.minimum(torch.maximum(pictures, least), most)
    apart = torch.maximum(kept, pictures) - torch.minimum(kept, pictures)
    return kept, (apart > paper.IMPULSE).sum((1, 2))


def _denoised(clean: Tensor, sizes: Sizes, noise: Tensor) -> tuple[Tensor, Tensor]:
    """The pictures, smoothed where there is noise; and the noise that is left, in 64ths of a grey level."""
    left = noise * paper.LEFT[0] // 1000
    if (rows := where(noise * 100 // 64 >= paper.NOISE[0])) is None:
        return clean, left
    few, noise = sizes.of(rows), noise[rows]
    smooth = _smoothed(clean[rows], few)
    level = smooth.long().masked_fill_(~few.inside(smooth.shape[1]), 256).flatten(1)
    bright, dark = page_ink.levels_of_counts(counted(level))
    ratio = noise * 100 // (64 * (bright - dark).clamp(min=1))
    calm, noisy = ratio < paper.NOISE[0], ratio >= paper.NOISE[1]
    smoother = torch.where(noisy[:, None, None], _smoothed(smooth, few), smooth)
    seen = torch.where(calm[:, None, None], clean[rows], smoother)
    share = torch.where(calm, paper.LEFT[0], torch.where(noisy, paper.LEFT[4], paper.LEFT[2]))
    return clean.index_copy(0, rows, seen), left.index_copy(0, rows, noise * share // 1000)


def _smoothed(pictures: Tensor, sizes: Sizes) -> Tensor:
    """Two passes of :func:`hanmo.filters.smoothed`."""
    for _ in range(2):
        pictures = edged_again(page_ink.smoothed(pictures.short(), 1).to(torch.uint8), sizes)
    return pictures
