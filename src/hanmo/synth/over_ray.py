"""Draws a recipe over the machines of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from hanmo.bulk.squares import Normalizer, Samples, over_ray, require_here
from hanmo.data.sample import Sample
from hanmo.synth.mix import Mix
from hanmo.synth.recipe import SynthRecipe
from hanmo.synth.samples import BATCH, draw_samples, open_mix


class _Range(NamedTuple):
    """The samples from ``start`` to ``stop`` - 1, at most a batch."""

    start: int
    stop: int
    picture: None = None


def drawn_over_ray(recipe: SynthRecipe, ranges: Sequence[tuple[int, int]], actors: int) -> Samples:
    """The samples of ``ranges`` in their order, each with its square as the image; blank ones without pixels.

    Within :func:`hanmo.bulk.cluster.connected`, with up to ``actors`` processes. Raises :class:`DataError` where a
    machine does not see the recipe's bank of glyphs, and :class:`WorkerError`.
    """
    if recipe.mix.bank:  # Ray's processes work in the folder where Ray was started
        recipe = replace(recipe, mix=replace(recipe.mix, bank=str(Path(recipe.mix.bank).absolute())))
    return over_ray(ranges, _batches, _Drawer(recipe), size=1, actors=actors)


def _batches(numbers: tuple[int, int]) -> Iterator[_Range]:
    """The batches in which these samples are drawn without Ray: pages depend on them."""
    start, stop = numbers
    return (_Range(first, min(first + BATCH, stop)) for first in range(start, stop, BATCH))


@dataclass
class _Drawer:
    """The work of a process, which opens the strokes and glyphs once."""

    recipe: SynthRecipe

    @cached_property
    def mix(self) -> Mix:
        if self.recipe.mix.bank:
            require_here(Path(self.recipe.mix.bank))
        return open_mix(self.recipe)

    def __call__(self, batch: Sequence[_Range]) -> list[Sample]:
        normalizer = Normalizer(self.recipe.normalization, None)
        return [normalizer.square(s) for r in batch for s in draw_samples(self.recipe, r.start, r.stop, self.mix)]
