"""The curves of a run as pictures: ``loss.png``, ``accuracy.png``, ``learning_rate.png``.

They are drawn from the JSON lines that a training writes, so they can be drawn at any time: while it runs, or after it
died. Of a step that was logged twice (a resumed run repeats some) the later record counts. An incomplete last line is
left out.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from numpy.typing import NDArray

from hanmo.atomic import write_whole
from hanmo.errors import DataError

INK, BRUSH, CINNABAR, JADE, GOLD = "#22252b", "#3a5a98", "#c0392b", "#2f8f6b", "#b7791f"
_PARTS = (JADE, GOLD, "#7d5ba6", "#4a7f8c")
_SMOOTH = 12.0
"""Largest width of the Gaussian that smooths the loss, in logged points; short runs get a narrower one."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """The records of a run in order of their steps: those of training, and the evaluations with the final one."""

    train: list[dict[str, Any]]
    evaluated: list[dict[str, Any]]

    def column(self, kind: str, name: str) -> NDArray[np.float64]:
        """One value of every ``train`` or ``eval`` record, float64; NaN where a record lacks it."""
        records = self.train if kind == "train" else self.evaluated
        return np.array([_number(record.get(name)) for record in records], np.float64)


def plot_run(metrics_jsonl: Path, out_dir: Path) -> list[Path]:
    """Draw the curves of a run; returns the paths of the pictures, without those that have nothing to show.

    A line is ``{"kind": "train", "step", "epoch", "loss", "lr", "images_per_s", "parts"?}`` or
    ``{"kind": "eval" | "end", "step", "epoch", "top1", "top5", "loss"}``, accuracies in per cent; ``end`` is the final
    evaluation. Other kinds are left out.
    Raises :class:`DataError` when a line is damaged or nothing is logged, :class:`StorageError` when the disk refuses.
    """
    run = read_run(metrics_jsonl)
    figures = {"loss": _loss(run) if run.train else None}
    figures["accuracy"] = _accuracy(run) if run.evaluated else None
    figures["learning_rate"] = _learning_rate(run) if run.train else None
    return [save(figure, Path(out_dir) / f"{name}.png") for name, figure in figures.items() if figure is not None]


def read_run(metrics_jsonl: Path) -> Run:
    """The records of a run. Raises :class:`DataError` naming the file and the line."""
    path = Path(metrics_jsonl)
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    latest: dict[str, dict[float, dict[str, Any]]] = {"train": {}, "eval": {}}
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line) if line.strip() else {}
            kind = "eval" if record.get("kind") == "end" else record.get("kind")
            # A run without a test pack ends with a record that evaluates nothing.
            if kind in latest and (record["kind"] != "end" or "top1" in record):
                # By step, so a later record of the same step replaces the earlier one.
                latest[kind][record["step"]] = record
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            if number == len(lines) and isinstance(error, json.JSONDecodeError):
                break  # the run was killed, or is writing, in the middle of this line
            raise DataError(f"{path}: line {number} is not a record of a run; remove it") from error
    if not any(latest.values()):
        raise DataError(f"{path}: no training or evaluation is logged in it; nothing to draw")
    train, evaluated = ([steps[step] for step in sorted(steps)] for steps in latest.values())
    return Run(train=train, evaluated=evaluated)


def smooth(values: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Values (n,) averaged with Gaussian weights of standard deviation ``width`` points, float64 (n,).

    The weights are centred, so the curve does not lag. NaN and infinite values have no weight, nor do places beyond
    the ends; the result is NaN where no finite value is near.
    """
    reach = int(3 * width)  # beyond three standard deviations the weights are below 1 % of the middle one
    if not len(values) or not reach:
        return values
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    known = np.isfinite(values)

    def spread(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.convolve(np.pad(numbers, reach), weights, mode="valid")

    # The weights of the known values around each point. Dividing by them is what leaves gaps and ends unbiased.
    total = spread(known.astype(np.float64))
    means = np.full(len(values), np.nan)
    np.divide(spread(np.where(known, values, 0.0)), total, out=means, where=total > 1e-9)
    return means


def _loss(run: Run) -> Figure:
    figure, axes = page("Loss", "loss (nats)")
    epoch, loss = run.column("train", "epoch"), run.column("train", "loss")
    width = min(_SMOOTH, len(loss) / 50)  # 2 % of the curve, so that a short run keeps its shape
    # The raw curve stays faintly visible: smoothing alone could hide a spike.
    axes.plot(epoch, loss, color=BRUSH, alpha=0.25, linewidth=0.8, label="training, raw")
    axes.plot(epoch, smooth(loss, width), color=BRUSH, linewidth=1.8, label="training, smoothed")
    for i, name in enumerate(_part_names(run.train)):
        part = np.array([_number((r.get("parts") or {}).get(name)) for r in run.train], np.float64)
        axes.plot(epoch, smooth(part, width), "--", color=_PARTS[i % len(_PARTS)], linewidth=1.1, label=f"part: {name}")
    if run.evaluated:
        axes.plot(
            run.column("eval", "epoch"),
            run.column("eval", "loss"),
            "o-",
            color=CINNABAR,
            markersize=3.5,
            linewidth=1.2,
            label="evaluation",
        )
    shown = np.concatenate([loss, run.column("eval", "loss")])
    _limit_above(axes, shown[np.isfinite(shown)])
    axes.legend(frameon=False)
    return figure


def _accuracy(run: Run) -> Figure:
    figure, axes = page("Accuracy on the evaluation set", "accuracy (%)")
    epoch, top1, top5 = (run.column("eval", name) for name in ("epoch", "top1", "top5"))
    axes.plot(epoch, top5, "o-", color=JADE, markersize=3, linewidth=1.2, label="top-5")
    axes.plot(epoch, top1, "o-", color=BRUSH, markersize=3.5, linewidth=1.8, label="top-1")
    if np.isfinite(top1).any():
        best = int(np.nanargmax(top1))
        axes.plot(epoch[best], top1[best], "o", color=CINNABAR, markersize=8, fillstyle="none", markeredgewidth=1.6)
        # The note goes to the side with more room.
        late = epoch[best] > (epoch[0] + epoch[-1]) / 2
        axes.annotate(
            f"best top-1: {top1[best]:.2f} %\nepoch {epoch[best]:g}, step {run.evaluated[best]['step']:,}",
            (epoch[best], top1[best]),
            xytext=(-18 if late else 18, -24),
            textcoords="offset points",
            horizontalalignment="right" if late else "left",
            verticalalignment="top",
            color=CINNABAR,
            arrowprops={"arrowstyle": "-", "color": CINNABAR, "linewidth": 0.8, "shrinkB": 6},
        )
    axes.legend(frameon=False, loc="lower right")
    return figure


def _learning_rate(run: Run) -> Figure:
    figure, axes = page("Learning rate and speed", "learning rate")
    epoch = run.column("train", "epoch")
    axes.plot(epoch, run.column("train", "lr"), color=BRUSH, linewidth=1.8, label="learning rate")
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    axes.set_ylim(bottom=0)
    speed = run.column("train", "images_per_s")
    if np.isfinite(speed).any():
        beside = axes.twinx()
        beside.plot(epoch, speed, color=GOLD, linewidth=0.9, alpha=0.8)
        beside.set_ylabel("training images / s", color=GOLD)
        beside.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        beside.tick_params(colors=GOLD, length=0)
        # Some room above the curve; a run that measured a speed of 0 gets an axis as well.
        beside.set_ylim(0, 1.15 * float(np.nanmax(speed)) or 1.0)
        beside.spines[["top", "left", "right", "bottom"]].set_visible(False)
    return figure


def page(title: str, quantity: str, across: str = "epoch") -> tuple[Figure, Axes]:
    """An empty figure in the style of all curves: ``quantity`` upwards, ``across`` to the right."""
    # A canvas of its own, so that drawing does not change pyplot's global state and backend.
    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontweight="bold", color=INK, pad=12)
    axes.set_xlabel(across)
    axes.set_ylabel(quantity)
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=False))
    axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.7)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(colors=INK, length=3)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.01)
    return figure, axes


def _limit_above(axes: Axes, values: NDArray[np.float64]) -> None:
    """Cut the axis above most values: the high losses of the first steps would flatten the rest of the curve."""
    if len(values):
        top = 1.1 * float(np.quantile(values, 0.98))
        axes.set_ylim(0, top if top > 0 else 1.0)


def _part_names(records: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in record.get("parts") or {}))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def save(figure: Figure, target: Path, dpi: float | Literal["figure"] = "figure") -> Path:
    """Write a figure as PNG with ``dpi`` dots an inch, else the figure's own; raises :class:`StorageError`."""
    # Drawn in memory first, so that a picture on the disk is never half written.
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=dpi)
    write_whole(target, picture.getbuffer())
    return target
