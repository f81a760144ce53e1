"""Font files: found in a folder, opened, and their glyphs rendered. Needs the extra ``fonts``."""

from __future__ import annotations

import io
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hanmo.errors import FontError, one_line
from hanmo.synth.fonts.recipe import FontsRecipe

if TYPE_CHECKING:
    from fontTools.ttLib import TTFont

# Code points that no font may map: it shows its missing box for them.
_NO_CHARACTERS = ("\U0010ffff", "\ufffe", "\ufdd0")

Bytes = NDArray[np.uint8]


class FontFile:
    """One file with glyphs, or one face of a collection. Raises :class:`FontError` when it cannot be read."""

    def __init__(self, path: Path, index: int, size: int) -> None:
        """``size``: pixels of the em square that :meth:`draw` draws."""
        self.path = path
        try:
            self._open(path, index, size)
        except ImportError:
            raise
        except Exception as error:  # on damaged files fontTools raises errors of many types
            raise FontError(f"{path}: not a font that can be read ({one_line(error)}); fetch it again") from error

    def _open(self, path: Path, index: int, size: int) -> None:
        font = _load(path, index)
        order = {name: number for number, name in enumerate(font.getGlyphOrder())}
        names: dict[int, str] = font.getBestCmap() or {}
        # Glyph 0 is .notdef whatever it is called.
        self.characters = frozenset(chr(code) for code, name in names.items() if order[name])
        source: Path | io.BytesIO = path
        if font.flavor:  # not every FreeType unpacks web fonts
            source = io.BytesIO()
            font.flavor = None
            font.save(source, reorderTables=None)
            source.seek(0)
        font.close()
        # The basic layout shows the character's own glyph; the other one would follow a language's substitutions.
        self._face = ImageFont.truetype(source, size, index=index, layout_engine=ImageFont.Layout.BASIC)

    def draw(self, character: str) -> Bytes | None:
        """The glyph's ink, uint8 (H, W), 255 = ink, cut to its box; None for an empty glyph or the missing box."""
        ink = self._ink(character)
        if ink is None or any(np.array_equal(ink, box) for box in self._boxes):
            return None
        return ink

    @cached_property
    def _boxes(self) -> list[Bytes]:
        """The pictures that the font shows for characters it lacks, if any."""
        drawn = (self._ink(c) for c in _NO_CHARACTERS if c not in self.characters)
        return [box for box in drawn if box is not None]

    def _ink(self, character: str) -> Bytes | None:
        left, top, right, bottom = map(round, self._face.getbbox(character))
        if right <= left or bottom <= top:
            return None
        picture = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(picture).text((-left, -top), character, fill=255, font=self._face)
        ink = np.asarray(picture)
        return ink if ink.any() else None


def _load(path: Path, index: int) -> TTFont:
    from fontTools.ttLib import TTFont, woff2

    data = path.read_bytes()
    if data.startswith(b"wOF2") and not woff2.haveBrotli:
        raise ImportError("web fonts are packed with brotli", name="brotli")
    return TTFont(io.BytesIO(data), fontNumber=index, lazy=True)


def find_files(recipe: FontsRecipe, folder: str | Path) -> list[list[Path]]:
    """The files of every font, in the order of names; raises :class:`FontError` naming all fonts without one."""
    folder = Path(folder)
    found = [sorted(path for path in folder.glob(font.files) if path.is_file()) for font in recipe.font]
    missing = [font for font, files in zip(recipe.font, found, strict=True) if not files]
    if missing:
        wanted = ", ".join(f"{font.files} ({font.package} {font.version})" for font in missing)
        raise FontError(f"{folder}: {len(missing)} of {len(found)} fonts are not there: {wanted}; fetch these packages")
    return found
