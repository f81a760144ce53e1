"""The packaged stroke medians: the middle line of every stroke, in writing order.

``medians.bin`` has the characters of GB2312 level 1, ``medians-wide.bin`` those of other Chinese character sets.
``dev/pack_medians.py`` describes the format of both, NOTICE their origin and licence (Arphic Public License).
"""

from __future__ import annotations

import lzma
import math
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.resources import files
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hanmo.charset import list_characters
from hanmo.errors import CharsetError, InstallationError

_MAGIC = b"hanmo medians 1\n"
_COMPOSED = re.compile(r"^Composed from components: the last (\d+)\.$", re.MULTILINE)
_HEAD = 0.085  # longest slanted head of a stroke, as a part of the square's side
_HEAD_REACH = 0.06  # length after the head that shows the direction of the stroke itself

Stroke = NDArray[np.float32]

GRID = 1024
"""Steps along the side of the square: the files' coordinates are whole numbers of steps."""


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
    composed: frozenset[str] = frozenset()
    """The characters whose strokes were put together from those of their components, as no source has them."""

    def __contains__(self, character: object) -> bool:
        return character in self._places

    def of(self, character: str) -> list[Stroke]:
        """The strokes of one character, each float32 (n, 2), n >= 2; raises :class:`CharsetError`."""
        return self.of_all([character])[0]

    def of_all(self, characters: Iterable[str]) -> list[list[Stroke]]:
        """The strokes of many characters; every unknown one is named in a single :class:`CharsetError`."""
        known = self._places
        wanted = list(characters)
        unknown = sorted({c for c in wanted if c not in known})
        if unknown:
            raise CharsetError(
                f"no strokes are packaged for {len(unknown)} character(s): {list_characters(unknown)}; "
                f"the {len(known):,} {self._named()} can be drawn"
            )
        return [self._strokes(known[c]) for c in wanted]

    @cached_property
    def _places(self) -> dict[str, int]:
        """The number of each character."""
        return {c: i for i, c in enumerate(self.characters)}

    def _named(self) -> str:
        return "characters of GB2312 level 1" if self is load_medians() else "characters of this table"

    def _strokes(self, place: int) -> list[Stroke]:
        first, last = self.stroke_start[place : place + 2]
        cuts = self.point_start[first : last + 1]
        return [self.points[a:b] for a, b in pairwise(cuts)]


@cache
def load_medians(everything: bool = False) -> Medians:
    """The packaged medians, read once: the 3,755 characters of GB2312 level 1; with ``everything`` the full table.

    The full table has all 11,968 packaged characters and begins with the same 3,755. Raises
    :class:`InstallationError` when a file is damaged.
    """
    if everything:
        return _joined(load_medians(), _read("medians-wide.bin"))
    return _read("medians.bin")


def medians_for(characters: Iterable[str]) -> Medians:
    """The table of GB2312 level 1 where it has all of ``characters``, else the full one, which takes longer to read."""
    first = load_medians()
    return first if all(c in first for c in characters) else load_medians(everything=True)


def parse_medians(packed: bytes) -> Medians:
    """Medians from the bytes of a packed file. Raises :class:`InstallationError` for damage and another format."""
    header, _, payload = packed.partition(b"\n\n")
    if not header.startswith(_MAGIC):
        raise InstallationError("the packaged medians are of another format; reinstall hanmo")
    try:
        medians = _parse(lzma.decompress(payload))
        count = _COMPOSED.search(header.decode())
    except (lzma.LZMAError, struct.error, ValueError, IndexError) as error:
        raise InstallationError(f"the packaged medians are damaged ({error}); reinstall hanmo") from error
    return replace(medians, composed=frozenset(medians.characters[-int(count[1]) :])) if count else medians


def _read(name: str) -> Medians:
    return parse_medians(files("hanmo").joinpath(name).read_bytes())


def _joined(one: Medians, other: Medians) -> Medians:
    """The characters of two tables, which have none in common, as one table."""
    points = np.concatenate([one.points, other.points])
    points.setflags(write=False)
    return Medians(
        one.characters + other.characters,
        points,
        np.concatenate([one.point_start, other.point_start[1:] + one.point_start[-1]]),
        np.concatenate([one.stroke_start, other.stroke_start[1:] + one.stroke_start[-1]]),
        one.composed | other.composed,
    )


def even_out(strokes: list[Stroke], count: int) -> NDArray[np.float32]:
    """Resample strokes of any number of points to float32 (S, count, 2), corners kept.

    Where there are too many points, those are removed that change the line least (Visvalingam and Whyatt, "Line
    generalisation by repeated elimination of points", 1993); where there are too few, the longest steps are halved.
    """
    longest = max(count, *(len(s) for s in strokes))
    points = np.zeros((len(strokes), longest, 2), np.float32)
    size = np.array([len(s) for s in strokes])
    for row, stroke in zip(points, strokes, strict=True):
        row[: len(stroke)] = stroke
    while (rows := np.flatnonzero(size > count)).size:
        points[rows], size[rows] = _without_flattest(points[rows], size[rows]), size[rows] - 1
    while (rows := np.flatnonzero(size < count)).size:
        points[rows], size[rows] = _with_halved_step(points[rows], size[rows]), size[rows] + 1
    return points[:, :count].copy()


def _without_flattest(points: NDArray[np.float32], size: NDArray[np.int64]) -> NDArray[np.float32]:
    """Remove the inner point whose triangle with its two neighbours has the smallest area, from each line (n, P, 2).

    Of a line's P points the first ``size`` (n,) count, the others are padding.
    """
    place = np.arange(points.shape[1])
    a, b = points[:, 1:-1] - points[:, :-2], points[:, 2:] - points[:, 1:-1]
    # The cross product of two steps is twice the area of the triangle they span.
    area = np.abs(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
    area[place[1:-1] >= size[:, None] - 1] = np.inf  # the last point, and padding
    gone = area.argmin(1) + 1
    source = np.minimum(place + (place >= gone[:, None]), points.shape[1] - 1)
    return np.take_along_axis(points, source[..., None], 1)


def _with_halved_step(points: NDArray[np.float32], size: NDArray[np.int64]) -> NDArray[np.float32]:
    """Insert a point in the middle of the longest step of each line (n, P, 2), of which ``size`` (n,) points count."""
    row, place = np.arange(len(points)), np.arange(points.shape[1])
    length = np.square(np.diff(points, axis=1)).sum(2)
    length[place[1:] >= size[:, None]] = -1  # padding
    cut = length.argmax(1) + 1
    source = np.where(place >= cut[:, None], place - 1, place)
    middle = (points[row, cut - 1] + points[row, cut]) / 2
    longer = np.take_along_axis(points, source[..., None], 1)
    longer[row, cut] = middle
    return longer


def straighten_heads(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Straighten the slanted heads that a brush, but hardly a pen, gives to strokes (S, P, 2); same shape out.

    If the first ``_HEAD`` of a long enough stroke deviates by 12 to 80 degrees from the straight piece that follows, it
    is turned into that direction. Corners are not affected: they turn further, or are not followed by a straight piece.
    """
    arc = np.hypot(*np.moveaxis(np.diff(points, axis=1, prepend=points[:, :1]), 2, 0)).cumsum(1)
    # `neck` ends the head, `after` ends the piece that follows it: the first points at least so far along the stroke.
    row = np.arange(len(points))
    neck = (arc >= _HEAD).argmax(1)
    after = (arc >= arc[row, neck, None] + _HEAD_REACH).argmax(1)
    pivot, way = points[row, neck], points[row, after] - points[row, neck]
    length = np.hypot(way[:, 0], way[:, 1])
    # The chord is nearly as long as the way along the stroke.
    straight = length > 0.97 * (arc[row, after] - arc[row, neck])
    way = way / np.maximum(length, 1e-6)[:, None]
    head = pivot - points[:, 0]
    # The angle between two directions, from their cross product (sine) and their scalar product (cosine).
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
    # One sum over all steps of the file; then the sum up to each stroke's beginning is subtracted from its points.
    total = np.concatenate([np.zeros((1, 2), np.int64), np.cumsum(steps, axis=0, dtype=np.int64)])
    points = total[1:] - np.repeat(total[point_start[:-1]], points_of, axis=0)
    points = (points / GRID).astype(np.float32)
    points.setflags(write=False)  # the object is cached and shared, so nobody may change it
    return Medians(characters, points, point_start, np.concatenate([[0], np.cumsum(strokes_of, dtype=np.int64)]))
