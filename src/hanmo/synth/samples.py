"""A recipe's samples as pictures: one after another for a pack, or all on one sheet to look at."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from hanmo.data.sample import Sample
from hanmo.synth.mix import Mix
from hanmo.synth.noise import keys_of
from hanmo.synth.paper.page import PageConfig, write_page
from hanmo.synth.recipe import SynthRecipe

BATCH = 1024
"""Samples drawn at once. Pages depend on it: their neighbouring characters are taken from the same batch."""

_SQUARE = 64  # pixels of the character before it is put on a page: more than the usual page of 96 leaves for it


def open_mix(recipe: SynthRecipe) -> Mix:
    """The strokes and glyphs that a recipe draws from, on the CPU; raises what :class:`Mix` raises."""
    return Mix(recipe.mix, recipe.charset(), recipe.style, members=recipe.members())


def draw_samples(
    recipe: SynthRecipe, start: int = 0, stop: int | None = None, mix: Mix | None = None
) -> Iterator[Sample]:
    """Draw the samples ``start`` to ``stop`` (None: to the last), writer by writer.

    Images are uint8 (side, side), ink dark: on white, or on pages if the recipe has a ``[page]`` table. Sample n
    depends on the recipe and on n alone; on pages also on the other samples of its batch. ``mix`` is what
    :func:`open_mix` returned for this recipe, if the caller has it already.
    """
    charset = recipe.charset()
    mix, seed = mix or open_mix(recipe), torch.tensor(recipe.seed)
    for numbers in torch.split(torch.arange(start, len(recipe) if stop is None else stop), BATCH):
        classes, writers = numbers % len(charset), numbers // len(charset)
        keys = keys_of(seed, numbers, writers)
        if recipe.page:
            images = write_page(mix.write(classes, keys, _SQUARE), keys.sample, recipe.page, recipe.side)
        else:
            images = 255 - mix.write(classes, keys, recipe.side)
        for label, writer, image in zip(classes.tolist(), writers.tolist(), images.numpy(), strict=True):
            yield Sample(charset[label], image, source="synth", writer=f"w{writer + 1:04d}")


def draw_sheet(recipe: SynthRecipe, writers: int) -> NDArray[np.uint8]:
    """Draw every character once without variation and once by each writer, all on one sheet.

    Returns uint8 (characters * side, (1 + writers) * side), ink dark: a row for each character, the neat drawing first.
    """
    charset, side = recipe.charset(), recipe.side
    mix, seed = open_mix(recipe), torch.tensor(recipe.seed)
    numbers = torch.arange(len(charset) * writers)
    classes = torch.arange(len(charset))
    neat = mix.write_neat(classes, keys_of(seed, classes), side)
    drawn = mix.write(numbers % len(charset), keys_of(seed, numbers, numbers // len(charset)), side)
    rows = torch.cat([neat, drawn]).view(writers + 1, len(charset), side, side).permute(1, 2, 0, 3)
    return 255 - rows.reshape(len(charset) * side, -1).numpy()


def draw_pages(recipe: SynthRecipe, writers: int) -> NDArray[np.uint8]:
    """Draw every character on a page by each writer, all on one sheet.

    Returns uint8 (characters * side, writers * side), ink dark: a row for each character. A recipe without a ``[page]``
    table gets the default pages.
    """
    charset, side = recipe.charset(), recipe.side
    # Writer by writer, so that a page's neighbours in the batch are other characters.
    numbers = torch.arange(len(charset) * writers)
    keys = keys_of(torch.tensor(recipe.seed), numbers, numbers // len(charset))
    squares = open_mix(recipe).write(numbers % len(charset), keys, _SQUARE)
    pages = write_page(squares, keys.sample, recipe.page or PageConfig(), side)
    rows = pages.view(writers, len(charset), side, side).permute(1, 2, 0, 3)
    return rows.reshape(len(charset) * side, -1).numpy()
