"""How fonts lay out the strokes of a character: measured from their glyphs, kept in a bank, read for a charset.

:func:`fit_layouts` fits the printed medians to every glyph (:mod:`hanmo.synth.fonts.registration`), which gives the
displacement of each stroke from the printed layout. :func:`read_layouts` makes them ready for writers, who blend them
(:mod:`hanmo.synth.strokes.layouts`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from hanmo.charset import Charset
from hanmo.errors import FontError
from hanmo.medians import even_out, medians_for, straighten_heads
from hanmo.synth.fonts.bank import LEVELS, Fits, GlyphBank
from hanmo.synth.fonts.registration import fit_strokes
from hanmo.synth.strokes.bank import POINTS, Ragged
from hanmo.synth.strokes.layouts import DISPLACEMENT, Layouts
from hanmo.synth.strokes.structure import shape_of

STEPS = np.array([0.25, 0.25, 1.0, 1.0, 0.8, 0.4], np.float32) / 127
"""Quantisation of displacements in a bank: the value of one step of each number, as int8 keeps 127 of them."""

_AT_ONCE = 512
_WORST = 45  # greatest fitting error, in thousandths of a side; beyond it the glyph has other strokes than the print


def fit_layouts(
    charset: Charset, labels: NDArray[np.int64], pictures: NDArray[np.uint8], on_progress: Callable[[int], None]
) -> Fits:
    """Fit the printed strokes to G glyphs: classes ``labels`` (G,), ``pictures`` (G, S, S) of levels 0 to 3.

    Characters without packaged strokes get no layout. ``on_progress`` is called with the number of glyphs done.
    """
    medians, count = medians_for(charset), _stroke_counts(charset)[labels]
    strokes = {i: straighten_heads(even_out(medians.of(c), POINTS)) for i, c in enumerate(charset) if c in medians}
    moved: list[NDArray[np.int8]] = [np.zeros((0, DISPLACEMENT), np.int8)] * len(labels)
    error = np.full(len(labels), 255, np.uint8)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = np.argsort(count, kind="stable")  # characters with as many strokes together, for less padding
    rows = rows[count[rows] > 0]
    for first in range(0, len(rows), _AT_ONCE):
        some = rows[first : first + _AT_ONCE]
        points = np.concatenate([strokes[i] for i in labels[some].tolist()])
        fitted = fit_strokes(
            torch.from_numpy(points).to(device),
            torch.from_numpy(shape_of(points).along).to(device),
            torch.from_numpy(np.repeat(np.arange(len(some)), count[some])).to(device),
            torch.from_numpy(pictures[some]).to(device).float() / (LEVELS - 1),
        )
        steps = np.rint(fitted.moved.cpu().numpy() / STEPS).clip(-127, 127).astype(np.int8)
        error[some] = np.rint(fitted.error.cpu().numpy() * 1000).clip(0, 255).astype(np.uint8)
        for row, part in zip(some, np.split(steps, count[some].cumsum()[:-1]), strict=True):
            moved[row] = part
        on_progress(len(labels) - len(rows) + first + len(some))
    return Fits(count, error, np.concatenate(moved))


def read_layouts(
    bank: GlyphBank, charset: Charset, names: tuple[str, ...] = (), device: torch.device | str = "cpu"
) -> Layouts | None:
    """The layouts of the fonts ``names`` (none: all) of a bank for a charset; None when the bank has no layouts.

    Raises :class:`FontError` when they were measured with other strokes than the packaged ones.
    """
    if bank.layouts is None:
        return None
    strokes, error, moved = bank.layouts
    place = np.full(len(bank.charset), -1)
    known = [c for c in charset if c in bank.charset]
    place[bank.charset.encode(known)] = charset.encode(known)
    label = place[bank.label]
    weight = bank.weights(names)[bank.font]
    rows = np.flatnonzero((label >= 0) & (weight > 0) & (error <= _WORST))
    rows = rows[np.argsort(label[rows], kind="stable")]
    if (_stroke_counts(charset)[label[rows]] != strokes[rows]).any():
        raise FontError(f"{bank.path}: its layouts are of other strokes than this hanmo's; make it again")
    count: NDArray[np.int64] = np.bincount(label[rows], minlength=len(charset))
    # A last row without displacement, so that an index is valid for characters that no font has, too.
    return Layouts(
        Ragged.of(count.tolist(), device),
        torch.from_numpy(np.append((strokes.cumsum() - strokes)[rows], len(moved))).to(device),
        torch.from_numpy(np.concatenate([moved * STEPS, np.zeros((1, DISPLACEMENT), np.float32)])).to(device),
        torch.from_numpy(np.concatenate([[0], weight[rows].cumsum()])).to(device),
    )


def _stroke_counts(charset: Charset) -> NDArray[np.int64]:
    """int64 (C,): the number of packaged strokes of each character, 0 where there are none."""
    medians = medians_for(charset)
    return np.array([len(medians.of(c)) if c in medians else 0 for c in charset], np.int64)
