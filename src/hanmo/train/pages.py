"""Training on pages: the student sees characters on spoilt paper, its teachers the same characters clean.

So a teacher that reads only clean squares can teach a student to read photographs: the student learns to answer for the
spoilt square as the teacher does for the clean one. This is distillation between two views of one sample, as in Gupta,
Hoffman, Malik, "Cross modal distillation for supervision transfer", CVPR 2016.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.errors import ConfigError
from hanmo.normalize import Normalization
from hanmo.synth.paper.page import PageConfig, write_page
from hanmo.train.augment import Randomness, apply
from hanmo.train.batches import TrainingData
from hanmo.train.config import AugmentConfig, PageTrainingConfig, Recipe
from hanmo.train.drawn import DrawnData
from hanmo.train.mixed import MixedData
from hanmo.train.page_strays import normalize_pages
from hanmo.train.squares import as_bytes, finer, refit

_INK = 100  # grey level from which a pixel of a square counts as ink


class Pages:
    """Turns drawn squares into the pictures for the student and for the teacher.

    ``squares`` is the normalisation of both; the drawn squares have the larger one of :func:`finer`. ``side`` is the
    side of the pages in pixels.
    """

    def __init__(
        self, page: PageConfig, side: int, squares: Normalization, augment: AugmentConfig, shares: PageTrainingConfig
    ) -> None:
        self.page, self.side, self.augment, self.shares = page, side, augment, shares
        self.squares, self.drawn = squares, finer(squares)

    def show(self, larger: Tensor, randomness: Randomness, keys: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Squares uint8 (N, D, D) -> ``(student, teacher, empty)``: uint8 (N, S, S) twice, and bool (N,) or None.

        ``randomness`` is that of :func:`hanmo.train.augment.apply`. ``keys``, int64 (N,), decide which rows get a page
        and how it looks. Every batch of N has the same number of pages, so shapes never change and the device never has
        to be waited for. Where the front end finds no ink on a page, the row stays clean. ``empty`` marks rows whose
        page has no character on it; it is None if the recipe asks for none.
        """
        changed = apply(larger, randomness, self.augment)[:, 0]
        clean = as_bytes(refit(changed, self.drawn, self.squares))
        # Random rows: real samples are the first of a batch, and mixup pairs the first rows with the last.
        on_pages = keys.argsort()[: max(1, round((1 - self.shares.clean_share) * len(keys)))]
        # Of the rows on pages, the first get an empty page and the last show it to the teacher too.
        written = torch.ones(len(on_pages), dtype=torch.bool, device=keys.device)
        written[: min(len(on_pages), round(self.shares.empty_share * len(keys)))] = False
        pages = write_page(changed[on_pages] * written[:, None, None], keys[on_pages], self.page, side=self.side)
        seen, blank = normalize_pages(
            pages, self.squares.side, self.squares.margin, keep_faint=self.squares.version > 2
        )
        # A row without usable ink keeps its clean square, and so does an empty page with a line like a stroke.
        blank = blank | (~written & _long_lines(seen))
        spoilt = torch.where(blank[:, None, None], clean[on_pages], seen)
        student = clean.index_copy(0, on_pages, spoilt)
        first = max(0, len(on_pages) - round(self.shares.spoilt_teacher_share * len(keys)))
        teacher = clean.index_copy(0, on_pages[first:], spoilt[first:])
        empty = None
        if self.shares.empty_share:
            empty = torch.zeros_like(keys, dtype=torch.bool).index_copy(0, on_pages, ~written & ~blank)
        return student, teacher, empty


def _long_lines(squares: Tensor) -> Tensor:
    """bool (N,): whether a level or upright line runs through half of the squares (N, S, S), perhaps a little aslant.

    Such a line may be print, but as well the stroke of a 一 or a 十: an empty page that shows one must not teach that
    there is no character.
    """
    ink = (squares > _INK).to(torch.float32)[:, None]
    rows = F.max_pool2d(ink, (3, 1), 1, (1, 0)).mean(3).amax((1, 2))
    columns = F.max_pool2d(ink, (1, 3), 1, (0, 1)).mean(2).amax((1, 2))
    return torch.maximum(rows, columns) > 0.5


def random_keys(count: int, generator: torch.Generator) -> Tensor:
    """Random keys of ``count`` pages, int64 (count,), on the generator's device; they depend on its state alone."""
    return torch.randint(2**63 - 1, (count,), generator=generator, device=generator.device)


def build_pages(recipe: Recipe, data: TrainingData) -> Pages | None:
    """The pages of a training, or None if its data has no pages.

    Raises :class:`ConfigError` for a recipe with [page_training] but without pages, and for data of normalisation
    version 1, which has no front end for pages.
    """
    drawn = data.drawn if isinstance(data, MixedData) else data
    page = drawn.recipe.page if isinstance(drawn, DrawnData) else None
    if page is None:
        if recipe.page_training:
            raise ConfigError(
                f"{recipe.data.train}: draws no pages, so [page_training] has no use; give it a [page] section"
            )
        return None
    assert isinstance(drawn, DrawnData)
    if drawn.normalization.version == 1:
        raise ConfigError(
            f"{recipe.data.train}: normalisation version 1 cannot read pages; leave out version, or [page]"
        )
    return Pages(
        page, drawn.recipe.side, drawn.normalization, recipe.augment, recipe.page_training or PageTrainingConfig()
    )
