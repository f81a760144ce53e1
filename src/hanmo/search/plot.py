"""Plot of the trials' accuracy over the training images used so far."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from hanmo.search.report import TRAINED, TrialRow
from hanmo.train.plots import BRUSH, CINNABAR, GOLD, page, save


def draw(rows: Sequence[TrialRow], out: Path) -> None:
    """A PNG: every trained trial where its training ended, and the best so far; stopped trials at the bottom."""
    trained = [row for row in rows if row.state in TRAINED]
    # Over images, not over trials: stopped trials cost less, which is the point of stopping them.
    used = [total / 1e6 for total in accumulate(row.images for row in trained)]
    complete = [(x, row.top1) for x, row in zip(used, trained, strict=True) if row.top1 is not None]
    figure, axes = page("Search", "top-1 %", across="training images, millions")
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
    if trained:
        axes.legend(frameon=False, loc="lower right")
    save(figure, out)
