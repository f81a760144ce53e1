"""Which glyphs show another form of their character, or another character: a font is not always what it says.

Pictures become vectors of stroke directions by place (Liu, "Normalization-cooperated gradient feature extraction for
handwritten character recognition", 2007, in its simplest form). Every character has a template, the mean over neat
reference pictures and over the fonts' own glyphs; *rivals* are characters beyond the charset, mostly the traditional
and Japanese forms that a font may draw in its stead. What a font does to all its characters is taken off, and
directions in which honest glyphs differ count less (whitening by the pooled covariance within the characters, as in
Fisher's discriminant). A glyph that then looks like another character clearly more than like its own is a variant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hanmo.medians import load_medians
from hanmo.normalize import Normalization

GAP, ALIKE = 0.12, 0.75
"""A glyph is a variant when another template is nearer by more than the cosine ``GAP``, and so near as ``ALIKE`` of
what the font's glyphs usually are to their own: it does not only look odd, it looks like something else …"""

STRANGE, RANK = 0.3, 100
"""… or when it is under ``STRANGE`` of that to its own, and more than ``RANK`` templates are nearer. All four were
chosen by looking at what they drop from the fonts of @fonts: 時 for 时, 江 for 汇, 崇 for 祟, 据 for 掂."""

_ROUNDS = 2
_SHRINK, _FEW = 0.1, 4  # how much of the mean variance every direction is given, and how much more for few glyphs
_FAR = 1.5  # differences count up to so many times the usual one
_PRIOR = 20  # glyphs a font needs until half of its habits are believed
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
    """Which of the G glyphs are no usual form of their class, bool (G,).

    ``glyphs`` (G, D) and ``references`` (R, D) are :func:`features`; ``labels`` (G,) and ``meaning`` (R,) number
    characters alike, those of rivals being numbers that no glyph has; ``fonts`` (G,) numbers the fonts. A glyph whose
    class has no reference is not judged.
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
    """The packaged strokes of those ``characters`` that have some, as plain lines: uint8 (side, side), ink bright."""
    medians = load_medians()
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


def _judge(glyphs: Floats, own: Ints, fonts: Ints, neat: Floats, honest: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One round: what the ``honest`` glyphs say of templates and fonts, then every glyph against every template."""
    common, count = _means(glyphs[honest], own[honest], len(neat))
    templates = np.where(count[:, None] > 0, (neat + common) / 2, neat)
    apart = glyphs - templates[own]
    habit, count = _means(apart[honest], fonts[honest], int(fonts.max()) + 1)
    habit *= (count / (count + _PRIOR))[:, None].astype(np.float32)
    whitening = _whitening((apart - habit[fonts])[honest])
    centre = templates.mean(0)
    targets = _unit((templates - centre) @ whitening).T
    vectors = _unit((glyphs - habit[fonts] - centre) @ whitening)
    near, best = np.zeros(len(own), np.float32), np.zeros(len(own), np.float32)
    nearer = np.zeros(len(own), np.int64)
    for first in range(0, len(own), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        similar = vectors[part] @ targets
        near[part] = similar[np.arange(len(similar)), own[part]]
        best[part] = similar.max(1)
        nearer[part] = (similar > near[part, None]).sum(1)
    usual = np.array([np.median(near[fonts == font]) if (fonts == font).any() else 0 for font in range(len(habit))])[
        fonts
    ]
    another: NDArray[np.bool_] = (best - near > GAP) & (best > ALIKE * usual)
    return another | ((near < STRANGE * usual) & (nearer > RANK))


def _whitening(apart: Floats) -> Floats:
    """The symmetric matrix (D, D) that gives the differences (n, D) equal variance in all directions, or nearly so."""
    many, size = max(len(apart), 1), apart.shape[1]
    length = np.linalg.norm(apart, axis=1, keepdims=True)
    apart = apart * np.minimum(1, _FAR * np.median(length) / np.maximum(length, 1e-6))  # a wrong glyph is no habit
    variance, axes = np.linalg.eigh((apart.T @ apart / many).astype(np.float64))
    floor = variance.mean() * (_SHRINK + _FEW * size / many) + 1e-9
    whitening: Floats = ((axes / np.sqrt(variance.clip(0) + floor)) @ axes.T).astype(np.float32)
    return whitening


def _means(vectors: Floats, owner: Ints, count: int) -> tuple[Floats, Ints]:
    """The mean of each owner's vectors, (count, D), zeros where there is none; and how many each has, (count,)."""
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
    """(8, 32): Gaussian weights around the middles of the grid's cells."""
    cell = _SIDE / _GRID
    middle = (np.arange(_GRID) + 0.5) * cell
    distance = (np.arange(_SIDE) + 0.5 - middle[:, None]) / (0.6 * cell)
    return np.exp(-(distance**2) / 2).astype(np.float32)
