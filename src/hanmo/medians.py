"""The packaged stroke medians: where the pen goes, stroke by stroke, for every character of GB2312 level 1.

The file's format, origin and licence (Arphic Public License) are told in ``dev/pack_medians.py`` and NOTICE.
"""

from __future__ import annotations

import lzma
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hanmo.charset import list_characters
from hanmo.errors import CharsetError, DataError

_MAGIC = b"hanmo medians 1\n"
_GRID = 1024
_HEAD = 0.085  # longest press at the beginning of a stroke, in parts of the square's side
_HEAD_REACH = 0.06

Stroke = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Medians:
    """Strokes of many characters in writing order, as three flat arrays.

    ``points`` is float32 (P, 2) in the unit square, x to the right, y down; ``point_start`` int64 (S + 1,) cuts it
    into strokes; ``stroke_start`` int64 (C + 1,) cuts the strokes into characters, in the order of ``characters``.
    """

    characters: tuple[str, ...]
    points: NDArray[np.float32]
    point_start: NDArray[np.int64]
    stroke_start: NDArray[np.int64]

    def __contains__(self, character: object) -> bool:
        return character in _places(self.characters)

    def of(self, character: str) -> list[Stroke]:
        """The strokes of one character, each float32 (n, 2), n >= 2; raises :class:`CharsetError`."""
        return self.of_all([character])[0]

    def of_all(self, characters: Iterable[str]) -> list[list[Stroke]]:
        """The strokes of many characters; every unknown one is named in a single :class:`CharsetError`."""
        known = _places(self.characters)
        wanted = list(characters)
        unknown = sorted({c for c in wanted if c not in known})
        if unknown:
            raise CharsetError(
                f"no strokes are packaged for {len(unknown)} character(s): {list_characters(unknown)}; "
                f"the {len(known):,} characters of GB2312 level 1 can be drawn"
            )
        return [self._strokes(known[c]) for c in wanted]

    def _strokes(self, place: int) -> list[Stroke]:
        first, last = self.stroke_start[place : place + 2]
        cuts = self.point_start[first : last + 1]
        return [self.points[a:b] for a, b in pairwise(cuts)]


@cache
def load_medians() -> Medians:
    """The packaged medians, read once; raises :class:`DataError` when the file is damaged."""
    return parse_medians(files("hanmo").joinpath("medians.bin").read_bytes())


def parse_medians(packed: bytes) -> Medians:
    """Medians from the bytes of a packed file; raises :class:`DataError` when they are damaged or of another format."""
    header, _, payload = packed.partition(b"\n\n")
    if not header.startswith(_MAGIC):
        raise DataError("the packaged medians are of another format; reinstall hanmo")
    try:
        return _parse(lzma.decompress(payload))
    except (lzma.LZMAError, struct.error, ValueError, IndexError) as error:
        raise DataError(f"the packaged medians are damaged ({error}); reinstall hanmo") from error


def even_out(strokes: list[Stroke], count: int) -> NDArray[np.float32]:
    """Strokes of any number of points -> float32 (S, count, 2), the corners kept.

    The longest steps are halved until there are enough points; where there are too many, the flattest go first.
    """
    longest = max(count, *(len(s) for s in strokes))
    points = np.zeros((len(strokes), longest, 2), np.float32)
    size = np.array([len(s) for s in strokes])
    for row, stroke in zip(points, strokes, strict=True):
        row[: len(stroke)] = stroke
    place = np.arange(longest)
    while (size > count).any():
        rows = np.flatnonzero(size > count)
        p = points[rows]
        a, b = p[:, 1:-1] - p[:, :-2], p[:, 2:] - p[:, 1:-1]
        area = np.abs(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
        area[place[1:-1] >= size[rows, None] - 1] = np.inf
        gone = area.argmin(1) + 1
        source = np.minimum(place + (place >= gone[:, None]), longest - 1)
        points[rows], size[rows] = np.take_along_axis(p, source[..., None], 1), size[rows] - 1
    while (size < count).any():
        rows = np.flatnonzero(size < count)
        p = points[rows]
        length = np.square(np.diff(p, axis=1)).sum(2)
        length[place[1:] >= size[rows, None]] = -1
        cut = length.argmax(1) + 1
        source = np.where(place >= cut[:, None], place - 1, place)
        middle = (p[np.arange(len(p)), cut - 1] + p[np.arange(len(p)), cut]) / 2
        p = np.take_along_axis(p, source[..., None], 1)
        p[np.arange(len(p)), cut] = middle
        points[rows], size[rows] = p, size[rows] + 1
    return points[:, :count].copy()


def straighten_heads(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Undo the slanted press of the brush that begins many strokes: pens hardly make it. float32 (S, P, 2), same out.

    Where the first ``_HEAD`` of a long enough stroke points aslant of the straight piece that follows, it is turned
    into that piece's direction. Corners are safe: they turn further, or bend what follows.
    """
    arc = np.hypot(*np.moveaxis(np.diff(points, axis=1, prepend=points[:, :1]), 2, 0)).cumsum(1)
    row = np.arange(len(points))
    neck = (arc >= _HEAD).argmax(1)
    after = (arc >= arc[row, neck, None] + _HEAD_REACH).argmax(1)
    pivot, way = points[row, neck], points[row, after] - points[row, neck]
    length = np.hypot(way[:, 0], way[:, 1])
    straight = length > 0.97 * (arc[row, after] - arc[row, neck])
    way = way / np.maximum(length, 1e-6)[:, None]
    head = pivot - points[:, 0]
    angle = np.abs(np.arctan2(head[:, 0] * way[:, 1] - head[:, 1] * way[:, 0], (head * way).sum(1)))
    aslant = straight & (arc[:, -1] > 3 * _HEAD) & (angle > math.radians(12)) & (angle < math.radians(80))
    back = (arc[row, neck, None] - arc)[..., None] * 0.8
    turned = pivot[:, None] - way[:, None] * back
    return np.where((aslant[:, None] & (back[..., 0] > 0))[..., None], turned, points).astype(np.float32)


def _parse(raw: bytes) -> Medians:
    count, name_bytes = struct.unpack_from("<II", raw)
    at = 8 + name_bytes
    characters = tuple(raw[8:at].decode())
    strokes_of = np.frombuffer(raw, np.uint8, count, at)
    points_of = np.frombuffer(raw, np.uint8, int(strokes_of.sum()), at + count)
    steps = np.frombuffer(raw, "<i2", offset=at + count + points_of.size).reshape(-1, 2)
    if len(characters) != count or len(steps) != points_of.sum() or strokes_of.min() < 1 or points_of.min() < 2:
        raise ValueError("its counts disagree")
    point_start = np.concatenate([[0], np.cumsum(points_of, dtype=np.int64)])
    # Sum the steps over the whole file, then take off what every stroke inherited from those before it.
    total = np.concatenate([np.zeros((1, 2), np.int64), np.cumsum(steps, axis=0, dtype=np.int64)])
    points = total[1:] - np.repeat(total[point_start[:-1]], points_of, axis=0)
    points = (points / _GRID).astype(np.float32)
    points.setflags(write=False)  # shared by everybody: a cached object must not change under its users
    return Medians(characters, points, point_start, np.concatenate([[0], np.cumsum(strokes_of, dtype=np.int64)]))


@cache
def _places(characters: tuple[str, ...]) -> dict[str, int]:
    return {c: i for i, c in enumerate(characters)}
