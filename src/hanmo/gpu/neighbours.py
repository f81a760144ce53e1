"""Parts of other characters removed from the ink of many pictures: :mod:`hanmo.neighbours` in torch.

Tests compare it with the NumPy code, whose docstrings explain each step. Cells are bool (N, C, C), False outside.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo import bitboard, neighbours, paper
from hanmo.gpu.fused import dilated
from hanmo.gpu.pictures import Sizes, grown, where

_CHECKED = 16
"""Steps of a flood fill between two looks at whether it is complete: each look waits for the GPU."""
_LONGEST_OF_SMALL = max(side for side in range(paper.SIDE + 1) if neighbours.cell_of(side) == 1)


def own_ink(ink: Tensor, sizes: Sizes) -> tuple[Tensor, Tensor]:
    """Ink uint8 (N, P, P) without other characters, and which characters touch the picture's edge, bool (N,)."""
    own = torch.zeros_like(ink)
    touches = torch.zeros(len(ink), dtype=torch.bool, device=ink.device)
    small = sizes.longer <= _LONGEST_OF_SMALL
    for group, size in ((small, 1), (~small, 2)):
        if (rows := where(group)) is None:
            continue
        few, side = ink[rows], ink.shape[1]
        if size == 1:
            few = few[:, :_LONGEST_OF_SMALL, :_LONGEST_OF_SMALL]
        cells, touching = _own_cells(few, sizes.of(rows), size)
        # Back to pixels, cut because the last cell may stick out; grown, so that soft edges stay.
        near = grown(cells, 1, 1).repeat_interleave(size, 1).repeat_interleave(size, 2)
        near = near[:, : few.shape[1], : few.shape[2]]
        missing = side - few.shape[1]
        own = own.index_copy(0, rows, F.pad(few * near, (0, missing, 0, missing)))
        touches = touches.index_copy(0, rows, touching)
    return own, touches


def is_cut_close(ink: Tensor, sizes: Sizes) -> Tensor:
    """:func:`hanmo.neighbours.is_cut_close`: bool (N,)."""
    weak = ink >= paper.RIM
    second = (sizes.longer > _LONGEST_OF_SMALL).long()  # whether a cell has a second line
    close = torch.ones(len(ink), dtype=torch.bool, device=ink.device)
    for lines, length in ((weak.any(2), sizes.height), (weak.any(1), sizes.width)):
        for near, far in ((torch.zeros_like(second), second), (length - 1, (length - 1 - second))):
            ends = torch.stack((near, far), 1).clamp(min=0)
            ends = torch.minimum(ends, length[:, None] - 1)
            close &= lines.gather(1, ends).any(1)
    return close


def _own_cells(ink: Tensor, sizes: Sizes, size: int) -> tuple[Tensor, Tensor]:
    """:func:`hanmo.neighbours.own_cells`."""
    cells = Sizes(-(-sizes.height // size), -(-sizes.width // size))
    inked = _cells(ink >= paper.VISIBLE, size)
    side = cells.longer
    rim = _ring(inked, cells, torch.ones_like(side))
    touching = (inked & rim).flatten(1).any(1)
    if (rows := where(touching)) is None:
        return inked, touching
    # What touches no edge has nothing to lose.
    few, cells, side, rim = inked[rows], cells.of(rows), side[rows], rim[rows]
    shallow_ring = _ring(few, cells, 1 + side * neighbours.SHALLOW // 100)
    reaching = flood(few & rim, few)
    shallow = reaching & ~flood(reaching & ~shallow_ring, few)
    rest = few & ~shallow
    slight = shallow.sum((1, 2)) * 100 <= neighbours.SLIGHT * few.sum((1, 2))
    ends = shallow & (slight & (_sides_reached(rest, cells) <= neighbours.REACHED))[:, None, None]
    few, reaching = few & ~ends, reaching & ~ends
    loose = reaching.flatten(1).any(1) & ~is_cut_close(ink[rows], sizes.of(rows))
    if (some := where(loose)) is not None:
        solid = _cells(ink[rows][some] >= neighbours.SOLID, size)
        few = few.index_copy(0, some, _without_parts(few[some], reaching[some], solid, cells.of(some)))
    touching = touching.index_copy(0, rows, (few & rim).flatten(1).any(1))
    return inked.index_copy(0, rows, few), touching


def _cells(mask: Tensor, size: int) -> Tensor:
    """:func:`hanmo.neighbours.by_cells`."""
    if size == 1:
        return mask
    odd = mask.shape[1] % 2
    mask = F.pad(mask, (0, odd, 0, odd))
    mask = mask[:, ::2] | mask[:, 1::2]
    return mask[..., ::2] | mask[..., 1::2]


def _ring(like: Tensor, cells: Sizes, depth: Tensor) -> Tensor:
    """:func:`hanmo.neighbours.ring`; what lies outside of the picture is in the ring, too."""
    line = torch.arange(like.shape[1], device=like.device)
    near = [(line < depth[:, None]) | (line >= (length - depth)[:, None]) for length in cells]
    return near[0][:, :, None] | near[1][:, None]


def _sides_reached(rest: Tensor, cells: Sizes) -> Tensor:
    """How many sides ``rest`` comes close to, int64 (N,)."""
    clear = (1 + cells.longer * neighbours.CLEAR // 100)[:, None]
    line = torch.arange(rest.shape[1], device=rest.device)
    reached = torch.zeros(len(rest), dtype=torch.int64, device=rest.device)
    for lines, length in ((rest.any(2), cells.height), (rest.any(1), cells.width)):
        reached += (lines & (line < clear)).any(1).long() + (lines & (line >= length[:, None] - clear)).any(1).long()
    return reached


def _without_parts(inked: Tensor, reaching: Tensor, solid: Tensor, cells: Sizes) -> Tensor:
    parts = _parts(inked, reaching, cells, neighbours.KEPT_CENTRED)
    found = parts.flatten(1).any(1)
    if (rows := where(~found)) is not None:
        # Solid ink alone: strokes that are joined by their soft edges fall apart.
        few, solid, some = inked[rows], solid[rows] & inked[rows], cells.of(rows)
        rim = _ring(solid, some, torch.ones_like(some.height))
        hard = _parts(solid, flood(solid & rim, solid), some, neighbours.KEPT)
        soft = flood(hard, few & ~grown(solid & ~hard, 1, 1))
        parts = parts.index_copy(0, rows, soft)
    return inked & ~parts


def _parts(inked: Tensor, reaching: Tensor, cells: Sizes, kept: int) -> Tensor:
    side = cells.longer
    deep, clear = (
        _ring(inked, cells, depth) for depth in (side * neighbours.DEEP // 100, 1 + side * neighbours.CLEAR // 100)
    )
    parts = reaching & ~flood(reaching & ~deep, inked)
    rest = inked & ~parts
    near = torch.where((side * neighbours.APART // 100 > 0)[:, None, None], grown(rest, 1, 1), rest)
    parts = parts & ~flood(parts & near, parts)
    rest = inked & ~parts
    least = torch.where(_is_centred(rest, cells), kept, neighbours.KEPT)
    enough = rest.sum((1, 2)) * 100 >= least * inked.sum((1, 2))
    free = rest.flatten(1).any(1) & ~(rest & clear).flatten(1).any(1)
    return parts & (enough & free)[:, None, None]


def _is_centred(rest: Tensor, cells: Sizes) -> Tensor:
    number = torch.arange(rest.shape[1], device=rest.device)
    side, extents, offs = cells.longer, [], []
    for lines, length in ((rest.any(2), cells.height), (rest.any(1), cells.width)):
        start = number.expand_as(lines).masked_fill(~lines, len(number)).amin(1)
        stop = number.expand_as(lines).masked_fill(~lines, -1).amax(1) + 1
        extents.append(stop - start)
        offs.append((start + stop - length).abs())
    longer, shorter = torch.maximum(*extents), torch.minimum(*extents)
    large = (longer * 100 >= neighbours.LONG * side) & (shorter * 100 >= neighbours.SHORT * side)
    return large & (torch.maximum(*offs) * 50 <= neighbours.OFF * side)


def flood(seed: Tensor, inside: Tensor) -> Tensor:
    """:meth:`hanmo.bitboard.Board.flood` of bool (N, C, C), C at most 62.

    Each row is one int64 with a bit for each cell, so a step is one kernel on (N, C).
    """
    place = torch.arange(inside.shape[2], device=inside.device)
    assert len(place) < 63  # a row must fit into the bits of a positive int64
    room = (inside.long() << place).sum(2)
    rows = (seed.long() << place).sum(2) & room
    # All pictures one below another, with an empty row around each. A step leaves out the first and the last row, which
    # have no neighbours, so there is one more empty row for each step at both ends.
    steps, count = bitboard.STEPS, rows.numel() + 2 * len(rows)
    rows, room = (F.pad(F.pad(table, (1, 1)).flatten(), (steps, steps)) for table in (rows, room))
    for step in range(1, steps + 1):
        before = rows
        rows = dilated(rows[:-2], rows[1:-1], rows[2:], room[step:-step])
        if step % _CHECKED == 0 and torch.equal(before[1:-1], rows):
            break
    start = (len(rows) - count) // 2
    rows = rows[start : start + count].view(len(inside), inside.shape[1] + 2)[:, 1:-1]
    return (rows[..., None] >> place & 1) > 0
