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

from hanmo.errors import BlankImageError, ConfigError

Method = Literal["fit", "moment", "line-density"]
Grey = NDArray[np.uint8]

VERSION = 1
"""Raised whenever the same picture would give another square: packs and bundles record it."""

MEAN, STD = 0.1, 0.25
"""Ink of a handwritten character's square in units of full ink: nets see ``(square / 255 - MEAN) / STD``."""

MIN_CONTRAST = 12
"""Grey levels between paper and ink below which a picture counts as blank."""


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """How pictures become squares. ``side`` and ``margin`` are in pixels; ``margin`` stays paper on every side."""

    method: Method = "fit"
    side: int = 64
    margin: int = 2

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ConfigError(f"normalisation {self.method!r} is unknown; one of {', '.join(get_args(Method))}")
        if not 8 <= self.side <= 512 or not 0 <= self.margin < self.side // 4:
            raise ConfigError(
                f"side {self.side} with margin {self.margin}: side 8 to 512, margin under a quarter of it"
            )

    def __str__(self) -> str:
        return f"{self.method}-{self.side}+{self.margin}.v{VERSION}"

    def as_dict(self) -> dict[str, Any]:
        return {"method": self.method, "side": self.side, "margin": self.margin, "version": VERSION}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any], where: str = "") -> Normalization:
        """The inverse of :meth:`as_dict`; :class:`ConfigError` when another version of this code wrote it."""
        if table.get("version") != VERSION:
            raise ConfigError(
                f"{where}: normalised by version {table.get('version')}, this program has {VERSION}; make it again"
            )
        return cls(method=table["method"], side=table["side"], margin=table["margin"])

    def __call__(self, grey: Grey) -> Grey:
        """(H, W) uint8, ink dark -> (side, side) uint8, ink bright. Raises :class:`BlankImageError`."""
        ink = crop_to_ink(stretch(grey))
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
    counts = np.bincount(grey.ravel(), minlength=256)
    if grey.size == 0 or counts.max() == grey.size:
        raise BlankImageError("the picture is blank: it holds one grey level only")
    threshold = _otsu(counts)
    paper = _quantile(counts, threshold + 1, 256, 0.5)
    ink = _quantile(counts, 0, threshold + 1, 0.1)
    if paper - ink < MIN_CONTRAST:
        raise BlankImageError(
            f"the picture is blank: paper and ink differ by {paper - ink} grey levels of 255, {MIN_CONTRAST} needed"
        )
    levels = np.clip((paper - np.arange(256, dtype=np.float32)) / np.float32(paper - ink), 0, 1)
    stretched: NDArray[np.float32] = levels[grey]
    return stretched


def crop_to_ink(ink: NDArray[np.float32], visible: float = 0.3) -> NDArray[np.float32]:
    """The smallest box that holds every pixel with at least ``visible`` ink."""
    rows = np.flatnonzero(ink.max(axis=1) >= visible)
    columns = np.flatnonzero(ink.max(axis=0) >= visible)
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _otsu(counts: NDArray[np.intp]) -> int:
    """The last level of the dark class that maximises the variance between both classes (Otsu, 1979)."""
    below = np.cumsum(counts)[:-1].astype(np.float64)
    mass = np.cumsum(counts * np.arange(256.0))
    above = counts.sum() - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass[:-1] / below - (mass[-1] - mass[:-1]) / above) ** 2
    between = np.nan_to_num(between)
    # A plateau spans the empty levels between two peaks; its middle leaves room for both.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return int(best[len(best) // 2])


def _quantile(counts: NDArray[np.intp], start: int, stop: int, share: float) -> int:
    """The grey level below which ``share`` of the pixels with levels in [start, stop) lie."""
    total = np.cumsum(counts[start:stop])
    return start + int(np.searchsorted(total, share * total[-1]))


Edges = NDArray[np.float64]
"""Where the ``room + 1`` edges of the square's cells lie along one axis of the picture, in its pixels, ascending."""


def _fit(ink: NDArray[np.float32], room: int) -> tuple[Edges, Edges]:
    pixels_a_cell = max(ink.shape) / room
    cells = (np.arange(room + 1) - room / 2) * pixels_a_cell
    return ink.shape[0] / 2 + cells, ink.shape[1] / 2 + cells


def _moment(ink: NDArray[np.float32], room: int) -> tuple[Edges, Edges]:
    def centre_and_extent(projection: NDArray[np.float32]) -> tuple[float, float]:
        place = np.arange(projection.size) + 0.5
        centre = float(np.average(place, weights=projection))
        # Four standard deviations span a uniform bar's length plus 15 %; a single line still has one pixel.
        return centre, 4 * max(float(np.average((place - centre) ** 2, weights=projection)) ** 0.5, 0.25)

    row_centre, height = centre_and_extent(ink.sum(axis=1))
    column_centre, width = centre_and_extent(ink.sum(axis=0))
    rows, columns = _cells(room, height / width)
    return row_centre + (rows - 0.5) * height, column_centre + (columns - 0.5) * width


def _line_density(ink: NDArray[np.float32], room: int) -> tuple[Edges, Edges]:
    def equalise(density: NDArray[np.float32], cells: Edges) -> Edges:
        length = density.size
        window = max(3, length // 8) | 1
        smooth = np.convolve(np.pad(density, window // 2, mode="edge"), np.ones(window) / window, mode="valid")
        # Half of the weight is uniform: full equalisation tears single strokes apart.
        total = np.cumsum(np.concatenate(([0.0], smooth + smooth.mean() + 1e-6)))
        inside: Edges = np.interp(cells, total / total[-1], np.arange(length + 1.0))
        outside: Edges = (np.minimum(cells, 0) + np.maximum(cells - 1, 0)) * length
        return inside + outside

    rows, columns = _cells(room, ink.shape[0] / ink.shape[1])
    crossings_down = np.abs(np.diff(ink, axis=0, prepend=np.float32(0))).sum(axis=1)
    crossings_across = np.abs(np.diff(ink, axis=1, prepend=np.float32(0))).sum(axis=0)
    return equalise(crossings_down, rows), equalise(crossings_across, columns)


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
    pixel = np.arange(length)
    covered = np.clip((middle + half)[:, None] - pixel, 0, 1) - np.clip((middle - half)[:, None] - pixel, 0, 1)
    matrix = np.zeros((len(middle) + 2 * margin, length), np.float32)
    matrix[margin : margin + len(middle)] = covered / (2 * half)[:, None]
    return matrix
