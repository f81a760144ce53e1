"""Normalisation: a grey picture of one character -> the square that the network sees (:func:`normalize`).

:mod:`hanmo.ink` finds the ink of the character; this module scales it to the square.

Training, evaluation, export and reading all use this module, so that a net always sees squares of the same kind.

Every method maps each axis by a monotone function of its own. A normalisation is then two small matrix products,
``square = rows @ ink @ columns.T``: exact area averaging where the picture shrinks, linear interpolation where it
grows. There are three methods to choose the functions:

``fit``           the ink's bounding box is scaled to the square, aspect kept;
``moment``        centred on the centre of gravity, scaled by the second moments (Liu et al., "Handwritten digit
                  recognition: investigation of normalization and feature extraction techniques", 2004);
``line-density``  strokes are spread evenly (Yamada, Yamamoto, Saito, "A nonlinear normalization method for
                  handprinted Kanji character recognition", 1990), density measured on the projections.

The square is uint8, 0 = paper, 255 = ink, so padding with zeros is padding with paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hanmo.errors import BlankImageError, ConfigError, ImageTooLargeError
from hanmo.ink import Remark, crop_box, find_ink
from hanmo.paper import MIN_CONTRAST, SIDE

Method = Literal["fit", "moment", "line-density"]
Grey = NDArray[np.uint8]

Version = Literal[1, 2, 3]

VERSION: Version = 3
"""Goes up whenever the same picture would give another square; packs, bundles and runs record it. Former versions are
kept for the bundles and runs that were made with them; packs of former versions are refused."""

_LONGEST = 16_384
"""Version 1 only: the longest side of a picture, in pixels. Version 1 resamples the original pixels, by matrices of
cells x length: 8 MB at this length, gigabytes for a line of millions of pixels."""

MEAN, STD = 0.1, 0.25
"""Mean and standard deviation of the ink in the square of a handwritten character, full ink being 1."""
PAPER = -MEAN / STD
"""Paper, which is 0 in a square, in the input of a net (:func:`standardise`)."""


class _Array(Protocol):
    def __sub__(self, other: float, /) -> Any: ...


Array = TypeVar("Array", bound=_Array)


def standardise(ink: Array, mean: float = MEAN, std: float = STD) -> Array:
    """Squares in [0, 1], 1 = full ink, -> the input of a net, with about zero mean and unit variance; any shape.

    Takes NumPy arrays and PyTorch tensors. ``mean`` and ``std`` are those of the squares a net was trained on.
    """
    standardised: Array = (ink - mean) / std
    return standardised


@dataclass(frozen=True)
class Inspected:
    """A picture's square, uint8 (S, S), 0 = paper, 255 = ink, and what may be wrong with the picture."""

    square: Grey
    remark: Remark | None


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """How pictures become squares. ``side`` and ``margin`` are in pixels; ``margin`` stays paper on every side.

    ``version`` 3 finds the ink on paper of any kind (:mod:`hanmo.ink`). Version 2 does too, but it counts the faintest
    15 % of the contrast as paper even on clean scans, where they are the soft edges of strokes. Version 1 takes
    everything darker than the paper's median for ink; for clean pictures its squares are much like those of version 3,
    which averages large pictures down to 96 pixels first.

    Raises :class:`ConfigError` for an unknown method or version and for an impossible side or margin.
    """

    method: Method = "fit"
    side: int = 64
    margin: int = 2
    version: Version = VERSION

    def __post_init__(self) -> None:
        if self.version not in get_args(Version):
            raise ConfigError(f"normalisation version {self.version!r} is not known here; update hanmo")
        if self.method not in get_args(Method):
            raise ConfigError(f"normalisation {self.method!r} is unknown; one of {', '.join(get_args(Method))}")
        whole = type(self.side) is int and type(self.margin) is int  # bundles and packs are files of others, too
        if not whole or not 8 <= self.side <= 512 or not 0 <= self.margin < self.side // 4:
            raise ConfigError(
                f"side {self.side!r} with margin {self.margin!r}: side 8 to 512, margin under a quarter of it"
            )

    def __str__(self) -> str:
        return f"{self.method}-{self.side}+{self.margin}.v{self.version}"

    def as_dict(self) -> dict[str, Any]:
        return {"method": self.method, "side": self.side, "margin": self.margin, "version": self.version}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any], where: str = "") -> Normalization:
        """The inverse of :meth:`as_dict`. Raises :class:`ConfigError` for another table and for a newer version."""
        try:
            version, method, side, margin = (table[key] for key in ("version", "method", "side", "margin"))
        except (KeyError, TypeError) as error:
            raise ConfigError(f"{where}: {table!r:.60} is no normalisation; make it again") from error
        if version not in get_args(Version):
            raise ConfigError(
                f"{where}: normalised by version {version}, this program has 1 to {VERSION}; make it again"
            )
        return cls(method=method, side=side, margin=margin, version=version)

    def __call__(self, grey: Grey) -> Grey:
        """:func:`normalize` with these settings."""
        return self.inspect(grey).square

    def inspect(self, grey: Grey) -> Inspected:
        """The square of a picture, with a remark where something may be wrong with the picture.

        ``grey`` is uint8 (H, W), ink dark. Raises :class:`BlankImageError` for a picture without ink,
        :class:`ImageTooLargeError` where version 1 gets a picture of more than 16,384 pixels in length.
        """
        if self.version == 1:
            if max(grey.shape) > _LONGEST:
                raise ImageTooLargeError(f"{grey.shape[1]}x{grey.shape[0]} is longer than {_LONGEST:,} pixels; cut it")
            return Inspected(_resample(crop_to_ink(stretch(grey)), self), None)
        # What is left begins with the first pixel of another level: faster than a minimum and a maximum.
        if not (pixels := grey.tobytes()).lstrip(pixels[:1]):
            raise BlankImageError("the picture is blank: it holds one grey level only")
        found = find_ink(grey, keep_faint=self.version > 2)
        return Inspected(_resample(found.ink, self), found.remark)


def normalize(grey: Grey, settings: Normalization) -> Grey:
    """The square of one picture: uint8 (H, W), ink dark, -> uint8 (side, side), ink bright.

    Raises :class:`BlankImageError` for a picture without ink.
    """
    return settings(grey)


def _resample(ink: NDArray[np.float32], settings: Normalization) -> Grey:
    """The square of ink that is cut to the character, float32 (h, w) in [0, 1]."""
    down, across = _matrices(ink, settings)
    square = down @ ink @ across.T
    square *= 255
    square += 0.5
    return square.astype(np.uint8)


def _matrices(ink: NDArray[np.float32], settings: Normalization) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The matrices that resample the rows and the columns of ink (h, w)."""
    room, margin = settings.side - 2 * settings.margin, settings.margin
    if settings.method == "fit":
        longest = max(ink.shape)
        # Only version 1 resamples longer pictures; a matrix then has megabytes, too many to keep.
        fitting = _shared_fitting if longest <= SIDE else _fitting
        return fitting(ink.shape[0], longest, room, margin), fitting(ink.shape[1], longest, room, margin)
    rows, columns = _AXES[settings.method](ink, room)
    return _resampling(rows, ink.shape[0], margin), _resampling(columns, ink.shape[1], margin)


def stretch(grey: Grey) -> NDArray[np.float32]:
    """Version 1 only: (H, W) uint8, ink dark -> float32 in [0, 1], 0 = paper, 1 = ink.

    Otsu's threshold separates paper from ink. The median of the paper becomes 0 and the dark decile of the ink
    becomes 1, so that neither a shadow in a corner nor one black speck sets the scale.

    Raises :class:`BlankImageError` when paper and ink differ by less than ``MIN_CONTRAST`` grey levels.
    """
    # Pillow counts large pictures several times as fast as bincount, which converts every pixel to int64 first.
    counts = np.array(Image.fromarray(grey).histogram()) if grey.size else np.zeros(256, np.int64)
    if counts.max() == grey.size:
        raise BlankImageError("the picture is blank: it holds one grey level only")
    threshold = _otsu(counts)
    paper = _quantile(counts, threshold + 1, 256, 0.5)
    ink = _quantile(counts, 0, threshold + 1, 0.1)
    if paper - ink < MIN_CONTRAST:
        raise BlankImageError(
            f"the picture is blank: paper and ink differ by {paper - ink} grey levels of 255, {MIN_CONTRAST} needed"
        )
    levels = ((paper - np.arange(256, dtype=np.float32)) / np.float32(paper - ink)).clip(0, 1)
    return levels.take(grey)


def crop_to_ink(ink: NDArray[np.float32], visible: float = 0.3) -> NDArray[np.float32]:
    """Version 1 only: ink cut to the smallest box of all pixels with at least ``visible`` ink, without outer dust."""
    return ink[crop_box(ink, visible)]


def _otsu(counts: NDArray[np.intp]) -> int:
    """Version 1 only: the last level of the dark class that maximises the variance between classes (Otsu, 1979)."""
    below = counts.cumsum()[:-1].astype(np.float64)
    above = counts.sum() - below
    mass = (counts * np.arange(256.0)).cumsum()
    # An empty class would be divided by 0; with 1 instead its mean is 0, and the product below is 0 anyway.
    means_apart = mass[:-1] / np.maximum(below, 1) - (mass[-1] - mass[:-1]) / np.maximum(above, 1)
    between = below * above * means_apart**2
    # All empty levels between two peaks are equally good; the middle one is as far from both peaks as can be.
    (best,) = (between >= between.max() * (1 - 1e-9)).nonzero()  # 1e-9: rounding errors make equal levels differ
    return int(best[len(best) // 2])


def _quantile(counts: NDArray[np.intp], start: int, stop: int, share: float) -> int:
    """Version 1 only: the grey level below which ``share`` of the pixels with levels in [start, stop) lie."""
    total = counts[start:stop].cumsum()
    return start + int(total.searchsorted(share * total[-1]))


Edges = NDArray[np.float64]
"""The ``room + 1`` edges of the square's cells along one axis of the picture, in its pixels, ascending. ``room`` is the
square's side without its margins."""


@lru_cache(maxsize=8192)  # up to 4,656 pairs of lengths, of which cropped samples have most
def _shared_fitting(length: int, longest: int, room: int, margin: int) -> NDArray[np.float32]:
    """:func:`_fitting` for axes of up to :data:`SIDE` pixels, kept: most as columns of the matrix of a longer axis.

    A matrix has 17 KB for squares of 64 pixels; all pairs of lengths would have 57 MB.
    """
    matrix = _fitting(length, longest, room, margin)
    # Around the middle, the cells cover the same pixels whatever the length: if the middle is that of a pixel, or if it
    # lies between two. Not in the last bit where a cell ends at a pixel; squares must not depend on what is shared.
    longer = longest + (longest - length) % 2
    first = (longer - length) // 2
    columns = _longest_fitting(longer, longest, room, margin)[:, first : first + length]
    shared = columns if np.array_equal(columns, matrix) else matrix
    shared.setflags(write=False)  # for all callers
    return shared


def _fitting(length: int, longest: int, room: int, margin: int) -> NDArray[np.float32]:
    """The matrix of method ``fit`` for an axis of ``length`` pixels, where the longer axis has ``longest``."""
    pixels_a_cell = longest / room
    cells = (np.arange(room + 1, dtype=np.float64) - room / 2) * pixels_a_cell
    return _resampling(length / 2 + cells, length, margin)


_longest_fitting = lru_cache(maxsize=256)(_fitting)


def _moment(ink: NDArray[np.float32], room: int) -> tuple[Edges, Edges]:
    def centre_and_extent(projection: NDArray[np.float32]) -> tuple[float, float]:
        weight = projection.astype(np.float64)
        total = weight.sum()
        place = np.arange(weight.size) + 0.5
        centre = float((place * weight).sum() / total)
        variance = float(((place - centre) ** 2 * weight).sum() / total)
        # A uniform bar of length L has a standard deviation of L / sqrt(12), so four of them span 1.15 L. At least
        # 0.25 keeps an extent of one pixel for a single line, whose variance is 0.
        return centre, 4 * max(variance**0.5, 0.25)

    row_centre, height = centre_and_extent(ink.sum(axis=1))
    column_centre, width = centre_and_extent(ink.sum(axis=0))
    rows, columns = _cells(room, height / width)
    return row_centre + (rows - 0.5) * height, column_centre + (columns - 0.5) * width


def _line_density(ink: NDArray[np.float32], room: int) -> tuple[Edges, Edges]:
    def equalise(density: NDArray[np.float32], cells: Edges) -> Edges:
        length = density.size
        window = max(3, length // 8) | 1  # odd, so that the moving average is centred
        padded = density.take(np.arange(-(window // 2), length + window // 2), mode="clip")
        smooth = np.convolve(padded, np.ones(window) / window, mode="valid")
        # Half of the weight is uniform: full equalisation tears single strokes apart. 1e-6 keeps the sum ascending.
        total = np.cumsum(np.concatenate(([0.0], smooth + smooth.sum() / length + 1e-6)))
        inside: Edges = np.interp(cells, total / total[-1], np.arange(length + 1.0))
        # np.interp stops at the ends; cells beyond the picture go on at its mean scale.
        outside: Edges = (np.minimum(cells, 0) + np.maximum(cells - 1, 0)) * length
        return inside + outside

    rows, columns = _cells(room, ink.shape[0] / ink.shape[1])
    return equalise(_crossings(ink), rows), equalise(_crossings(ink.T), columns)


def _crossings(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """The amount of ink that begins or ends between each row and the one before it, (H,).

    It is the density of horizontal strokes. Paper lies before the first row.
    """
    change = np.array(ink)
    change[1:] -= ink[:-1]
    crossings: NDArray[np.float32] = np.abs(change).sum(axis=1)
    return crossings


def _cells(room: int, aspect: float) -> tuple[Edges, Edges]:
    """Cell edges for rows and columns, 0 to 1 inside the picture, whose height / width is ``aspect``.

    A short side of r times the long one gets sqrt(sin(pi r / 2)) of the square's side: aspect-adaptive normalisation
    (Liu et al., 2004), which widens narrow characters a little and leaves 一 a line.
    """
    short = np.sqrt(np.sin(np.pi / 2 * min(aspect, 1 / aspect)))
    cells = np.arange(room + 1) / room - 0.5
    narrow, full = cells / short + 0.5, cells + 0.5
    return (narrow, full) if aspect < 1 else (full, narrow)


_AXES = {"moment": _moment, "line-density": _line_density}


def _resampling(edges: Edges, length: int, margin: int) -> NDArray[np.float32]:
    """The matrix (cells + 2 margin, length) whose row i averages the picture over cell i.

    A cell narrower than a pixel is widened to one, which makes growing linear interpolation.
    """
    middle = (edges[1:] + edges[:-1]) / 2
    half = np.maximum(edges[1:] - edges[:-1], 1) / 2
    pixel = np.arange(float(length))
    covered = ((middle + half)[:, None] - pixel).clip(0, 1)
    covered -= ((middle - half)[:, None] - pixel).clip(0, 1)
    covered /= (2 * half)[:, None]
    matrix = np.zeros((len(middle) + 2 * margin, length), np.float32)
    matrix[margin : margin + len(middle)] = covered
    return matrix
