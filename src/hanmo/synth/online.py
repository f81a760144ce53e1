"""A recipe's samples as pen strokes: what its pictures show, as a tablet would have recorded it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import torch

from hanmo.atomic import replacing, storing
from hanmo.data.pot import is_pot, write_pot
from hanmo.data.sample import OnlineSample
from hanmo.errors import ConfigError, RunError
from hanmo.synth.mix import Mix
from hanmo.synth.noise import keys_of
from hanmo.synth.recipe import SynthRecipe
from hanmo.synth.samples import BATCH, open_mix

SIDE = 1000
"""Side of the square that a character fills, in the units of its points: fine enough to be rounded to whole numbers."""


def draw_online(
    recipe: SynthRecipe, start: int = 0, stop: int | None = None, mix: Mix | None = None
) -> Iterator[OnlineSample]:
    """Draw the samples ``start`` to ``stop`` (None: to the last) as pen strokes, writer by writer.

    Coordinates are 0 to :data:`SIDE`. Sample n shows what :func:`hanmo.synth.samples.draw_samples` draws as its picture
    number n. Raises :class:`ConfigError` for a recipe with glyphs of fonts or with pages: neither has strokes.
    """
    if recipe.page or recipe.mix.fonts:
        raise ConfigError("pages and glyphs of fonts have no strokes; take a recipe without [page], with mix.fonts = 0")
    charset = recipe.charset()
    mix, seed = mix or open_mix(recipe), torch.tensor(recipe.seed)
    for numbers in torch.split(torch.arange(start, len(recipe) if stop is None else stop), BATCH):
        if not len(numbers):  # an empty range is split into one empty part
            return
        classes, writers = numbers % len(charset), numbers // len(charset)
        drawn = mix.trace(classes, keys_of(seed, numbers, writers), SIDE)
        for label, writer, strokes in zip(classes.tolist(), writers.tolist(), drawn, strict=True):
            yield OnlineSample(charset[label], strokes, source="synth", writer=f"w{writer + 1:04d}")


def write_online(
    recipe: SynthRecipe,
    out: str | Path,
    *,
    on_progress: Callable[[int], None] | None = None,
    overwrite: bool = False,
) -> int:
    """Draw a recipe into a new folder ``out``, one ``.pot`` file a writer as in CASIA-OLHWDB; returns their number.

    The folder appears only when complete. ``on_progress`` is called with the number of samples done so far.

    Raises what :func:`draw_online` and :func:`hanmo.data.pot.write_pot` raise, and :class:`RunError` when ``out`` holds
    files that must not be replaced.
    """
    out, done = Path(out), 0
    _check_free(out, overwrite)
    mix = open_mix(recipe)
    with replacing(out) as partial:
        with storing(out):
            partial.mkdir(parents=True)
        for writer, samples in groupby(draw_online(recipe, mix=mix), lambda sample: sample.writer):
            done += write_pot(partial / f"{writer}-s.pot", samples)
            if on_progress:
                on_progress(done)
    return recipe.per_character


def _check_free(out: Path, overwrite: bool) -> None:
    """Raise :class:`RunError` when ``out`` is no folder, or holds anything but files that may be replaced."""
    if not out.exists():
        return
    with storing(out):
        files = list(out.iterdir()) if out.is_dir() else [out]
    if out.is_file() or not all(is_pot(file) and file.is_file() for file in files):
        raise RunError(f"{out}: exists and is not a folder of .pot files; name another place")
    if files and not overwrite:
        raise RunError(f"{out}: holds .pot files already; --overwrite replaces them")
