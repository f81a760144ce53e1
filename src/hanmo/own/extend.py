"""New characters for a bundle: pictures -> prototypes -> a bundle that reads them, too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.bundle import Bundle
from hanmo.charset import Charset, list_characters
from hanmo.errors import CharsetError, DataError
from hanmo.extension import MAX_PROTOTYPES, Extension
from hanmo.medians import medians_for
from hanmo.own.hand import drawings
from hanmo.own.pictures import views
from hanmo.own.prototypes import fit_rows, prototypes_of
from hanmo.own.reference import Floats, Reader, features_and_logits, make_reference

Squares = NDArray[np.uint8]

_DRAWINGS = 16
"""Drawings of a character's strokes that are blended into its prototype."""
_WORTH = 2
"""As many pictures the drawings count for together: with one picture two thirds of the prototype are drawn, with five
less than a third. Chosen on hwdb100 with a net that never saw these characters (benchmarks/vocabulary.md)."""


class Extended(NamedTuple):
    """An extended bundle, not stored yet; ``characters`` got a prototype, ``new`` of them were not known before."""

    bundle: Bundle
    characters: tuple[str, ...]
    new: int


def extend(reader: Reader, squares: Mapping[str, Sequence[Squares]], *, add_forms: bool = False) -> Extended:
    """The bundle of ``reader`` with a prototype for each character of ``squares``, from its normalised squares.

    A character that the bundle knows already is refused, unless ``add_forms``: then the prototype is another form
    beside the one that it has. Raises :class:`CharsetError` for a known character and for keys that are no single
    characters, :class:`DataError` for a character without a picture, and the errors of
    :func:`hanmo.own.reference.make_reference`.
    """
    _check(reader.bundle, squares, add_forms)
    prototypes = _prototypes(reader, squares)
    # Another form of a known character is not what the strokes show.
    new = [number for number, c in enumerate(squares) if not _knows(reader.bundle, c)]
    if new:
        characters, pictures = list(squares), list(squares.values())
        counts = np.array([len(pictures[i]) for i in new])
        prototypes[new] = blend_strokes(reader, [characters[i] for i in new], prototypes[new], counts)
    rows = fit_rows(make_reference(reader), prototypes)
    bundle = reader.bundle
    charset = Charset((*bundle.charset, *(c for c in squares if c not in bundle.charset)))
    extension = bundle.extension or Extension.empty(len(bundle.charset), rows.weight.shape[1])
    return Extended(
        replace(
            bundle,
            charset=charset,
            parameters=bundle.parameters + rows.weight.size + rows.bias.size,
            # The figures were measured without the new classes.
            accuracy={},
            extension=extension.with_prototypes(charset.encode(list(squares)), rows.weight, rows.bias),
        ),
        tuple(squares),
        len(charset) - len(bundle.charset),
    )


def blend_strokes(reader: Reader, characters: Sequence[str], prototypes: Floats, counts: NDArray[np.integer]) -> Floats:
    """Prototypes (K, F), from ``counts`` (K,) pictures each, blended with those of drawn strokes where there are some.

    A picture shows how one person writes a character; the strokes show how it is made up. Both together read far more
    samples of other people than either alone.
    """
    medians = medians_for(characters)
    drawable = [c for c in characters if c in medians]
    if not drawable:
        return prototypes
    drawn = list(drawings(drawable, _DRAWINGS))
    squares = np.stack([reader.bundle.normalization(picture) for _, picture in drawn])
    known, of_strokes = prototypes_of(features_and_logits(reader, squares)[0], [c for c, _ in drawn])
    rows = np.array([characters.index(c) for c in known])
    share = (counts[rows] / (counts[rows] + _WORTH))[:, None].astype(np.float32)
    blended = prototypes.copy()
    blended[rows] = share * prototypes[rows] + (1 - share) * of_strokes
    return blended


def _prototypes(reader: Reader, squares: Mapping[str, Sequence[Squares]]) -> Floats:
    """The mean features of all views of all squares of each character, (K, F)."""
    labels, seen = [], []
    for character, pictures in squares.items():
        for square in pictures:
            seen.append(views(square))
            labels += [character] * len(seen[-1])
    features, _ = features_and_logits(reader, np.concatenate(seen))
    return prototypes_of(features, labels)[1]


def _check(bundle: Bundle, squares: Mapping[str, Sequence[Squares]], add_forms: bool) -> None:
    if not squares:
        raise DataError("no pictures of new characters; give at least one")
    if len(squares) > MAX_PROTOTYPES:
        raise DataError(f"{len(squares):,} characters at once, at most {MAX_PROTOTYPES:,} are taken; train a reader")
    if bare := [character for character, pictures in squares.items() if not len(pictures)]:
        raise DataError(f"no picture of {list_characters(bare)}; give at least one of each character")
    Charset(squares)  # raises its error for keys that are no characters
    known = [character for character in squares if _knows(bundle, character)]
    if known and not add_forms:
        raise CharsetError(
            f"bundle {bundle.name} knows {list_characters(known)} already; leave them out, or add another form of them "
            "(--add-forms)"
        )
    if hidden := [c for c in known if c not in bundle.charset]:
        raise CharsetError(
            f"{list_characters(hidden)}: looks like another character of bundle {bundle.name} and shares its class; "
            "leave it out"
        )


def _knows(bundle: Bundle, character: str) -> bool:
    return character in bundle.charset or any(character in members for members in bundle.groups.values())


def squares_by_character(bundle: Bundle, samples: Iterable[tuple[str, NDArray[np.uint8]]]) -> dict[str, list[Squares]]:
    """The normalised squares of labelled pictures, uint8 (H, W), by character; :class:`ImageError` for a blank one."""
    squares: dict[str, list[Squares]] = {}
    for character, picture in samples:
        squares.setdefault(character, []).append(bundle.normalization(picture))
    return squares
