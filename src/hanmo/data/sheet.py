"""A contact sheet: pictures in a grid with captions below them."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hanmo.atomic import require_suffix, write_whole
from hanmo.data.fonts import CaptionFont
from hanmo.errors import ArgumentError, DataError

_PAPER, _INK, _QUIET, _LINE = "#ffffff", "#1c1c1c", "#767676", "#e3e3e3"


class _Layout:
    """The lengths of a sheet in device pixels (``scale`` for each point) and its fonts.

    ``title``, ``head`` and ``rest`` are the fonts of the title and of a caption's first and further lines.
    """

    def __init__(self, cell: int, scale: int, font: Path | None) -> None:
        self.scale = scale
        self.cell, self.gap, self.margin = cell * scale, 12 * scale, 24 * scale
        self.title = CaptionFont(17 * scale, font)
        self.head = CaptionFont(15 * scale, font)
        self.rest = CaptionFont(11 * scale, font)
        self.title_height, self.head_height, self.rest_height = 40 * scale, 22 * scale, 15 * scale


MAX_PICTURES = 2_500
"""A larger sheet would need over 300 MB of memory."""


def contact_sheet(
    images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    captions: Sequence[str],
    *,
    columns: int = 10,
    title: str = "",
    ink: Literal["bright", "dark"] = "bright",
    cell: int = 72,
    scale: int = 2,
    font: Path | None = None,
) -> Image.Image:
    """Draw pictures, each uint8 (H, W), in rows of ``columns`` with their captions: an RGB image, ink dark on white.

    ``ink`` is the tone of the ink in the pictures: ``bright`` in a pack, ``dark`` on paper. A caption's first line is
    large, the lines after it are small and grey. ``cell`` is the longer side of a picture in points, ``scale`` the
    number of device pixels of a point; 2 is sharp on a dense screen. Captions are written in ``font``, if not given in
    the system's Chinese font; :class:`hanmo.data.fonts.CaptionFont` draws the characters that it lacks.

    Raises :class:`DataError` for no pictures, more than :data:`MAX_PICTURES`, or another number of captions.
    """
    if len(images) > MAX_PICTURES:
        raise DataError(f"a contact sheet of {len(images)} pictures is too large: at most {MAX_PICTURES}; show fewer")
    if not len(images) or len(images) != len(captions):
        raise DataError(f"a contact sheet needs a caption for each picture: {len(images)} and {len(captions)} given")
    look = _Layout(cell, scale, font)
    # A sheet of few pictures is no wider than they need.
    columns = max(1, min(columns, len(images)))
    lines = [caption.split("\n") for caption in captions]
    rows = [range(start, min(start + columns, len(images))) for start in range(0, len(images), columns)]
    # All columns are as wide as the widest caption, so that no two captions touch.
    width = max(look.cell, ceil(max(_widest(entry, look) for entry in lines)))
    tail = look.head_height + look.rest_height * (max(map(len, lines)) - 1)
    step_x, step_y = width + look.gap, look.cell + tail + 2 * look.gap
    top = look.margin + (look.title_height if title else 0)

    size = (2 * look.margin + columns * step_x - look.gap, top + len(rows) * step_y - look.gap + look.margin)
    size = (max(size[0], ceil(2 * look.margin + look.title.width(title))), size[1])
    sheet = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    if title:
        look.title.write(pen, (look.margin, look.margin), title, _INK, "lt")
    for number, row in enumerate(rows):
        y = top + number * step_y
        # A thin line above each row, but not at the very top of the sheet.
        if number or title:
            pen.line((look.margin, y - look.gap, size[0] - look.margin, y - look.gap), _LINE, look.scale)
        for place, index in enumerate(row):
            x = look.margin + place * step_x
            picture = _picture(images[index], ink, look.cell)
            left, above = (width - picture.width) // 2, (look.cell - picture.height) // 2
            sheet.paste(picture, (x + left, y + above))
            _write(pen, lines[index], x + width // 2, y + look.cell, look)
    return sheet


def save_png(picture: Image.Image, path: Path, *, make_folder: bool = False) -> None:
    """Write a picture as PNG, whole or not at all. Its folder must exist, unless ``make_folder`` allows to make it.

    Raises as :func:`check_png`, and :class:`StorageError` when the file cannot be written.
    """
    target = require_suffix(path, ".png") if make_folder else check_png(path)
    file = BytesIO()
    picture.save(file, "png")
    write_whole(target, file.getbuffer())


def check_png(path: Path) -> Path:
    """``path``, if a picture can be written there: it ends in .png, and its folder exists.

    No folder is made for a sheet, as a slip in its name would leave folders behind. Raises :class:`ArgumentError`.
    """
    target = require_suffix(path, ".png")
    if not target.parent.is_dir():
        raise ArgumentError(f"{target}: there is no folder {target.parent}; make it first, or name another one")
    return target


def _picture(image: NDArray[np.uint8], ink: Literal["bright", "dark"], cell: int) -> Image.Image:
    """The picture with dark ink, its longer side ``cell``."""
    drawn = Image.fromarray(255 - image if ink == "bright" else image)
    factor = cell / max(drawn.size)
    size = (max(1, round(drawn.width * factor)), max(1, round(drawn.height * factor)))
    # LANCZOS is the sharper one where it reduces; where it enlarges, it would draw halos around the strokes.
    return drawn.resize(size, Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.LANCZOS)


def _widest(lines: Sequence[str], look: _Layout) -> float:
    return max([look.head.width(lines[0]), *map(look.rest.width, lines[1:])])


def _write(pen: ImageDraw.ImageDraw, lines: Sequence[str], centre: int, y: int, look: _Layout) -> None:
    """Centred lines below ``y``; every line has a baseline of its own, so that the captions of a row align."""
    baseline = y + look.head_height - look.scale
    for number, line in enumerate(lines):
        font, colour = (look.rest, _QUIET) if number else (look.head, _INK)
        font.write(pen, (centre, baseline), line, colour, "ms")
        baseline += look.rest_height
