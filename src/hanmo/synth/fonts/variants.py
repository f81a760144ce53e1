"""Variant glyphs: those that show another form of their character, or another character, than the charset means.

Fonts draw traditional forms in the place of simplified ones, and some glyphs are plainly wrong. They are found so:

1. Every picture becomes a vector of stroke directions by place (Liu, "Normalization-cooperated gradient feature
   extraction for handwritten character recognition", 2007, in its simplest form): :func:`features`.
2. Every character gets a template: the mean over neat reference pictures and over the fonts' own glyphs. *Rivals* are
   templates of characters beyond the charset, mostly traditional and Japanese forms.
3. The mean deviation of each font from the templates is subtracted, and directions in which good glyphs differ count
   less: whitening by the pooled covariance within characters, as in Fisher's discriminant analysis.
4. A glyph that is then clearly more similar to another template than to its own is a variant: :func:`find_variants`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hanmo.medians import medians_for
from hanmo.normalize import Normalization

GAP, ALIKE = 0.12, 0.75
"""A glyph is a variant if the cosine to another template is greater by ``GAP`` than that to its own, and at least
``ALIKE`` of the usual cosine between the font's glyphs and their templates: not just odd, but another character;"""

STRANGE, RANK = 0.3, 100
"""or if the cosine to its own template is below ``STRANGE`` of the usual one, and more than ``RANK`` templates are
nearer. All four were chosen by looking at what they drop from @fonts: 時 for 时, 江 for 汇, 崇 for 祟, 据 for 掂."""

_ROUNDS = 2  # the second without the variants of the first in the means
_SHRINK, _FEW = 0.1, 4  # shrinkage of the covariance: share of the mean variance added, and more of it for few glyphs
_FAR = 1.5  # deviations are cut off at this multiple of the usual length, so that wrong glyphs weigh little
_PRIOR = 20  # glyphs at which half of a font's mean deviation is believed
_SIDE, _GRID, _DIRECTIONS = 32, 8, 8
_SQUARE = Normalization(method="moment", side=_SIDE, margin=2, version=1)
_AT_ONCE = 1024

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


def features(pictures: Bytes) -> Floats:
    """Pictures uint8 (n, S, S), 0 = paper -> unit vectors float32 (n, D) of stroke directions by place."""
    parts = [_directions(pictures[i : i + _AT_ONCE]) for i in range(0, len(pictures), _AT_ONCE)]
    return np.concatenate(parts) if parts else np.zeros((0, _DIRECTIONS * _GRID**2), np.float32)


def find_variants(glyphs: Floats, labels: Ints, fonts: Ints, references: Floats, meaning: Ints) -> NDArray[np.bool_]:
    """Which of G glyphs are variants, bool (G,).

    ``glyphs`` (G, D) and ``references`` (R, D) are :func:`features`; ``labels`` (G,) and ``meaning`` (R,) number
    characters alike, rivals having numbers that no glyph has; ``fonts`` (G,) numbers the fonts. A glyph whose class
    has no reference is never a variant.
    """
    judged = np.isin(labels, meaning)
    variant = np.zeros(len(glyphs), bool)
    if judged.any():
        names, place = np.unique(meaning, return_inverse=True)
        own = np.searchsorted(names, labels[judged])
        neat, _ = _means(references, place, len(names))
        odd = np.zeros(len(own), bool)
        for _ in range(_ROUNDS):
            odd = _judge(glyphs[judged], own, fonts[judged], neat, ~odd)
        variant[judged] = odd
    return variant


def draw_medians(characters: Sequence[str], side: int) -> Iterator[tuple[str, Bytes]]:
    """Draw the packaged strokes of the ``characters`` that have some as plain lines: uint8 (side, side), ink bright."""
    medians = medians_for(characters)
    square = Normalization(side=side, version=1)
    scale = 4 * side
    for character in characters:
        if character not in medians:
            continue
        picture = Image.new("L", (scale, scale), 255)
        pen = ImageDraw.Draw(picture)
        for stroke in medians.of(character):
            path = [(float(x) * scale, float(y) * scale) for x, y in stroke]
            pen.line(path, fill=0, width=scale // 20, joint="curve")
        yield character, square(np.asarray(picture))


def _judge(glyphs: Floats, own: Ints, fonts: Ints, neat: Floats, good: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One round: templates and fonts' means of the ``good`` glyphs, then every glyph beside every template."""
    common, count = _means(glyphs[good], own[good], len(neat))
    templates = np.where(count[:, None] > 0, (neat + common) / 2, neat)
    apart = glyphs - templates[own]
    offset, count = _means(apart[good], fonts[good], int(fonts.max()) + 1)
    offset *= (count / (count + _PRIOR))[:, None].astype(np.float32)
    whitening = _whitening((apart - offset[fonts])[good])
    centre = templates.mean(0)
    targets = _unit((templates - centre) @ whitening).T
    vectors = _unit((glyphs - offset[fonts] - centre) @ whitening)
    near, best = np.zeros(len(own), np.float32), np.zeros(len(own), np.float32)
    nearer = np.zeros(len(own), np.int64)
    for first in range(0, len(own), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        similar = vectors[part] @ targets
        near[part] = similar[np.arange(len(similar)), own[part]]
        best[part] = similar.max(1)
        nearer[part] = (similar > near[part, None]).sum(1)
    usual = np.array([np.median(near[fonts == font]) if (fonts == font).any() else 0 for font in range(len(offset))])[
        fonts
    ]
    another: NDArray[np.bool_] = (best - near > GAP) & (best > ALIKE * usual)
    return another | ((near < STRANGE * usual) & (nearer > RANK))


def _whitening(apart: Floats) -> Floats:
    """The symmetric matrix (D, D) that whitens differences (n, D): nearly equal variance in all directions."""
    many, size = max(len(apart), 1), apart.shape[1]
    length = np.linalg.norm(apart, axis=1, keepdims=True)
    apart = apart * np.minimum(1, _FAR * np.median(length) / np.maximum(length, 1e-6))  # a wrong glyph hardly counts
    variance, axes = np.linalg.eigh((apart.T @ apart / many).astype(np.float64))
    floor = variance.mean() * (_SHRINK + _FEW * size / many) + 1e-9
    whitening: Floats = ((axes / np.sqrt(variance.clip(0) + floor)) @ axes.T).astype(np.float32)
    return whitening


def _means(vectors: Floats, owner: Ints, count: int) -> tuple[Floats, Ints]:
    """The mean vector of each owner, (count, D), zeros if it has none; and how many it has, int64 (count,)."""
    order, many = np.argsort(owner, kind="stable"), np.bincount(owner, minlength=count)
    some = np.flatnonzero(many)
    means = np.zeros((count, vectors.shape[1]), np.float32)
    if len(some):
        means[some] = np.add.reduceat(vectors[order], (many.cumsum() - many)[some], axis=0) / many[some, None]
    return means, many


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    return unit


def _directions(pictures: Bytes) -> Floats:
    """Sobel gradients, split between eight directions, pooled in an 8 x 8 grid; square roots even out strong edges."""
    squares = np.stack([_SQUARE(255 - picture) for picture in pictures]).astype(np.float32) / 255
    padded = np.pad(squares, ((0, 0), (1, 1), (1, 1)))
    smooth = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    across = smooth[:, :, 2:] - smooth[:, :, :-2]
    smooth = (padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]) / 4
    down = smooth[:, 2:] - smooth[:, :-2]
    length = np.hypot(across, down)
    pool = _pooling()
    planes = []
    for angle in np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS):
        along = np.cos(angle) * across + np.sin(angle) * down
        strength = np.maximum(along - np.cos(2 * np.pi / _DIRECTIONS) * length, 0)
        planes.append(pool @ strength.astype(np.float32) @ pool.T)
    vectors = np.sqrt(np.stack(planes, 1).reshape(len(pictures), -1))
    return _unit(vectors - vectors.mean(1, keepdims=True))


def _pooling() -> Floats:
    """float32 (8, 32): Gaussian weights around the centres of the grid's cells."""
    cell = _SIDE / _GRID
    middle = (np.arange(_GRID) + 0.5) * cell
    distance = (np.arange(_SIDE) + 0.5 - middle[:, None]) / (0.6 * cell)
    return np.exp(-(distance**2) / 2).astype(np.float32)
