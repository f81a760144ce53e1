"""Drawn handwriting put on pages, as people photograph and scan them.

A page is made in the order in which the real ones come about: characters are written on printed paper
(:mod:`hanmo.synth.paper.printing`), light falls on it, a camera or a scanner takes it, and a program stores it
(:mod:`hanmo.synth.paper.camera`). Every page has a few ingredients of the many, see :class:`PageConfig`.

All steps are batched tensor code: an ingredient is computed for every page and weighed by 0 where a page has it not.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.synth.morphology import thickened
from hanmo.synth.paper.camera import stored, taken
from hanmo.synth.paper.config import PageConfig
from hanmo.synth.paper.draws import Draws, Grain, page_numbers
from hanmo.synth.paper.light import lit
from hanmo.synth.paper.optics import Optics
from hanmo.synth.paper.printing import Spot, printed
from hanmo.synth.paper.spots import gaps, stains

__all__ = ["PageConfig", "write_page"]


def write_page(squares: Tensor, keys: Tensor, config: PageConfig, side: int = 96) -> Tensor:
    """Put characters on pages: uint8 (N, side, side), 255 = bright paper, ink dark, on the device of ``squares``.

    ``squares`` (N, S, S) hold one character each, which fills them but for a small margin: uint8, or float32 in
    [0, 1]; 0 = paper. ``keys`` int64 (N,) decide everything, so a page is the same however many are made at a time,
    but for the strokes of neighbours and of the back, which are taken from the samples before it in the batch.
    Pages made with other batch sizes may differ by rounding.
    """
    table, seeds, optics = _prepared(keys.to(squares.device), side)
    x = squares.float() / 255 if squares.dtype == torch.uint8 else squares
    draws, grain = Draws(table, config), Grain.draw(seeds, side)
    spot = Spot.draw(draws, config)
    # A small character in the faintest ink could not be read.
    faintest = config.faintest + (1 - config.faintest) * 0.35 * (1 - spot.half)
    contrast = 1 - draws.has("faint") * (1 - faintest) * draws.numbers("faint")[0] ** 0.7
    x = _penned(x, draws, config)
    ink = _ink(x, spot, draws, grain, config, side) * contrast
    if config.cell or config.ruled or config.mark:
        ink = torch.maximum(ink, printed(draws, spot, contrast, config, side))
    if config.gap:
        ink = ink * (1 - gaps(draws, spot, config, side))
    paper = 1 - draws.has("paper") * (1 - config.darkest / 255) * draws.numbers("paper")[0] ** 1.3
    light = paper * lit(draws, grain, contrast, config, side)
    if config.stain:
        light = light * (1 - stains(draws, spot, config, side))
    depth = contrast * light.mean((1, 2), keepdim=True)
    page = taken(light * (1 - ink), draws, grain, optics, spot, depth, config)
    return (stored(page, draws, optics, light, contrast, config).clamp(0, 1) * 255 + 0.5).to(torch.uint8)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _prepared(keys: Tensor, side: int) -> tuple[Tensor, Tensor, Optics]:
    """What torch.compile is to take as given: PyTorch 2.11 fails on the 64-bit numbers of the hash."""
    return *page_numbers(keys), Optics.on(side, keys.device)


def _penned(x: Tensor, draws: Draws, config: PageConfig) -> Tensor:
    """The squares written with a wider or a little finer pen."""
    if not config.pen:
        return x
    # Wide lines would run together where there are many.
    room = (1.5 - 5 * x.mean((1, 2), keepdim=True)).clamp(0.1, 1)
    by = draws.has("pen") * config.pen_by * room * (1.3 * draws.numbers("pen")[0] - 0.3)
    return thickened(x[:, None], by[:, None].clamp(-0.4, 1))[:, 0]


def _ink(x: Tensor, spot: Spot, draws: Draws, grain: Grain, config: PageConfig, side: int) -> Tensor:
    """How much ink lies where, (N, side, side) in [0, 1]: the character, its neighbours and the back of the page."""
    # A square made much smaller would lose lines between its sampled points: smoothed before.
    soft = F.avg_pool2d(x[:, None], 3, 1, 1)[:, 0]
    shrunk = (x.shape[1] / (side * spot.half)).clamp(1, 2) - 1
    x = torch.lerp(x, soft, 0.7 * shrunk)
    ink = _sampled(x, *spot.inside(side))
    if config.neighbours:
        ink = torch.maximum(ink, _sampled(x.roll(1, 0), *spot.beside(draws, config, side)))
    if config.uneven:
        field = (0.5 + 0.5 * grain.smooth(12, 5)).clamp(0, 1)
        ink = ink * (1 - draws.has("uneven") * config.uneven_by * (0.4 + 0.6 * draws.numbers("uneven")[0]) * field)
    if config.through:
        strength = draws.has("through") * config.through_by * (0.3 + 0.7 * draws.numbers("through")[0])
        back = _sampled(soft.roll(2, 0).flip(2), *spot.behind(draws, side))
        ink = torch.maximum(ink, back * strength)
    return ink


def _sampled(x: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """The squares (N, S, S) at places (N, side, side) from -1 to 1, paper beyond."""
    places = torch.stack([across, down], 3)
    return F.grid_sample(x[:, None], places, mode="bilinear", padding_mode="zeros", align_corners=False)[:, 0]
