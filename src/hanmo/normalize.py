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
from typing import Any, Literal, Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hanmo.errors import BlankImageError, ConfigError, ImageTooLargeError
from hanmo.ink import Remark, crop_box, find_ink
from hanmo.paper import MIN_CONTRAST
from hanmo.resampling import Method, matrices

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
    down, across = matrices(ink, settings.method, settings.side - 2 * settings.margin, settings.margin)
    square = down @ ink @ across.T
    square *= 255
    square += 0.5
    return square.astype(np.uint8)


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
