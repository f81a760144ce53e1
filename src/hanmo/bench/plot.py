"""Plot of accuracy against size and speed, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from matplotlib.transforms import Bbox

from hanmo.train.plots import BRUSH, CINNABAR, INK, save

_PLACES = [
    (side * near, up)
    for up in (5, -5, 14, -14, 25, -25, 36, -36, 48, -48, 60, -60)
    for near in (8, 24)
    for side in (1, -1)
]
"""Offsets of a title from its point, in typographic points, in the order they are tried: near places first."""
_DOT = 5
"""Half the width of a point's mark in pixels; titles keep clear of it."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A net: ``top1`` % with its ``spread``, millions of ``parameters``, ``ms`` a character (None: not known)."""

    title: str
    top1: float
    spread: float
    parameters: float
    ms: float | None
    distilled: bool = False


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """The Pareto front: indices of the (cost, value) for which no other is cheaper and at least as good, by cost."""
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    # From cheap to dear: a net is on the front if it is better than every cheaper one.
    front, best = [], float("-inf")
    for i in order:
        if points[i][1] > best:
            front.append(i)
            best = points[i][1]
    return front


def draw(points: Sequence[Point], out: Path) -> None:
    """Two panels as a PNG: against parameters, and against milliseconds where any are known."""
    timed = [point for point in points if point.ms is not None]
    figure = Figure(figsize=(12 if timed else 6.5, 6.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2 if timed else 1, squeeze=False)[0]
    _panel(figure, axes[0], points, [point.parameters for point in points], "parameters, millions")
    if timed:
        _panel(figure, axes[1], timed, [point.ms or 0.0 for point in timed], "ms a character, fp32, one CPU thread")
    axes[0].set_ylabel("top-1 %")
    save(figure, out, dpi=110)


def _panel(figure: Figure, axes: Axes, points: Sequence[Point], costs: Sequence[float], label: str) -> None:
    front = pareto([(cost, point.top1) for cost, point in zip(costs, points, strict=True)])
    axes.plot([costs[i] for i in front], [points[i].top1 for i in front], color=INK, alpha=0.35, lw=1.2, zorder=1)
    for distilled, colour, name in ((False, BRUSH, "labels alone"), (True, CINNABAR, "distilled, best method")):
        some = [i for i, point in enumerate(points) if point.distilled == distilled]
        if some:
            axes.errorbar(
                [costs[i] for i in some],
                [points[i].top1 for i in some],
                [points[i].spread for i in some],
                fmt="o",
                ms=5,
                color=colour,
                ecolor=colour,
                elinewidth=1,
                label=name,
            )
    # Sizes and times range over factors of ten; on a linear axis the small nets would lie on top of each other.
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)
    axes.grid(alpha=0.2)
    # Room for the titles beside the outermost points.
    axes.margins(x=0.18, y=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right", fontsize=8, title="bold: nothing beats it", title_fontsize=8)
    _name(figure, axes, points, costs, front)


def _name(figure: Figure, axes: Axes, points: Sequence[Point], costs: Sequence[float], front: Sequence[int]) -> None:
    """Write each point's title at the first of :data:`_PLACES` where it covers no other title and no point.

    Where none is free, it stays at the last. Better nets are placed first, because readers look for them first.
    """
    figure.draw_without_rendering()  # the layout decides how many pixels a unit of data has
    dots = [axes.transData.transform((cost, point.top1)) for cost, point in zip(costs, points, strict=True)]
    taken = [Bbox.from_bounds(x - _DOT, y - _DOT, 2 * _DOT, 2 * _DOT) for x, y in dots]
    for i in sorted(range(len(points)), key=lambda i: -points[i].top1):
        title = axes.annotate(
            points[i].title.replace(", ", ",\n", 1) if points[i].distilled else points[i].title,
            (costs[i], points[i].top1),
            xytext=_PLACES[0],
            textcoords="offset points",
            va="center",
            fontsize=8,
            weight="bold" if i in front else "normal",
            color=INK,
            arrowprops={"arrowstyle": "-", "color": INK, "alpha": 0.3, "lw": 0.6},
        )
        for right, up in _PLACES:
            title.set_position((right, up))
            # A title on the left of its point ends there, one on the right begins there.
            title.set_horizontalalignment("left" if right > 0 else "right")
            title.get_window_extent()  # moves the title; its result includes the line, which the next call leaves out
            box = Text.get_window_extent(title).padded(2)
            inside = axes.bbox.x0 < box.x0 and box.x1 < figure.bbox.x1
            if inside and not any(box.overlaps(other) for j, other in enumerate(taken) if j != i):
                break
        taken.append(box)
