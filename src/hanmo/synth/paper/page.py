"""Drawn characters put on pages, as people photograph and scan them.

:func:`write_page` makes a page in the order in which real ones come about:

1. ink on printed paper: the character, its neighbours and the back of the sheet (:mod:`hanmo.synth.paper.placement`),
   cells and ruled lines (:mod:`hanmo.synth.paper.printing`), gaps and stains (:mod:`hanmo.synth.paper.spots`);
2. light on the paper (:mod:`hanmo.synth.paper.light`);
3. the camera, and the program that stores the picture (:mod:`hanmo.synth.paper.camera`).

Every page has a few of the many effects, see :class:`PageConfig`. All code is batched: an effect is computed for all
pages, and multiplied by 0 where a page does not have it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.synth.morphology import thickened
from hanmo.synth.paper.camera import photograph, store
from hanmo.synth.paper.config import PageConfig
from hanmo.synth.paper.effects import Effects, Grain, sample_numbers
from hanmo.synth.paper.light import illumination
from hanmo.synth.paper.optics import Optics
from hanmo.synth.paper.placement import Placement
from hanmo.synth.paper.printing import print_darkness
from hanmo.synth.paper.spots import gaps, stains

__all__ = ["PageConfig", "write_page"]


def write_page(squares: Tensor, keys: Tensor, config: PageConfig, side: int = 96) -> Tensor:
    """Put characters on pages: returns uint8 (N, side, side), 255 = bright paper, ink dark.

    ``squares`` (N, S, S) hold one character each, which fills them except for a small margin: uint8, or float32 in
    [0, 1]; 0 = paper. The result is on their device. ``keys`` int64 (N,) decide everything, so that a page is the same
    however many are made at a time. There are two exceptions: the neighbours and the back of the sheet show the samples
    one and two places before it in the batch, and sums are rounded differently for other batch sizes.
    """
    table, seeds, optics = _prepare(keys.to(squares.device), side)
    x = squares.float() / 255 if squares.dtype == torch.uint8 else squares
    effects, grain = Effects(table, config), Grain.sample(seeds, side)
    placement = Placement.sample(effects, config)
    # A small character in the faintest ink could not be read: up to a third of the range is taken off.
    faintest = config.faintest + (1 - config.faintest) * 0.35 * (1 - placement.half)
    contrast = 1 - effects.has("faint") * (1 - faintest) * effects.numbers("faint")[0] ** 0.7
    x = _with_pen(x, effects, config)
    ink = _ink(x, placement, effects, grain, config, side) * contrast
    if config.cell or config.ruled or config.mark:
        ink = torch.maximum(ink, print_darkness(effects, placement, contrast, config, side))
    if config.gap:
        ink = ink * (1 - gaps(effects, placement, config, side))
    paper = 1 - effects.has("paper") * (1 - config.darkest / 255) * effects.numbers("paper")[0] ** 1.3
    light = paper * illumination(effects, grain, contrast, config, side)
    if config.stain:
        light = light * (1 - stains(effects, placement, config, side))
    depth = contrast * light.mean((1, 2), keepdim=True)
    page = photograph(light * (1 - ink), effects, grain, optics, placement, depth, config)
    return (store(page, effects, optics, light, contrast, config).clamp(0, 1) * 255 + 0.5).to(torch.uint8)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _prepare(keys: Tensor, side: int) -> tuple[Tensor, Tensor, Optics]:
    """Random numbers and constant matrices, outside of torch.compile: PyTorch 2.11 fails on the 64-bit hash."""
    return *sample_numbers(keys), Optics.on(side, keys.device)


def _with_pen(x: Tensor, effects: Effects, config: PageConfig) -> Tensor:
    """The squares (N, S, S) with lines of a wider, or a little finer, pen."""
    if not config.pen:
        return x
    # Where there are many lines (much ink), wide ones would run together.
    room = (1.5 - 5 * x.mean((1, 2), keepdim=True)).clamp(0.1, 1)
    by = effects.has("pen") * config.pen_by * room * (1.3 * effects.numbers("pen")[0] - 0.3)
    return thickened(x[:, None], by[:, None].clamp(-0.4, 1))[:, 0]


def _ink(x: Tensor, placement: Placement, effects: Effects, grain: Grain, config: PageConfig, side: int) -> Tensor:
    """Ink on the pages, (N, side, side) in [0, 1]: the character, its neighbours and the back of the sheet."""
    # Sampled at fewer points than it has pixels, a square would lose thin lines (aliasing): it is smoothed before.
    soft = F.avg_pool2d(x[:, None], 3, 1, 1)[:, 0]
    shrunk = (x.shape[1] / (side * placement.half)).clamp(1, 2) - 1
    x = torch.lerp(x, soft, 0.7 * shrunk)
    ink = _grid_sample(x, *placement.box_grid(side))
    if config.neighbours:
        ink = torch.maximum(ink, _grid_sample(x.roll(1, 0), *placement.neighbour_grid(effects, config, side)))
    if config.uneven:
        field = (0.5 + 0.5 * grain.smooth(12, 5)).clamp(0, 1)
        ink = ink * (1 - effects.has("uneven") * config.uneven_by * (0.4 + 0.6 * effects.numbers("uneven")[0]) * field)
    if config.through:
        strength = effects.has("through") * config.through_by * (0.3 + 0.7 * effects.numbers("through")[0])
        back = _grid_sample(soft.roll(2, 0).flip(2), *placement.back_grid(effects, side))
        ink = torch.maximum(ink, back * strength)
    return ink


def _grid_sample(x: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """The squares (N, S, S) at the coordinates x and y, (N, side, side) each, from -1 to 1; paper beyond."""
    places = torch.stack([across, down], 3)
    return F.grid_sample(x[:, None], places, mode="bilinear", padding_mode="zeros", align_corners=False)[:, 0]
