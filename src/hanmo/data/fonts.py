"""A font for captions: the system's Chinese one where there is one, Pillow's own otherwise; never an empty box."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

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
_NO_CHARACTER = "\U0010ffff"


class CaptionFont:
    """One face at one size in pixels that knows which characters it can draw."""

    def __init__(self, size: float, path: Path | None = None) -> None:
        """``path`` of None takes the system's Chinese font, or Pillow's own when there is none."""
        path = path or find_chinese_font()
        self.face = _load(path, size) if path else ImageFont.load_default(size)
        self._missing = self._shape(_NO_CHARACTER)

    def drawable(self, text: str) -> str:
        """``text`` with the characters this font lacks written as code points: ``U+7FF0``."""
        written = "".join(c if self._has(c) else f" U+{ord(c):04X} " for c in text)
        return written if written == text else " ".join(written.split())

    def width(self, text: str) -> float:
        """Pixels that ``text`` advances by."""
        return float(self.face.getlength(text))

    def _has(self, character: str) -> bool:
        return character.isspace() or self._shape(character) != self._missing

    def _shape(self, character: str) -> bytes:
        # Pillow does not show a font's character map; what looks like a character that is none is not in it.
        mask = self.face.getmask(character)
        return repr(mask.size).encode() + bytes(mask)


@lru_cache(maxsize=1)
def find_chinese_font() -> Path | None:
    """The best known Chinese font in the system's font folders."""
    found: dict[str, Path] = {}
    for folder in _FOLDERS.get(sys.platform, _UNIX_FOLDERS):
        for path in sorted(Path(os.path.expandvars(folder)).expanduser().rglob("*.[to]t[fc]")):
            found.setdefault(path.stem.lower(), path)
    candidates = (found[name.lower()] for name in _NAMES if name.lower() in found)
    return next((path for path in candidates if _draws_chinese(path)), None)


def _draws_chinese(path: Path) -> bool:
    try:
        return CaptionFont(16, path).drawable(_PROBE) == _PROBE
    except OSError:
        return False


def _load(path: Path, size: float) -> ImageFont.FreeTypeFont:
    """The simplified Chinese face of a collection, or the only face there is."""
    first = ImageFont.truetype(path, size)
    if path.suffix.lower() != ".ttc":
        return first
    for index in range(8):
        try:
            face = ImageFont.truetype(path, size, index=index)
        except OSError:
            break
        if "SC" in (face.getname()[0] or "").split():
            return face
    return first
