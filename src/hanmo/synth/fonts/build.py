"""Font files to a bank of glyphs: render, slim, drop variants, fit layouts, write. Needs the extra ``fonts``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hanmo.charset import Charset, expand
from hanmo.normalize import Normalization
from hanmo.synth.fonts.bank import Fits, FontRecord, GlyphBank, pack_levels, unpack_levels, write_bank
from hanmo.synth.fonts.files import FontFile, find_files
from hanmo.synth.fonts.recipe import FontSource, FontsRecipe
from hanmo.synth.fonts.slim import slim
from hanmo.synth.fonts.variants import draw_medians, features, find_variants

_LARGER = 4  # glyphs are rendered at this multiple of their final side
_RIVAL_CODES = ("gb2312", "big5", "shift_jis")

Bytes = NDArray[np.uint8]


def build_bank(
    recipe: FontsRecipe,
    folder: str | Path,
    out: str | Path,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> GlyphBank:
    """Draw the fonts of ``recipe``, found below ``folder``, into a new bank at ``out``.

    ``on_progress`` is called with how many of ``recipe.steps`` are done. Raises :class:`FontError` naming all missing
    fonts at once or the first unreadable one, and :class:`StorageError`; ImportError without the extra ``fonts``, and
    for layouts without ``train``.
    """
    import fontTools  # noqa: F401  # imported first, so that a missing extra is noticed before any work

    if recipe.layouts:
        import torch  # noqa: F401

    charset = recipe.charset()
    pages = []
    for number, (font, files) in enumerate(zip(recipe.font, find_files(recipe, folder), strict=True)):
        pages.append(_Page(recipe, font, files, charset))
        if on_progress:
            on_progress((number + 1) * len(charset))
    variant = _variants(recipe, charset, pages)
    records, glyphs = [], []
    for page, dropped in zip(pages, variant, strict=True):
        records.append(page.record(len(charset), int(dropped.sum())))
        glyphs.append((page.labels[~dropped], page.packed[~dropped]))
    fits = _fits(recipe, charset, glyphs, on_progress) if recipe.layouts else None
    return write_bank(out, charset, records, glyphs, side=recipe.side, margin=recipe.margin, layouts=fits)


def _fits(
    recipe: FontsRecipe,
    charset: Charset,
    glyphs: list[tuple[NDArray[np.int64], Bytes]],
    on_progress: Callable[[int], None] | None,
) -> Fits:
    from hanmo.synth.fonts.layouts import fit_layouts  # needs torch

    labels = np.concatenate([label for label, _ in glyphs])
    pictures = unpack_levels(np.concatenate([packed for _, packed in glyphs]), recipe.side)

    def report(done: int) -> None:
        if on_progress:
            on_progress(len(recipe) + done * len(recipe) // max(len(labels), 1))

    return fit_layouts(charset, labels, pictures, report)


class _Page:
    """The glyphs of one font for the charset; of a reference font also those of rival characters."""

    def __init__(self, recipe: FontsRecipe, font: FontSource, files: list[Path], charset: Charset) -> None:
        self.font = font
        allowed = set(expand(font.only)) if font.only else set(charset)
        known, squares = _draw(recipe, font, files, [c for c in charset if c in allowed])
        self.labels = charset.encode(known)
        self.packed = pack_levels(squares)
        self.features = features(squares)
        self.rivals: dict[str, NDArray[np.float32]] = {}
        if font.reference:
            names, squares = _draw(recipe, font, files, [c for c in _rivals() if c not in charset])
            self.rivals = dict(zip(names, features(squares), strict=True))

    def record(self, wanted: int, variants: int) -> FontRecord:
        font, drawn = self.font, len(self.labels)
        return FontRecord(
            name=font.name, licence=font.licence, package=font.package, version=font.version, weight=font.weight,
            note=font.note, glyphs=drawn - variants, variants=variants, missing=wanted - drawn,
        )  # fmt: skip


def _draw(recipe: FontsRecipe, font: FontSource, files: list[Path], characters: list[str]) -> tuple[list[str], Bytes]:
    """The ``characters`` that the font has, in their order, and their squares (n, side, side), ink bright."""
    # The first version of the front end, which removes nothing: glyphs are clean, and no stroke may count as print.
    square = Normalization(side=2 * recipe.side, margin=2 * recipe.margin, version=1)
    wanted = set(characters)
    drawn: dict[str, Bytes] = {}
    for path in files:
        file = FontFile(path, font.index, _LARGER * recipe.side)
        for character in sorted(wanted & file.characters):
            ink = file.draw(character)
            if ink is not None:
                # With paper around it, since a glyph that fills its box, as 一 may, would have no contrast.
                drawn[character] = square(255 - np.pad(ink, _LARGER))
                wanted.discard(character)
    known = [c for c in characters if c in drawn]
    if not known:
        return known, np.zeros((0, recipe.side, recipe.side), np.uint8)
    squares = np.stack([drawn[c] for c in known])
    return known, _halved(slim(squares, 2 * recipe.side * recipe.pen) if recipe.pen else squares)


def _halved(squares: Bytes) -> Bytes:
    """Halve pictures (n, 2 S, 2 S) to (n, S, S) by the mean of every four pixels, rounded."""
    count, side, _ = squares.shape
    fours = squares.reshape(count, side // 2, 2, side // 2, 2).sum((2, 4), dtype=np.uint16)
    mean: Bytes = ((fours + 2) // 4).astype(np.uint8)
    return mean


def _rivals() -> list[str]:
    """Rivals: all CJK characters of the older national encodings of China, Taiwan and Japan."""
    lead, trail = range(0x81, 0xFF), range(0x40, 0xFF)
    found = set()
    for code in _RIVAL_CODES:
        pairs = (bytes([a, b]).decode(code, "ignore") for a in lead for b in trail)
        found |= {c for c in pairs if "\u4e00" <= c <= "\u9fff"}
    return sorted(found)


def _variants(recipe: FontsRecipe, charset: Charset, pages: list[_Page]) -> list[NDArray[np.bool_]]:
    """For each page, which of its glyphs are variants, bool (G,)."""
    names = [*charset, *sorted({rival for page in pages for rival in page.rivals})]
    number = {c: i for i, c in enumerate(names)}
    neat = dict(draw_medians(charset.characters, recipe.side))
    vectors = [features(np.stack(list(neat.values())))] if neat else []
    meaning = [number[c] for c in neat]
    for page in pages:
        if page.font.reference:
            vectors += [page.features, *(v[None] for v in page.rivals.values())]
            meaning += [*page.labels.tolist(), *(number[c] for c in page.rivals)]
    counts = [len(page.labels) for page in pages]
    fonts = np.repeat(np.arange(len(pages)), counts)
    glyphs = np.concatenate([page.features for page in pages])
    labels = np.concatenate([page.labels for page in pages])
    references = np.concatenate(vectors) if vectors else glyphs[:0]
    variant = find_variants(glyphs, labels, fonts, references, np.array(meaning, np.int64))
    return np.split(variant, np.cumsum(counts)[:-1])
