"""Where the strokes of a character stand: displacements from the printed layout, and blends of several layouts.

A *displacement* is six numbers that say how one stroke differs from the printed one. A *layout* holds the displacements
of all strokes of a character, as one font arranges them (:mod:`hanmo.synth.fonts.layouts` measures them). A writer's
layout is a random blend of two fonts' layouts, so that strokes move together as they do between real hands; this is the
idea of a statistical shape model (Cootes et al., "Active shape models - their training and application", 1995).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hanmo.synth.noise import derive, normal, uniform
from hanmo.synth.strokes import motion
from hanmo.synth.strokes.bank import Ragged

DISPLACEMENT = 6
"""Numbers of a displacement: shift x and y, logarithm of the scale of width and height, turn (radians), bow (as a part
of the chord)."""


def displaced(points: Tensor, along: Tensor, moved: Tensor) -> Tensor:
    """Apply displacements (T, 6) to strokes (T, P, 2), whose points lie at ``along`` (T, P) of their length."""
    points = motion.move(points, motion.middle_of(points), moved[:, :2], moved[:, 4], moved[:, 2:4].exp())
    return motion.bow(points, along, torch.stack([moved[:, 5], torch.zeros_like(moved[:, 5])], 1))


@dataclass(frozen=True, eq=False)
class Layouts:
    """L layouts of the characters of a charset, on a device; ordered by class."""

    of_class: Ragged
    """Which of the L layouts show each class."""
    first: Tensor
    """int64 (L + 1,): where the strokes of each layout begin in ``moved``."""
    moved: Tensor
    """float32 (strokes of all layouts + 1, 6): displacements; the last row is zero."""
    chances: Tensor
    """(L + 1,): cumulative sum of the layouts' weights, from 0."""

    def choose(self, classes: Tensor, habits: Tensor, amount: float) -> Blend:
        """Sample the layouts of N writers for their characters, classes int64 (N,), by the writers' keys (N,).

        ``amount`` is how far a blend lies from the printed layout on average: 0 is the printed one, 1 the fonts'.
        """
        own = derive(derive(habits, -11), classes)
        luck = uniform(own, 3).double()
        low = self.of_class.first[classes]
        high = low + self.of_class.size[classes]
        # Two layouts of the class, each chosen by weight: a uniform number is looked up in the cumulative weights.
        start, end = self.chances[low], self.chances[high]
        place = start[:, None] + luck[:, :2] * (end - start)[:, None]
        row = torch.searchsorted(self.chances, place, right=True) - 1
        row = row.minimum((high - 1)[:, None]).clamp(min=0)  # rounding must not lead into the next class
        share = torch.stack([luck[:, 2], 1 - luck[:, 2]], 1).float()
        much = (amount * (1 + 0.3 * normal(derive(habits, -12), 1))).clamp(min=0) * (high > low)[:, None]
        return Blend(self, self.first[row], share * much)


@dataclass(frozen=True, eq=False)
class Blend:
    """The layouts of N writers, each a weighted sum of two of ``layouts``."""

    layouts: Layouts
    first: Tensor
    """int64 (N, 2): where the strokes of both begin in ``layouts.moved``."""
    share: Tensor
    """float32 (N, 2): the weights of both; they add up to less than 1 where a writer stays close to the print."""

    def of(self, owner: Tensor, number: Tensor) -> Tensor:
        """The displacements (T, 6) of the printed strokes ``number`` (T,) of the characters ``owner`` (T,)."""
        where = (self.first[owner] + number[:, None]).clamp(max=len(self.layouts.moved) - 1)
        return (self.layouts.moved[where] * self.share[owner][:, :, None]).sum(1)
