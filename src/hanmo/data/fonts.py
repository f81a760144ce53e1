"""Captions in Chinese on any computer: with the system's Chinese font, or with the packaged strokes where it has none.

Pillow's own font draws the rest. A character that nothing can draw is written as its code point, never as an empty box.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from hanmo.medians import medians_for

_FOLDERS = {
    "win32": [r"%WINDIR%\Fonts", r"%LOCALAPPDATA%\Microsoft\Windows\Fonts"],
    "darwin": ["/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"],
}
_UNIX_FOLDERS = ["~/.local/share/fonts", "~/.fonts", "/usr/local/share/fonts", "/usr/share/fonts"]

_NAMES = (
    "NotoSansCJK-Regular", "NotoSansCJKsc-Regular", "NotoSansSC", "SourceHanSansSC-Regular", "SourceHanSansCN-Regular",
    "PingFang", "Hiragino Sans GB", "STHeiti Light", "msyh", "simhei", "simsun", "wqy-microhei", "wqy-zenhei",
    "DroidSansFallbackFull", "DroidSansFallback", "LXGWWenKai-Regular", "NotoSerifCJK-Regular", "gkai00mp", "gbsn00lp",
    "ukai", "uming",
)  # fmt: skip
"""File names of fonts with the characters of GB2312, the ones best to read in small sizes first."""

_PROBE = "翰墨"
# The last code point of Unicode is no character: every font draws its box for missing characters for it.
_NO_CHARACTER = "\U0010ffff"

_PEN = 0.07
"""Width of a drawn stroke in units of the character's side, that of a regular font."""
_ASCENT = 0.88
"""Share of a character's square above the baseline, as in usual Chinese fonts."""
_SUPERSAMPLING = 4
"""Strokes are drawn so many times as large and reduced, as Pillow's lines are not antialiased."""

Anchor = Literal["ls", "ms", "rs", "lm", "lt"]
"""The point of a text that is placed, as Pillow names it: left, middle or right, at the baseline, middle or top."""


class CaptionFont:
    """Writes captions in one font and one size in pixels, with the packaged strokes for characters the font lacks."""

    def __init__(self, size: float, path: Path | None = None) -> None:
        """``path`` of None takes the system's Chinese font, or Pillow's own when there is none."""
        path = path or find_chinese_font()
        self.size = size
        self.face = _load(path, size) if path else ImageFont.load_default(size)
        self._missing = self._shape(_NO_CHARACTER)
        self._known: dict[str, bool] = {}  # a sheet repeats its characters, and each look-up draws one

    def drawable(self, text: str) -> str:
        """``text`` with the characters that neither the font nor the strokes can draw as code points: ``U+4EB9``."""
        written = "".join(c if self.has(c) or c in medians_for(c) else f" U+{ord(c):04X} " for c in text)
        return written if written == text else " ".join(written.split())

    def width(self, text: str) -> float:
        """Pixels that ``text``, as :meth:`write` draws it, advances by."""
        return sum(self._advance(run, by_font) for run, by_font in self._runs(self.drawable(text)))

    def write(
        self, pen: ImageDraw.ImageDraw, place: tuple[float, float], text: str, colour: str, anchor: Anchor = "ls"
    ) -> None:
        """Draw ``text`` at ``place`` (x, y) in pixels, where its ``anchor`` comes to lie."""
        text = self.drawable(text)
        runs = list(self._runs(text))
        # In the usual case Pillow places the whole text, with the font's kerning.
        if all(by_font for _, by_font in runs):
            pen.text(place, text, colour, self.face, anchor=anchor)
            return
        # A mixed text is written run by run from the left; anchor and font size say where its baseline begins.
        x = place[0] - self.width(text) * {"l": 0.0, "m": 0.5, "r": 1.0}[anchor[0]]
        baseline = place[1] + self.size * {"s": 0.0, "m": _ASCENT - 0.5, "t": _ASCENT}[anchor[1]]
        for run, by_font in runs:
            if by_font:
                pen.text((x, baseline), run, colour, self.face, anchor="ls")
            else:
                self._write_strokes(pen, x, baseline, run, colour)
            x += self._advance(run, by_font)

    def has(self, character: str) -> bool:
        """Whether the font itself has ``character``."""
        if character not in self._known:
            self._known[character] = character.isspace() or self._shape(character) != self._missing
        return self._known[character]

    def _runs(self, text: str) -> Iterator[tuple[str, bool]]:
        """Neighbouring characters that the font has (True) or lacks (False)."""
        return (("".join(characters), by_font) for by_font, characters in groupby(text, self.has))

    def _advance(self, run: str, by_font: bool) -> float:
        return float(self.face.getlength(run)) if by_font else self.size * len(run)

    def _write_strokes(self, pen: ImageDraw.ImageDraw, x: float, baseline: float, text: str, colour: str) -> None:
        for number, character in enumerate(text):
            corner = (round(x + number * self.size), round(baseline - _ASCENT * self.size))
            pen.bitmap(corner, _stroke_mask(character, round(self.size)), colour)

    def _shape(self, character: str) -> bytes:
        # Pillow does not show a font's character map; what looks like a character that is none is not in it.
        mask = self.face.getmask(character)
        return repr(mask.size).encode() + bytes(mask)


@lru_cache(maxsize=4096)
def _stroke_mask(character: str, side: int) -> Image.Image:
    """A character drawn from its packaged strokes, mode L, side x side, 255 = ink."""
    large = side * _SUPERSAMPLING
    mask = Image.new("L", (large, large), 0)
    pen, radius = ImageDraw.Draw(mask), _PEN * large / 2
    for stroke in medians_for(character).of(character):
        points = [(x, y) for x, y in (stroke * large).tolist()]
        pen.line(points, fill=255, width=round(2 * radius), joint="curve")
        for x, y in (points[0], points[-1]):  # Pillow cuts the ends of lines off straight
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return mask.reduce(_SUPERSAMPLING)


@lru_cache(maxsize=1)
def find_chinese_font() -> Path | None:
    """The best known Chinese font in the system's font folders."""
    found: dict[str, Path] = {}
    for folder in _FOLDERS.get(sys.platform, _UNIX_FOLDERS):
        for path in sorted(Path(os.path.expandvars(folder)).expanduser().rglob("*.[to]t[fc]")):
            # Of two files of one name the first folder's counts.
            found.setdefault(path.stem.lower(), path)
    candidates = (found[name.lower()] for name in _NAMES if name.lower() in found)
    return next((path for path in candidates if _draws_chinese(path)), None)


def _draws_chinese(path: Path) -> bool:
    try:
        return all(map(CaptionFont(16, path).has, _PROBE))
    except OSError:
        return False


def _load(path: Path, size: float) -> ImageFont.FreeTypeFont:
    """The simplified Chinese face of a collection, or the only face there is."""
    first = ImageFont.truetype(path, size)
    if path.suffix.lower() != ".ttc":
        return first
    # A collection holds a face each for Japan, Korea, China and Taiwan; they draw some characters differently.
    for index in range(8):
        try:
            face = ImageFont.truetype(path, size, index=index)
        except OSError:
            break
        if "SC" in (face.getname()[0] or "").split():
            return face
    return first
