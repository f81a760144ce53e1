"""Normalisation of thousands of pictures of different sizes at once: :mod:`hanmo.ink` and "fit" in torch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hanmo import paper
from hanmo.bulk.packing import REMARKS
from hanmo.gpu.ink import ink_of
from hanmo.gpu.neighbours import is_cut_close, own_ink
from hanmo.gpu.pictures import Sizes, where
from hanmo.gpu.strays import without_print, without_rules, without_specks
from hanmo.ink import CLOSER, GAP, LONG
from hanmo.normalize import Normalization
from hanmo.train.page_squares import Boxes, boxes_of, squares_of

_TOUCHING, _SEVERAL = REMARKS.index("touching the edge"), REMARKS.index("several characters")


class Normalized(NamedTuple):
    """``squares`` uint8 (N, S, S), ink bright; ``remarks`` int64 (N,), places in
    :data:`hanmo.bulk.packing.REMARKS`.

    ``unread``, bool (N,), marks pictures that need :meth:`hanmo.normalize.Normalization.inspect` itself: there is no
    ink on them, or they must be looked at more closely. Their squares mean nothing.
    """

    squares: Tensor
    remarks: Tensor
    unread: Tensor


def can_normalize(normalization: Normalization) -> bool:
    """Whether :func:`normalize` knows the settings."""
    return normalization.method == "fit" and normalization.version > 1


def normalize(pictures: Tensor, sizes: Sizes, reduced: Tensor, settings: Normalization) -> Normalized:
    """Normalise uint8 (N, P, P), P at most 96, as :mod:`hanmo.gpu.pictures` holds pictures, ink dark.

    ``reduced``, bool (N,), tells which pictures were larger before :func:`hanmo.ink.reduced`.
    """
    assert pictures.shape[1] <= paper.SIDE
    ink, blank, noiseless = ink_of(pictures, sizes, keep_faint=settings.version > 2)
    ink = ink.masked_fill(blank[:, None, None], 0)
    ink, touches = _own_ink(ink, sizes, noiseless)
    seen = ink >= paper.VISIBLE
    # A picture of one grey level is blank even if that level is dark.
    unread = ~seen.flatten(1).any(1) | (pictures == pictures[:, :1, :1]).flatten(1).all(1)
    seen |= unread[:, None, None]  # a blank picture gets a box, too; the result is not used
    boxes = boxes_of(ink, seen)
    longer = torch.maximum(boxes.bottom - boxes.top, boxes.right - boxes.left)
    unread = unread | (reduced & (longer < CLOSER * sizes.longer))
    remarks = torch.where(_several(seen, boxes), _SEVERAL, torch.where(touches, _TOUCHING, 0))
    return Normalized(squares_of(ink, boxes, settings.side, settings.margin), remarks, unread)


def _own_ink(ink: Tensor, sizes: Sizes, noiseless: Tensor) -> tuple[Tensor, Tensor]:
    """The ink of the characters alone, and which of them touch the edge: as :mod:`hanmo.ink` has it."""
    unprinted = without_rules(without_print(ink), sizes)
    as_it_is = noiseless & (unprinted == ink).flatten(1).all(1) & is_cut_close(unprinted, sizes)
    if (rows := where(~as_it_is)) is None:
        return ink, as_it_is
    few = sizes.of(rows)
    own, touches = own_ink(without_specks(unprinted[rows], few), few)
    return ink.index_copy(0, rows, own), as_it_is.index_copy(0, rows, touches)


def _several(seen: Tensor, boxes: Boxes) -> Tensor:
    """bool (N,): which boxes look like several characters: long, with a gap in the middle half of their length."""
    height, width = boxes.bottom - boxes.top, boxes.right - boxes.left
    several = torch.maximum(height, width) >= LONG * torch.minimum(height, width)
    if (rows := where(several)) is None:
        return several
    few, boxes = seen[rows], Boxes(*(line[rows] for line in boxes))
    flat = (width > height)[rows]
    number = torch.arange(seen.shape[1], device=seen.device)
    in_rows = (number >= boxes.top[:, None]) & (number < boxes.bottom[:, None])
    in_columns = (number >= boxes.left[:, None]) & (number < boxes.right[:, None])
    few = few & in_rows[:, :, None] & in_columns[:, None]
    lines = torch.where(flat[:, None], few.any(1), few.any(2))
    start = torch.where(flat, boxes.left, boxes.top)[:, None]
    length = torch.maximum(height, width)[rows][:, None]
    # For each line with ink the one before it.
    place = (number - start).masked_fill(~lines, -1)
    before = place.cummax(1).values.roll(1, 1)
    before[:, 0] = -1
    middle = lines & (before > length // 4) & (place < length - length // 4)
    gap = (middle & (place - before - 1 > GAP * length.double())).any(1)
    return several.index_copy(0, rows, gap)
