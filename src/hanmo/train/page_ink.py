"""The front end of :mod:`hanmo.paper` in torch, for thousands of pages at a time.

It computes the same whole numbers as the NumPy code, whose docstrings explain each step; tests compare the two. Nothing
waits for the GPU: no shape depends on the content of a page, so both branches of every decision are computed and
``torch.where`` chooses. Shapes: N pages, P pixels a side.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo import background, paper


def ink_of(pages: Tensor, *, keep_faint: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`hanmo.paper.ink_of`: uint8 (N, P, P) -> int32 (N, P, P), and bool (N,) twice: no ink there; no noise.

    ``keep_faint`` as there.
    """
    flat = flatten(pages.int())
    noise = noise_of(flat)
    clean = without_impulses(flat)
    noiseless = (noise == 0) & (clean == flat).flatten(1).all(1)
    smooth = smoothed(clean, 2)
    bright, dark = levels_of(smooth)
    # Noise as a percentage of the contrast decides how much the page is smoothed: not at all, twice or four times.
    # ``noise`` is in 64ths of a grey level.
    ratio = noise * 100 // (64 * (bright - dark).clamp(min=1))
    calm, noisy = (ratio < paper.NOISE[0])[:, None, None], (ratio >= paper.NOISE[1])[:, None, None]
    seen = torch.where(calm, clean, torch.where(noisy, smoothed(smooth, 2), smooth))
    share = torch.where(calm, paper.LEFT[0], torch.where(noisy, paper.LEFT[4], paper.LEFT[2]))[:, 0, 0]
    left = noise * share // 1000  # the noise that is left after the smoothing
    bright, dark = levels_of(seen)
    contrast = bright - dark
    blank = (contrast < paper.MIN_CONTRAST) | (contrast * 64 < 5 * left)
    contrast = contrast.clamp(min=1)  # blank pages are divided by it too, though their result is not used
    # Ink lighter than the dead zone, in thousandths of the contrast, counts as noise.
    dead = (2000 * left // (64 * contrast)).clamp(min=paper.DEAD_ZONE, max=999)
    ink = _ink_levels(seen, bright, contrast, dead)
    if keep_faint:
        even = (flat == pages).flatten(1).all(1)
        soft_edges = (seen < bright[:, None, None]).sum((1, 2)) < 2 * (ink > 0).sum((1, 2))
        faint_too = _ink_levels(seen, bright, contrast, torch.zeros_like(dead))
        ink = torch.where((noiseless & even & soft_edges)[:, None, None], faint_too, ink)
    return ink, blank, noiseless


def _ink_levels(pages: Tensor, bright: Tensor, contrast: Tensor, dead: Tensor) -> Tensor:
    """:func:`hanmo.paper.ink_levels` of every pixel of int32 (N, P, P); the others are int32 (N,)."""
    above = (bright[:, None, None] - pages) * 1000 - (dead * contrast)[:, None, None]
    ink = torch.div(255 * above, ((1000 - dead) * contrast)[:, None, None], rounding_mode="floor")
    return ink.clamp(0, 255)


def flatten(pages: Tensor) -> Tensor:
    """:func:`hanmo.background.flatten` of int32 (N, P, P)."""
    side = pages.shape[-1]
    tile = background.tile_of(side)
    tiles = -(-side // tile)
    padded = edged(pages, 0, tiles * tile - side)
    sums = padded.view(-1, tiles, tile, tiles, tile).sum((2, 4), dtype=torch.int32)
    # A greatest value, then a least one: a morphological closing, which removes ink from the tiles.
    closed = -_greatest(-_greatest(sums // (tile * tile), background.CLOSING), background.CLOSING)
    uneven = closed.amax((1, 2)) - closed.amin((1, 2)) >= background.UNEVEN
    between = torch.from_numpy(background.between_tiles(side, tile, tiles)).to(pages.device, torch.float64)
    # float64 holds these whole numbers exactly, and GPUs have no matrix product of integers.
    fine = (between @ smoothed(closed, 2).double() @ between.T).int() >> 12
    flat = torch.div(pages * background.PAPER, fine.clamp(min=1), rounding_mode="floor").clamp(max=255)
    return torch.where(uneven[:, None, None], flat, pages)


def without_impulses(pages: Tensor) -> Tensor:
    """:func:`hanmo.paper.without_impulses` of int32 (N, P, P)."""
    size = pages[0].numel()
    kept, impulses = _without_extremes(pages)
    many, dense = (impulses * share for share in (paper.IMPULSES, paper.DENSE))
    once = torch.where((many >= size)[:, None, None], kept, pages)
    kept, impulses = _without_extremes(once)
    still_many = (many >= size) & (impulses * paper.IMPULSES >= size)
    twice = torch.where(still_many[:, None, None], kept, once)
    return torch.where((dense > size)[:, None, None], median(pages), twice)


def _without_extremes(pages: Tensor) -> tuple[Tensor, Tensor]:
    """Every pixel brought to the range of its eight neighbours; and how many changed much, (N,)."""
    kept = pages.clamp(-around(-pages), around(pages))
    return kept, ((kept - pages).abs() > paper.IMPULSE).sum((1, 2))


def median(pages: Tensor) -> Tensor:
    """The median of every pixel and its eight neighbours; as :func:`hanmo.paper.without_impulses` takes it."""
    # The median of nine by sorting columns of three, then taking the median of the greatest least value, the middle
    # median and the least greatest value.
    x = edged(pages, 1, 1)
    low, middle, high = in_order(x[..., :-2], x[..., 1:-1], x[..., 2:])
    lowest, medians, highest = (in_order(y[:, :-2], y[:, 1:-1], y[:, 2:]) for y in (low, middle, high))
    return in_order(lowest[2], medians[1], highest[0])[1]


def in_order(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The least, the middle and the greatest of three."""
    least, most = torch.minimum(a, b), torch.maximum(a, b)
    return torch.minimum(least, c), torch.maximum(least, torch.minimum(most, c)), torch.maximum(most, c)


def around(pages: Tensor) -> Tensor:
    """The greatest of each pixel's eight neighbours."""
    x = edged(pages, 1, 1)
    above, here, below = x[:, :-2], x[:, 1:-1], x[:, 2:]
    high = torch.maximum(above, below)
    sides = torch.maximum(high, here)
    return torch.maximum(torch.maximum(sides[..., :-2], sides[..., 2:]), high[..., 1:-1])


def noise_of(pages: Tensor) -> Tensor:
    """:func:`hanmo.noise.noise_of` of int32 (N, P, P): int64 (N,)."""
    down, across = (pages[:, 1:] - pages[:, :-1]).abs(), (pages[..., 1:] - pages[..., :-1]).abs()
    return noise_of_counts(counted(torch.cat((down.flatten(1), across.flatten(1)), 1)))


def noise_of_counts(counts: Tensor) -> Tensor:
    """:func:`noise_of` of the histograms of differences between neighbouring pixels, int64 (N, 256): int64 (N,)."""
    below = counts.cumsum(1)
    wanted = below[:, -1] * 35 // 100
    level = (below <= wanted[:, None]).sum(1)
    before = torch.where(level > 0, below.gather(1, (level - 1).clamp(min=0)[:, None])[:, 0], 0)
    here = counts.gather(1, level.clamp(max=255)[:, None])[:, 0].clamp(min=1)
    # Interpolated within the grey level that holds the quantile; 1.56 turns this quantile into a standard deviation.
    sixtyfourths = 64 * level + 64 * (wanted - before) // here - 32
    return torch.where(level == 256, 0, sixtyfourths.clamp(min=0) * 156 // 100)  # 256: a single pixel


def smoothed(pages: Tensor, passes: int) -> Tensor:
    """:func:`hanmo.filters.smoothed` of int32 (N, H, W)."""
    for _ in range(passes):
        x = edged(pages, 1, 1)
        # The binomial kernel (1, 2, 1) / 4 by rows and columns: together 16ths, rounded by adding 8.
        x = x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]
        pages = (x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:] + 8) >> 4
    return pages


def levels_of(pages: Tensor) -> tuple[Tensor, Tensor]:
    """The paper's median and the ink's dark decile of int32 (N, P, P): int64 (N,)."""
    return levels_of_counts(counted(pages.flatten(1)))


def levels_of_counts(counts: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`hanmo.paper.levels_of` of histograms, int64 (N, 256): int64 (N,) twice."""
    threshold = _otsu(counts)
    level = torch.arange(256, device=counts.device)
    is_dark = level <= threshold[:, None]
    bright, dark = counts.masked_fill(is_dark, 0), counts.masked_fill(~is_dark, 0)
    return _quantile(bright, 500, threshold + 1), _quantile(dark, 100, torch.zeros_like(threshold))


def counted(levels: Tensor, which: Tensor | None = None) -> Tensor:
    """How many of (N, M) whole numbers, those ``which`` is True for, are 0, 1 ... 255: int64 (N, 256)."""
    ones = torch.ones_like(levels) if which is None else which.to(levels.dtype)
    counts = torch.zeros(len(levels), 256, dtype=levels.dtype, device=levels.device)
    return counts.scatter_add_(1, levels.long(), ones).long()


def _otsu(counts: Tensor) -> Tensor:
    below = counts.cumsum(1)[:, :-1].double()
    total = counts.sum(1, keepdim=True).double()
    mass = (counts * torch.arange(256, device=counts.device)).cumsum(1).double()
    apart = mass[:, :-1] * total - mass[:, -1:] * below
    # Rounding must not decide between equal maxima, so nearly equal ones count; the middle one is taken.
    between = apart**2 / (below * (total - below)).clamp(min=1)
    best = between >= between.amax(1, keepdim=True) * (1 - 1e-9)
    middle = best & (best.cumsum(1) == best.sum(1, keepdim=True) // 2 + 1)
    return middle.int().argmax(1)


def _quantile(counts: Tensor, thousandths: int, start: Tensor) -> Tensor:
    total = counts.cumsum(1)
    found = (total * 1000 < thousandths * total[:, -1:]).sum(1)
    return torch.where(total[:, -1] > 0, found, start)


def _greatest(values: Tensor, reach: int) -> Tensor:
    """The greatest of int32 (N, H, W) within ``reach`` by rows and columns."""
    return F.max_pool2d(values.float(), 2 * reach + 1, 1, reach).int()


def edged(values: Tensor, before: int, after: int) -> Tensor:
    """Rows and columns of (N, H, W) added whose levels are those of the edge."""
    for axis in (1, 2):
        ends = (values.narrow(axis, 0, 1), values.narrow(axis, values.shape[axis] - 1, 1))
        values = torch.cat([*[ends[0]] * before, values, *[ends[1]] * after], axis)
    return values
