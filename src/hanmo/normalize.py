"""A grey picture of one character -> the square the network sees. The only copy of this step.

Every method here maps each axis by a monotone function of its own, so a normalisation is a pair of
small matrices, ``square = rows @ ink @ columns.T``: exact area averaging where the picture shrinks, linear
interpolation where it grows. Three classic ways to choose the functions:

``fit``           the ink's bounding box is scaled to the square, aspect kept;
``moment``        centred on the centre of gravity, scaled by the second moments (Liu et al., "Handwritten digit
                  recognition: investigation of normalization and feature extraction techniques", 2004);
``line-density``  strokes are spread evenly (Yamada, Yamamoto, Saito, "A nonlinear normalization method for
                  handprinted Kanji character recognition", 1990), density measured on the projections.

The result is uint8, 0 = paper, 255 = ink, so padding with zeros is padding with paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hanmo.errors import BlankImageError, ConfigError
from hanmo.ink import Remark, crop_box, find_ink
from hanmo.paper import MIN_CONTRAST

Method = Literal["fit", "moment", "line-density"]
Grey = NDArray[np.uint8]

Version = Literal[1, 2]

VERSION: Version = 2
"""Raised whenever the same picture would give another square: packs and bundles record it. Version 1, which reads clean
pictures only, is kept for the bundles, packs and runs that were made with it."""

MEAN, STD = 0.1, 0.25
"""Ink of a handwritten character's square in units of full ink: nets see ``(square / 255 - MEAN) / STD``."""


@dataclass(frozen=True)
class Inspected:
    """A picture's square, uint8 (S, S), 0 = paper, 255 = ink, and what may be wrong with the picture."""

    square: Grey
    remark: Remark | None


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """How pictures become squares. ``side`` and ``margin`` are in pixels; ``margin`` stays paper on every side.

    ``version`` 2 finds the ink on whatever paper it is (:mod:`hanmo.ink`), 1 takes all that is darker than the paper's
    median for ink. Of clean pictures both make the same squares, but for what is fainter than the dead zone.
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
        """The inverse of :meth:`as_dict`; :class:`ConfigError` when another version of this code wrote it, or none."""
        try:
            version, method, side, margin = (table[key] for key in ("version", "method", "side", "margin"))
        except (KeyError, TypeError) as error:
            raise ConfigError(f"{where}: {table!r:.60} is no normalisation; make it again") from error
        if version not in get_args(Version):
            known = " and ".join(map(str, get_args(Version)))
            raise ConfigError(f"{where}: normalised by version {version}, this program has {known}; make it again")
        return cls(method=method, side=side, margin=margin, version=version)

    def __call__(self, grey: Grey) -> Grey:
        """(H, W) uint8, ink dark -> (side, side) uint8, ink bright. Raises :class:`BlankImageError`."""
        return self.inspect(grey).square

    def inspect(self, grey: Grey) -> Inspected:
        """As a call, but with a remark on the picture. Raises :class:`BlankImageError`."""
        if self.version == 1:
            return Inspected(self._resampled(crop_to_ink(stretch(grey))), None)
        if not grey.size or grey.min() == grey.max():
            raise BlankImageError("the picture is blank: it holds one grey level only")
        found = find_ink(grey)
        return Inspected(self._resampled(found.ink), found.remark)

    def _resampled(self, ink: NDArray[np.float32]) -> Grey:
        """The square of ink that is cut to the character, float32 (h, w) in [0, 1]."""
        rows, columns = _AXES[self.method](ink, self.side - 2 * self.margin)
        down = _resampling(rows, ink.shape[0], self.margin)
        across = _resampling(columns, ink.shape[1], self.margin)
        square = down @ ink @ across.T
        return (square * 255 + 0.5).astype(np.uint8)


def stretch(grey: Grey) -> NDArray[np.float32]:
    """(H, W) uint8, ink dark -> float32 in [0, 1], 0 = paper, 1 = ink.

    Otsu's threshold parts paper from ink; the median of the paper becomes 0 and the dark decile of the ink
    becomes 1, so neither a shadow in a corner nor one black speck sets the scale.
    """
    # Pillow counts large pictures several times as fast as bincount, which makes int64 of every pixel first.
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
    """The smallest box that holds every pixel with at least ``visible`` ink, but for dust outside the character."""
    return ink[crop_box(ink, visible)]


def _otsu(counts: NDArray[np.intp]) -> int:
    """The last level of the dark class that maximises the variance between both classes (Otsu, 1979)."""
    below = counts.cumsum()[:-1].astype(np.float64)
    above = counts.sum() - below
    mass = (counts * np.arange(256.0)).cumsum()
    # Where a class is empty its mean is 0 / 1, of no matter: the product is 0.
    means_apart = mass[:-1] / np.maximum(below, 1) - (mass[-1] - mass[:-1]) / np.maximum(above, 1)
    between = below * above * means_apart**2
    # A plateau spans the empty levels between two peaks; its middle leaves room for both.
    (best,) = (between >= between.max() * (1 - 1e-9)).nonzero()
    return int(best[len(best) // 2])


def _quantile(counts: NDArray[np.intp], start: int, stop: int, share: float) -> int:
    """The grey level below which ``share`` of the pixels with levels in [start, stop) lie."""
    total = counts[start:stop].cumsum()
    return start + int(total.searchsorted(share * total[-1]))


Edges = NDArray[np.float64]
"""Where the ``room + 1`` edges of the square's cells lie along one axis of the picture, in its pixels, ascending."""


def _fit(ink: NDArray[np.float32], room: int) -> tuple[Edges, Edges]:
    pixels_a_cell = max(ink.shape) / room
    cells = (np.arange(room + 1) - room / 2) * pixels_a_cell
    return ink.shape[0] / 2 + cells, ink.shape[1] / 2 + cells


def _moment(ink: NDArray[np.float32], room: int) -> tuple[Edges, Edges]:
    def centre_and_extent(projection: NDArray[np.float32]) -> tuple[float, float]:
        weight = projection.astype(np.float64)
        total = weight.sum()
        place = np.arange(weight.size) + 0.5
        centre = float((place * weight).sum() / total)
        variance = float(((place - centre) ** 2 * weight).sum() / total)
        # Four standard deviations span a uniform bar's length plus 15 %; a single line still has one pixel.
        return centre, 4 * max(variance**0.5, 0.25)

    row_centre, height = centre_and_extent(ink.sum(axis=1))
    column_centre, width = centre_and_extent(ink.sum(axis=0))
    rows, columns = _cells(room, height / width)
    return row_centre + (rows - 0.5) * height, column_centre + (columns - 0.5) * width


def _line_density(ink: NDArray[np.float32], room: int) -> tuple[Edges, Edges]:
    def equalise(density: NDArray[np.float32], cells: Edges) -> Edges:
        length = density.size
        window = max(3, length // 8) | 1
        padded = density.take(np.arange(-(window // 2), length + window // 2), mode="clip")
        smooth = np.convolve(padded, np.ones(window) / window, mode="valid")
        # Half of the weight is uniform: full equalisation tears single strokes apart.
        total = np.cumsum(np.concatenate(([0.0], smooth + smooth.sum() / length + 1e-6)))
        inside: Edges = np.interp(cells, total / total[-1], np.arange(length + 1.0))
        outside: Edges = (np.minimum(cells, 0) + np.maximum(cells - 1, 0)) * length
        return inside + outside

    rows, columns = _cells(room, ink.shape[0] / ink.shape[1])
    return equalise(_crossings(ink), rows), equalise(_crossings(ink.T), columns)


def _crossings(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much ink begins or ends between each row and the one before it, (H,); before the first is paper."""
    change = np.array(ink)
    change[1:] -= ink[:-1]
    crossings: NDArray[np.float32] = np.abs(change).sum(axis=1)
    return crossings


def _cells(room: int, aspect: float) -> tuple[Edges, Edges]:
    """Cell edges for rows and columns in units of the mapped picture (0 to 1 inside it), for height / width ``aspect``.

    The short side's share r becomes sqrt(sin(pi r / 2)) of the square: aspect-adaptive normalisation (Liu, 2004).
    """
    short = np.sqrt(np.sin(np.pi / 2 * min(aspect, 1 / aspect)))
    cells = np.arange(room + 1) / room - 0.5
    narrow, full = cells / short + 0.5, cells + 0.5
    return (narrow, full) if aspect < 1 else (full, narrow)


_AXES = {"fit": _fit, "moment": _moment, "line-density": _line_density}


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
