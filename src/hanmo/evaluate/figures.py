"""Figures for the report as text inside the page: SVG curves and base64 PNG pictures.

Colours come from the page's style sheet by class name, so one drawing works in light and dark mode.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from hanmo.evaluate.calibration import Reliability
from hanmo.evaluate.result import Squares


def picture(square: Squares) -> str:
    """(S, S) uint8, ink bright -> a ``data:`` URL of a PNG with dark ink on white."""
    file = io.BytesIO()
    # 32 grey levels look the same at this size and halve the file.
    Image.fromarray(255 - (square & 0xF8)).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def reliability_diagram(bins: Reliability) -> str:
    """An SVG: for every bin its accuracy (dark mark), the gap to its probability (red) and its share of answers."""
    left, top, side, strip = 46, 12, 300, 56
    # y runs downwards in SVG: base is the y of 0 %, foot the lower edge of the bars that show the shares of answers.
    base = top + side
    foot = base + 14 + strip
    parts = [_grid(left, top, side, side)]
    share = bins.count / max(int(bins.count.sum()), 1)
    for i in np.flatnonzero(bins.count).tolist():
        x, width = left + side * bins.edges[i], side * (bins.edges[i + 1] - bins.edges[i])
        accuracy, confidence = float(bins.accuracy[i]), float(bins.confidence[i])
        # Blue up to the smaller of accuracy and confidence, red from there to the larger one.
        common, gap = side * min(accuracy, confidence), side * abs(accuracy - confidence)
        # Relative to the fullest bin, and at least one pixel, so that a bin with few answers does not vanish.
        height = max(strip * share[i] / share.max(), 1)
        tooltip = f"{bins.count[i]:,} answers: probability {confidence:.1%}, {accuracy:.1%} right"
        parts.append(
            f"<g><title>{tooltip}</title>"
            f"{_bar('bar', x + 1, base - common, width - 2, common)}"
            f"{_bar('gap', x + 1, base - common - gap, width - 2, gap)}"
            f"{_bar('right', x + 1, base - side * accuracy - 1, width - 2, 2)}"
            f"{_bar('count', x + 1, foot - height, width - 2, height)}</g>"
        )
    parts.append(f'<line class="ideal" x1="{left}" y1="{base}" x2="{left + side}" y2="{top}"/>')
    parts += [_text(left + side * t, foot + 16, f"{t:.0%}", "middle") for t in (0, 0.5, 1)]
    parts += [_text(left - 8, base - side * t + 4, f"{t:.0%}", "end") for t in (0, 0.5, 1)]
    parts.append(_text(left - 8, foot - strip / 2 + 4, "share", "end"))
    parts.append(_text(left + side / 2, foot + 34, "probability of the answer", "middle"))
    parts.append(_text(left + 8, top + 16, "answers that were right", "start"))
    return _svg(left + side + 24, foot + 42, "Reliability diagram", parts)


def class_curve(accuracies: Sequence[float]) -> str:
    """An SVG: accuracy in per cent of every class, worst first, as one stepped area."""
    values = sorted(accuracies)
    left, top, width, height = 46, 12, 560, 220
    # The axis starts at the ten below the worst class, at most at 90 %: without
    # a mistake in any class there would be no height left to divide by.
    base, floor = top + height, min(10 * (values[0] // 10), 90.0)
    step = width / len(values)

    def y(value: float) -> float:
        return base - height * (value - floor) / (100 - floor)

    path = f"M{left} {base}" + "".join(f"V{y(v):.1f}H{left + step * (i + 1):.1f}" for i, v in enumerate(values))
    middle = values[len(values) // 2]
    parts = [_grid(left, top, width, height), f'<path class="area" d="{path}V{base}Z"/>']
    parts += [_text(left - 8, y(v) + 4, f"{v:g}%", "end") for v in (floor, (floor + 100) / 2, 100)]
    parts += [
        _text(left, base + 18, "worst class", "start"),
        _text(left + width / 2, base + 18, f"median {middle:.1f}%", "middle"),
        _text(left + width, base + 18, f"best of {len(values):,}", "end"),
    ]
    return _svg(left + width + 14, base + 28, "Accuracy of every class, worst first", parts)


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" aria-label="{title}">'
        f"{''.join(parts)}</svg>"
    )


def _grid(x: float, y: float, width: float, height: float) -> str:
    return "".join(
        f'<line class="grid" x1="{x:g}" y1="{y + height * t:g}" x2="{x + width:g}" y2="{y + height * t:g}"/>'
        for t in (0, 0.25, 0.5, 0.75, 1)
    )


def _bar(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{words}</text>'
