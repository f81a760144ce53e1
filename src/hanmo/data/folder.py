"""Folders of pictures, one sub-folder a character: ``pictures/翰/0001.png``."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from PIL import Image

from hanmo.atomic import replacing, storing
from hanmo.charset import list_characters
from hanmo.data.gnt import is_character
from hanmo.data.sample import Sample
from hanmo.errors import DataError
from hanmo.files import is_folder, read_limited
from hanmo.image import has_pictures, load, pictures_in

Labels = str | Path | Mapping[str, str]
"""Which character a folder holds: a mapping, or a file of one (see :func:`read_mapping`)."""

_MAX_MAPPING = 16 * 2**20  # bytes of a file of folder names and characters
_CODE_POINT = re.compile(r"[Uu]\+([0-9A-Fa-f]{4,6})")


def read_folder(
    path: str | Path, mapping: Labels | None = None, on_bytes: Callable[[int], None] | None = None
) -> Iterator[Sample]:
    """Stream the pictures of every class folder below ``path``, folders and files in name order, hidden ones left out.

    A folder is labelled by ``mapping``, else by its own name: one character, or its code point as ``U+7FF0``.
    The folders are checked at once, the pictures as they are read. ``source`` is the picture's path from ``path``'s
    own name on; ``on_bytes`` is called with the size of each file. Raises :class:`DataError` when there are no class
    folders, one holds no picture or has no character; :class:`hanmo.errors.ImageError` for an unusable picture.
    """
    return read_classes(path, class_folders(path, mapping), on_bytes)


def entries(folder: Path) -> list[Path]:
    """The files and folders in ``folder``. Raises :class:`DataError` where it cannot be listed."""
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); check its permissions") from error


def write_folder(path: str | Path, samples: Iterable[Sample]) -> int:
    """Write samples as numbered PNGs in class folders and return their number; labels and pixels are kept exactly.

    ``path`` must be free or an empty folder, and appears only when complete. Labels that file systems mangle (ASCII,
    letters with case, composed forms) become ``U+XXXX`` folders. Raises :class:`DataError`, :class:`StorageError`.
    """
    root = Path(path)
    # Never into a folder that holds something: its pictures would become samples of this set.
    if root.exists() and not (root.is_dir() and not any(root.iterdir())):
        raise DataError(f"{root}: exists already; name a folder that does not")
    counts: dict[str, int] = {}
    with replacing(root) as partial:
        for sample in samples:
            # Numbered by character, so that the names in a class folder have no gaps.
            folder = partial / _folder_name(sample.label)
            number = counts[sample.label] = counts.get(sample.label, 0) + 1
            with storing(root):
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(sample.image).save(folder / f"{number:06d}.png")
        if not counts:
            raise DataError(f"{root}: no samples to write")
    return sum(counts.values())


def read_mapping(source: Labels) -> dict[str, str]:
    """Folder name -> character, from a JSON object or a table of two columns (``.tsv`` by tabs, else by commas).

    The table may open with the line ``folder,character``. Raises :class:`DataError` naming the file and the entry.
    """
    if isinstance(source, Mapping):
        name, pairs = "mapping", list(source.items())
    else:
        name, pairs = str(source), _pairs(Path(source))
    mapping: dict[str, str] = {}
    for folder, text in pairs:
        if not (character := _character(text)):
            raise DataError(f"{name}: {folder!r} is mapped to {text!r}; write one character or U+XXXX")
        if mapping.setdefault(folder, character) != character:
            raise DataError(f"{name}: {folder!r} is mapped to both {mapping[folder]!r} and {character!r}; keep one")
    return mapping


def _pairs(path: Path) -> list[tuple[str, str]]:
    try:
        # utf-8-sig, because spreadsheets put a byte order mark before the first column's name.
        text = read_limited(path, _MAX_MAPPING).decode("utf-8-sig")
        if path.suffix.lower() == ".json":
            entries = json.loads(text)
            if not isinstance(entries, dict) or not all(isinstance(value, str) for value in entries.values()):
                raise DataError(f"{path}: not a JSON object of folder names and characters")
            return list(entries.items())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, RecursionError) as error:
        # DataError is a ValueError, too: our own message from above must pass unchanged.
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: neither UTF-8 nor a mapping ({error})") from error
    pairs = []
    for number, row in enumerate(_rows(text, "\t" if path.suffix == ".tsv" else ",", path), 1):
        if row in ([], ["folder", "character"]):
            continue
        if len(row) != 2:
            raise DataError(f"{path}: line {number} has {len(row)} columns; write folder and character")
        pairs.append((row[0].strip(), row[1].strip()))
    return pairs


def _rows(text: str, delimiter: str, path: Path) -> Iterator[list[str]]:
    try:
        yield from csv.reader(text.splitlines(), delimiter=delimiter)
    except csv.Error as error:  # a field of more than 128 KiB
        raise DataError(f"{path}: not a table ({error})") from error


def class_folders(path: str | Path, labels: Labels | None = None) -> list[tuple[Path, str]]:
    """Every class folder below ``path`` with its character, checked as by :func:`read_folder`."""
    root, mapping = Path(path), read_mapping(labels) if labels is not None else {}
    if not is_folder(root):
        raise DataError(f"{root}: no such folder")
    folders = sorted(p for p in entries(root) if p.is_dir() and not p.name.startswith("."))
    if not folders:
        raise DataError(f"{root}: no class folders; put the pictures of each character in a folder named after it")
    # The mapping goes first: it may rename a folder whose name is itself a character.
    names = {folder: mapping.get(folder.name) or _character(folder.name) for folder in folders}
    unnamed = [folder.name for folder in folders if not names[folder]]
    if unnamed:
        raise DataError(
            f"{root}: {len(unnamed)} folder(s) not named after a character: {list_characters(unnamed)}; "
            "rename them or give a mapping"
        )
    bare = [folder.name for folder in folders if not has_pictures(folder)]
    if bare:
        raise DataError(
            f"{root}: {len(bare)} folder(s) without a picture: {list_characters(bare)}; remove or fill them"
        )
    return [(folder, names[folder]) for folder in folders]


def read_classes(
    path: str | Path, classes: list[tuple[Path, str]], on_bytes: Callable[[int], None] | None = None
) -> Iterator[Sample]:
    """The samples of some of the :func:`class_folders` below ``path``, as :func:`read_folder` streams them."""
    home = Path(path).resolve().name
    for folder, label in classes:
        for file in pictures_in(folder):
            # The path from the folder's own name on: packs must not hold the user's directories.
            yield Sample(label, load(file), f"{home}/{folder.name}/{file.name}")
            if on_bytes:
                on_bytes(file.stat().st_size)


def _character(name: str) -> str:
    """The character a folder is named after, or ``""``."""
    name = unicodedata.normalize("NFC", name)  # macOS hands composed letters back in two parts
    if match := _CODE_POINT.fullmatch(name):
        # Six hexadecimal digits can exceed Unicode; its last code point is no character, so it is refused below.
        name = chr(min(int(match[1], 16), 0x10FFFF))
    return name if is_character(name) else ""


def _folder_name(label: str) -> str:
    if not is_character(label):
        raise DataError(f"label {label!r} is not one character; a class folder needs one")
    # Some file systems decompose names (NFD) or ignore case: only names that both leave as they are can be read back.
    steady = unicodedata.normalize("NFD", label) == label and label.upper() == label.lower()
    return label if steady and not label.isascii() else f"U+{ord(label):04X}"
