"""Pictures of characters -> squares, with a few views of each; drawn from a font where there is no handwriting."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hanmo.charset import list_characters
from hanmo.errors import FontError
from hanmo.files import read_limited

Squares = NDArray[np.uint8]

_SIZE = 96  # pixels of a glyph, as many as normalisation looks at
_MARGIN = 24
_MAX_FONT_BYTES = 64 * 2**20
"""The largest fonts of Chinese have some 40 MB."""

VIEWS: tuple[tuple[float, float, float], ...] = ((1.0, 0.0, 1.0), (1.0, 0.09, 1.0), (1.0, -0.09, 1.0))
"""Views of a square as (width, slant, height) of the window that is taken from it; the first is the square itself.

With the bundle ``free`` they gain 0.1 points with one picture of a new character; views of other widths gain nothing.
"""


def views(square: Squares) -> Squares:
    """The :data:`VIEWS` of a square, uint8 (V, S, S); shifts are no views, as normalisation centres the ink."""
    picture, side = Image.fromarray(square), len(square)
    middle = side / 2
    drawn = []
    for width, slant, height in VIEWS:
        # Pillow wants, for each place of the result, the place in the source: x' = w x + s y + c, y' = h y + d.
        window = (width, slant, middle * (1 - width - slant), 0.0, height, middle * (1 - height))
        drawn.append(
            np.asarray(picture.transform((side, side), Image.Transform.AFFINE, window, Image.Resampling.BILINEAR))
        )
    return np.stack(drawn)


def from_font(font: str | Path, characters: Iterable[str]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Each character as the font draws it, uint8 (H, W), ink dark.

    Raises :class:`FontError` for a file that is no font, and naming the characters that the font lacks.
    """
    path, characters = Path(font), list(characters)
    try:
        data = read_limited(path, _MAX_FONT_BYTES)
        face = ImageFont.truetype(io.BytesIO(data), _SIZE)
    except OSError as error:
        raise FontError(f"{path}: cannot be read as a font ({error}); name a .ttf, .otf or .ttc file") from error
    # What a font lacks is drawn as its empty box: the same picture as for a code point that no font has.
    box = _glyph(face, "\U0010ffff")
    drawn = [(character, _glyph(face, character)) for character in characters]
    lacking = [c for c, glyph in drawn if glyph.min() == 255 or (glyph.shape == box.shape and (glyph == box).all())]
    if lacking:
        raise FontError(f"{path}: lacks {list_characters(lacking)}; leave them out or name another font")
    yield from drawn


def _glyph(face: ImageFont.FreeTypeFont, character: str) -> NDArray[np.uint8]:
    left, top, right, bottom = face.getbbox(character)
    size = (max(int(right - left), 1) + 2 * _MARGIN, max(int(bottom - top), 1) + 2 * _MARGIN)
    canvas = Image.new("L", size, 255)
    ImageDraw.Draw(canvas).text((_MARGIN - left, _MARGIN - top), character, fill=0, font=face)
    return np.array(canvas)
