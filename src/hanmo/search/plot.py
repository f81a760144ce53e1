"""Plot of the trials' accuracy over the training images used so far."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hanmo.atomic import write_whole
from hanmo.search.report import TRAINED, TrialRow
from hanmo.train.plots import BRUSH, CINNABAR, GOLD, INK


def draw(rows: Sequence[TrialRow], out: Path) -> None:
    """A PNG: every trained trial where its training ended, and the best so far; stopped trials at the bottom."""
    trained = [row for row in rows if row.state in TRAINED]
    # Over images, not over trials: stopped trials cost less, which is the point of stopping them.
    used = [total / 1e6 for total in accumulate(row.images for row in trained)]
    complete = [(x, row.top1) for x, row in zip(used, trained, strict=True) if row.top1 is not None]
    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if complete:
        positions, values = zip(*complete, strict=True)
        axes.plot(positions, values, "o", color=BRUSH, markersize=4, label="trials")
        # The largest value up to each trial.
        best = list(accumulate(values, max))
        axes.step(positions, best, where="post", color=CINNABAR, linewidth=1.6, label="best so far")
    stopped = [x for x, row in zip(used, trained, strict=True) if row.top1 is None]
    if stopped:
        # A stopped trial has no final accuracy; its cross stands at the lower edge.
        floor = axes.get_ylim()[0]
        axes.plot(stopped, [floor] * len(stopped), "x", color=GOLD, markersize=5, label="stopped early", clip_on=False)
    axes.set_title("Search", loc="left", fontweight="bold", color=INK, pad=12)
    axes.set_xlabel("training images, millions")
    axes.set_ylabel("top-1 %")
    axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.7)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(colors=INK, length=3)
    if trained:
        axes.legend(frameon=False, loc="lower right")
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_whole(out, picture.getbuffer())
