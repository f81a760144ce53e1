"""Boxes in rows and columns, and what print consists of. All lengths are millimetres, x to the right, y down."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Colour = tuple[int, int, int]


class Boxes(NamedTuple):
    """A grid of equal cells; ``gap`` is the free space between two columns and between two rows."""

    left: float
    top: float
    rows: int
    columns: int
    size: tuple[float, float]
    """Width and height of a cell, between the middles of its rules."""
    gap: tuple[float, float] = (0.0, 0.0)

    @property
    def right(self) -> float:
        """The right end of the last column."""
        return self.left + self.columns * self.size[0] + (self.columns - 1) * self.gap[0]

    @property
    def bottom(self) -> float:
        """The lower end of the last row."""
        return self.top + self.rows * self.size[1] + (self.rows - 1) * self.gap[1]

    def corner(self, row: int, column: int) -> tuple[float, float]:
        """The top left corner of a cell."""
        return (
            self.left + column * (self.size[0] + self.gap[0]),
            self.top + row * (self.size[1] + self.gap[1]),
        )

    def quads(self, inset: float = 0.0) -> Floats:
        """(R, C, 4, 2): the corners of each cell from the top left clockwise, ``inset`` inside of the middle of its
        rules."""
        x = self.left + np.arange(self.columns) * (self.size[0] + self.gap[0])
        y = self.top + np.arange(self.rows) * (self.size[1] + self.gap[1])
        across = np.stack([x + inset, x + self.size[0] - inset], 1)
        down = np.stack([y + inset, y + self.size[1] - inset], 1)
        quads = np.empty((self.rows, self.columns, 4, 2))
        for corner, (right, below) in enumerate(((0, 0), (1, 0), (1, 1), (0, 1))):
            quads[:, :, corner, 0] = across[None, :, right]
            quads[:, :, corner, 1] = down[:, None, below]
        return quads


class Line(NamedTuple):
    """A straight printed line; ``dash`` is the length of a dash and of the gap after it, zeros for a solid line."""

    start: tuple[float, float]
    end: tuple[float, float]
    width: float
    colour: Colour
    dash: tuple[float, float] = (0.0, 0.0)


class Circle(NamedTuple):
    """A printed circle."""

    centre: tuple[float, float]
    radius: float
    width: float
    colour: Colour


class Text(NamedTuple):
    """A line of print ``size`` high; ``anchor`` (l, m or r) is its point that lies at ``place``, at half its height."""

    place: tuple[float, float]
    size: float
    text: str
    colour: Colour
    anchor: str = "l"


Mark = Line | Circle | Text


class Paper(NamedTuple):
    """A sheet before anybody writes on it."""

    name: str
    page: tuple[float, float]
    """Width and height."""
    boxes: tuple[Boxes, ...]
    marks: tuple[Mark, ...]
    """The print, in the order in which it is drawn."""
    inset: float
    """Half the width of the usual rule: what the inside of a cell is smaller on each side."""
    ruled: bool = True
    """Whether cells have rules; False: characters stand in free rows."""
    direction: str = "rows"
    """How the text runs: ``rows`` or ``columns-right-to-left``."""

    def content(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of all cells together, and of the print at the left of them."""
        top, bottom = min(b.top for b in self.boxes), max(b.bottom for b in self.boxes)
        labels = [
            m.place[0] for m in self.marks if isinstance(m, Text) and m.anchor == "l" and top < m.place[1] < bottom
        ]
        return min([b.left for b in self.boxes] + labels), top, max(b.right for b in self.boxes), bottom
