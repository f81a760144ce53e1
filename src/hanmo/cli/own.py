"""``hanmo extend`` and ``hanmo adapt``: characters of one's own and one's own hand, without training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hanmo.builtin import EMBEDDED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


BundleName = Annotated[
    str, typer.Argument(metavar="BUNDLE", help=f"Folder of a bundle, or one of {', '.join(EMBEDDED)}.")
]
Out = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The bundle folder to make.")]
Mapping = Annotated[
    Path | None, typer.Option(help="Table folder,character (.csv, .tsv) or JSON object, for folders of pictures.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def extend(
    bundle: BundleName,
    out: Out,
    pictures: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PICTURES]...", help="Folders of one folder a character, or .gnt files."),
    ] = None,
    font: Annotated[Path | None, typer.Option(help="Draw --characters from this font file instead.")] = None,
    characters: Annotated[str, typer.Option(help="The characters to draw from --font.")] = "",
    strokes: Annotated[
        str, typer.Option(metavar="文字…", help="Draw these characters from the strokes that come with hanmo.")
    ] = "",
    add_forms: Annotated[
        bool, typer.Option("--add-forms", help="Characters that the bundle knows get another form, not an error.")
    ] = False,
    only_new: Annotated[
        bool, typer.Option("--only-new", help="Leave out pictures of characters that the bundle knows.")
    ] = False,
    mapping: Mapping = None,
    as_json: Json = False,
) -> None:
    """Add characters to a bundle from 1 to 5 pictures of each, from a font or from strokes.

    Nothing is trained, and the model stays as it is: the bundle gets a prototype of each character. PyTorch is not
    needed.

    Examples: hanmo extend free my-characters/ --out mine; hanmo extend free --strokes 龘靐 --out mine
    """
    from hanmo.own.extend import extend as make
    from hanmo.own.extend import squares_by_character
    from hanmo.recognizer import Recognizer

    _check_sources(pictures, font, characters, strokes)
    reader = Recognizer(bundle)
    given = _given(pictures, mapping, font, characters, strokes)
    if only_new:
        given = (sample for sample in given if sample[0] not in reader.characters)
    squares = squares_by_character(reader.bundle, given)
    extended = make(reader, squares, add_forms=add_forms)
    stored = extended.bundle.save(out)
    facts = {
        "bundle": str(out),
        "characters": "".join(extended.characters),
        "pictures": sum(map(len, squares.values())),
        "new": extended.new,
        "classes": len(stored.charset),
    }
    text = f"{out}: {extended.new} new characters, {len(stored.charset):,} in all"
    if forms := len(extended.characters) - extended.new:
        text += f"; another form of {forms}"
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else text)


def adapt(
    bundle: BundleName,
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURES...",
            help="Folders of one folder a character, or .gnt files; with --unlabelled also plain folders of pictures.",
        ),
    ],
    out: Out,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="Use no labels: learn from the answers the reader is sure of.")
    ] = False,
    only_known: Annotated[
        bool, typer.Option("--only-known", help="Leave out pictures of characters that the bundle does not know.")
    ] = False,
    mapping: Mapping = None,
    as_json: Json = False,
) -> None:
    """Adapt a bundle to one hand, from 5 or more pictures of one writer; 20 to 100 are better.

    Cross-validation on the pictures decides how far the reader follows them. Where no change reads them better, the
    bundle is stored unchanged, and a line says so. PyTorch is not needed.

    Example: hanmo adapt free my-writing/ --out mine
    """
    import numpy as np

    from hanmo.errors import ArgumentError, DataError
    from hanmo.own.adaptation import adapt as make
    from hanmo.recognizer import Recognizer

    if only_known and unlabelled:
        raise ArgumentError("--only-known is about labels, which --unlabelled does not use; leave one of them out")
    reader = Recognizer(bundle)
    labels, squares = [], []
    for label, picture in _plain(pictures) if unlabelled else _labelled(pictures, mapping):
        if only_known and label not in reader.characters:
            continue
        labels.append(label)
        squares.append(reader.bundle.normalization(picture))
    if not squares:
        raise DataError(f"no pictures of characters that bundle {reader.bundle.name} knows; try hanmo extend")
    adapted = make(reader, np.stack(squares), None if unlabelled else labels)
    adapted.bundle.save(out)
    changed = adapted.after > adapted.before
    facts = {"bundle": str(out), "pictures": adapted.given, "used": adapted.used, "changed": changed}
    facts |= {"log_probability": [round(adapted.before, 4), round(adapted.after, 4)]}
    text = f"{out}: adapted with {adapted.used} of {adapted.given} pictures"
    if not changed:
        text = f"{out}: no change, as none reads these pictures better; give more of them"
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else text)


def _check_sources(pictures: list[str] | None, font: Path | None, characters: str, strokes: str) -> None:
    from hanmo.errors import ArgumentError

    if bool(font) != bool(characters):
        raise ArgumentError("--font and --characters belong together; give both")
    if not (pictures or font or strokes):
        raise ArgumentError("nothing to add; give pictures, or --font with --characters, or --strokes")


def _given(
    pictures: list[str] | None, mapping: Path | None, font: Path | None, characters: str, strokes: str
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Every character with a picture of it, from all sources that were given."""
    from hanmo.own.hand import drawings
    from hanmo.own.pictures import from_font

    if pictures:
        yield from _labelled(pictures, mapping)
    if font:
        yield from from_font(font, dict.fromkeys("".join(characters.split())))
    if strokes:
        yield from drawings(dict.fromkeys("".join(strokes.split())), _DRAWINGS)


_DRAWINGS = 5
"""Drawings of a character of which only strokes are known; the first is plain."""


def _labelled(pictures: list[str], mapping: Path | None) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    from hanmo.data.read import read_samples

    for sample in read_samples(pictures, mapping):
        yield sample.label, sample.image


def _plain(pictures: list[str]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Pictures without labels: those in folders themselves, or samples as :func:`_labelled` reads them."""
    from hanmo.image import load, pictures_in

    for name in pictures:
        inside = pictures_in(Path(name)) if Path(name).is_dir() else []
        if inside:
            yield from (("", load(picture)) for picture in inside)
        else:
            yield from _labelled([name], None)
