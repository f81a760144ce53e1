"""How fonts lay out the strokes of a character, and layouts between theirs: where a writer's strokes stand.

For a glyph that the printed medians were fitted to (:mod:`hanmo.synth.fonts.registration`) it is known how far each of
its strokes lies from where it is printed. A writer's layout is a blend of two fonts', a little more or less of it, as
in the shape models of Cootes et al. ("Active shape models", 1995): strokes move together as they do from hand to hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hanmo.charset import Charset
from hanmo.errors import FontError
from hanmo.medians import even_out, load_medians, straighten_heads
from hanmo.synth.fonts.bank import LEVELS, Fits, GlyphBank
from hanmo.synth.fonts.registration import NUMBERS, fit_strokes
from hanmo.synth.noise import derive, normal, uniform
from hanmo.synth.strokes.bank import POINTS, Ragged
from hanmo.synth.strokes.structure import shape_of

STEPS = np.array([0.25, 0.25, 1.0, 1.0, 0.8, 0.4], np.float32) / 127
"""What one step of each number of a displacement is, as kept in a bank."""

_AT_ONCE = 512
_WORST = 45  # thousandths of a side: where strokes lie further from the ink, the glyph has another form


def fit_layouts(
    charset: Charset, labels: NDArray[np.int64], pictures: NDArray[np.uint8], on_progress: Callable[[int], None]
) -> Fits:
    """Fit the printed strokes to glyphs of classes (G,), (G, S, S) in :data:`hanmo.synth.fonts.LEVELS`.

    Characters without packaged strokes have none. ``on_progress`` is told how many glyphs are done.
    """
    medians, count = load_medians(), _stroke_counts(charset)[labels]
    strokes = {i: straighten_heads(even_out(medians.of(c), POINTS)) for i, c in enumerate(charset) if c in medians}
    moved: list[NDArray[np.int8]] = [np.zeros((0, NUMBERS), np.int8)] * len(labels)
    error = np.full(len(labels), 255, np.uint8)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = np.argsort(count, kind="stable")  # alike ones together: less padding
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


@dataclass(frozen=True, eq=False)
class Layouts:
    """The layouts of a bank's glyphs for the characters of a charset, on a device."""

    of_class: Ragged
    """Which of the L layouts show a class."""
    first: Tensor
    """(L + 1,): the first stroke of each."""
    moved: Tensor
    """(strokes of all, 6): displacements, see :data:`hanmo.synth.registration.NUMBERS`."""
    chances: Tensor
    """(L + 1,): how often each is to be used, summed up, from 0."""

    @classmethod
    def of(
        cls, bank: GlyphBank, charset: Charset, names: tuple[str, ...] = (), device: torch.device | str = "cpu"
    ) -> Layouts | None:
        """Those of the fonts ``names`` (none: all) of a bank; None when the bank has none.

        Raises :class:`FontError` when they are of other strokes than the packaged ones.
        """
        if bank.layouts is None:
            return None
        strokes, error, moved = bank.layouts
        place = np.full(len(bank.charset), -1)
        known = [c for c in charset if c in bank.charset]
        place[bank.charset.encode(known)] = charset.encode(known)
        label = place[bank.label]
        weight = np.array([f.weight if not names or f.name in names else 0.0 for f in bank.fonts])[bank.font]
        rows = np.flatnonzero((label >= 0) & (weight > 0) & (error <= _WORST))
        rows = rows[np.argsort(label[rows], kind="stable")]
        if (_stroke_counts(charset)[label[rows]] != strokes[rows]).any():
            raise FontError(f"{bank.path}: its layouts are of other strokes than this hanmo's; make it again")
        count: NDArray[np.int64] = np.bincount(label[rows], minlength=len(charset))
        # One more that shows nothing and moves nothing: there is always something to point at.
        return cls(
            Ragged.of(count.tolist(), device),
            torch.from_numpy(np.append((strokes.cumsum() - strokes)[rows], len(moved))).to(device),
            torch.from_numpy(np.concatenate([moved * STEPS, np.zeros((1, NUMBERS), np.float32)])).to(device),
            torch.from_numpy(np.concatenate([[0], weight[rows].cumsum()])).to(device),
        )

    def choose(self, classes: Tensor, habits: Tensor, amount: float) -> Blend:
        """The layouts of N writers for their characters, ``amount`` of the way from the printed one on average."""
        own = derive(derive(habits, -11), classes)
        luck = uniform(own, 3).double()
        low = self.of_class.first[classes]
        high = low + self.of_class.size[classes]
        start, end = self.chances[low], self.chances[high]
        place = start[:, None] + luck[:, :2] * (end - start)[:, None]
        row = torch.searchsorted(self.chances, place, right=True) - 1
        row = row.minimum((high - 1)[:, None]).clamp(min=0)
        share = torch.stack([luck[:, 2], 1 - luck[:, 2]], 1).float()
        much = (amount * (1 + 0.3 * normal(derive(habits, -12), 1))).clamp(min=0) * (high > low)[:, None]
        return Blend(self, self.first[row], share * much)


def _stroke_counts(charset: Charset) -> NDArray[np.int64]:
    """(C,): packaged strokes of every character, 0 where there are none."""
    medians = load_medians()
    return np.array([len(medians.of(c)) if c in medians else 0 for c in charset], np.int64)


@dataclass(frozen=True, eq=False)
class Blend:
    """What N writers make of two layouts each."""

    layouts: Layouts
    first: Tensor
    """(N, 2)."""
    share: Tensor
    """(N, 2)."""

    def of(self, owner: Tensor, number: Tensor) -> Tensor:
        """The displacements (T, 6) of the strokes ``number`` (T,), as printed, of the characters ``owner`` (T,)."""
        where = (self.first[owner] + number[:, None]).clamp(max=len(self.layouts.moved) - 1)
        return (self.layouts.moved[where] * self.share[owner][:, :, None]).sum(1)
