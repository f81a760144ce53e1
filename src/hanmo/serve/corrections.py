"""The folder of ``hanmo serve --keep``: pictures with the characters that people chose for them on the page.

``hanmo extend`` and ``hanmo adapt`` read it: ``U+6C38/SHA256.png``, one sub-folder a character. Names are made from
code points and contents alone, so no text of a client becomes part of a path.
"""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hanmo.atomic import storing, write_whole
from hanmo.data.gnt import is_character
from hanmo.errors import StorageError
from hanmo.image import describe
from hanmo.serve.problems import RefusedError


def check_character(character: str) -> None:
    """Raises :class:`RefusedError` (422) for anything but one character that can be a label."""
    if not is_character(character):
        # Cut, because the address may hold a text of any length.
        shown = describe(character)[:20]
        raise RefusedError(422, "unusable_character", f"{shown!r} is not one character; name the one on the picture")


class Corrections:
    """Pictures in folders of their characters, at most ``most`` of them and ``most_bytes`` bytes.

    Its folder is listed anew for each picture, so that pictures may be taken away while the server runs. Only one
    thread may use it at a time. Raises :class:`StorageError` where the folder cannot be made.
    """

    def __init__(self, folder: str | Path, most: int, most_bytes: int) -> None:
        self._folder, self._most, self._most_bytes = Path(folder), most, most_bytes
        with storing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        # A server that was killed may have left one; readers of the folder refuse a class without a picture.
        for place in self._folder.glob("U+*"):
            _drop_if_empty(place)

    def keep(self, character: str, grey: NDArray[np.uint8]) -> int:
        """Store the picture ``grey``, uint8 (H, W), as one of ``character``; the number of pictures stored then.

        A picture that is stored already, under whatever character, is not stored again: it moves to this one, as the
        last choice counts. Raises :class:`RefusedError`: 422 for what is no character, 507 where the folder is full.
        """
        check_character(character)
        data = _encoded(grey)
        name = f"{hashlib.sha256(data).hexdigest()}.png"
        target = self._folder / f"U+{ord(character):04X}" / name
        kept = list(self._folder.glob("U+*/*.png"))
        before = next((path for path in kept if path.name == name), None)
        if before is not None:
            self._move(before, target)
            return len(kept)
        if len(kept) >= self._most or sum(path.stat().st_size for path in kept) + len(data) > self._most_bytes:
            raise RefusedError(507, "keep_full", "the folder of corrections is full; its owner must empty it first")
        try:
            write_whole(target, data)
        except StorageError:
            _drop_if_empty(target.parent)
            raise
        return len(kept) + 1

    def _move(self, before: Path, target: Path) -> None:
        if before == target:
            return
        with storing(self._folder):
            target.parent.mkdir(exist_ok=True)
            before.replace(target)
        _drop_if_empty(before.parent)


def _encoded(grey: NDArray[np.uint8]) -> bytes:
    """A PNG of the pixels alone: what a photo tells besides them, such as its place, is not stored."""
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    return file.getvalue()


def _drop_if_empty(place: Path) -> None:
    with suppress(OSError):  # it holds a picture, as nearly always
        place.rmdir()
