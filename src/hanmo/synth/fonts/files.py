"""Font files -> a glyph bank, as a TOML file says::

    characters = "level1"     # or the characters themselves

    [[font]]
    name = "long-cang"
    files = "npm/long-cang/package/files/*.woff2"   # below the folder of fonts; a font may come in parts
    package = "npm:@fontsource/long-cang"
    version = "5.3.0"
    licence = "OFL-1.1"

Needs the extra ``fonts``.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hanmo.charset import Charset
from hanmo.errors import ConfigError, FontError, one_line
from hanmo.normalize import Normalization
from hanmo.synth.fonts.bank import Fits, FontRecord, GlyphBank, check_side, pack_levels, unpack_levels, write_bank
from hanmo.synth.fonts.slim import slim
from hanmo.synth.fonts.variants import draw_medians, features, find_variants

if TYPE_CHECKING:
    from fontTools.ttLib import TTFont

_LARGER = 4  # glyphs are rendered at this multiple of their final side
_NO_CHARACTERS = ("\U0010ffff", "\ufffe", "\ufdd0")  # code points that no font may map: they show its missing box
_RIVAL_CODES = ("gb2312", "big5", "shift_jis")

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class FontSource:
    """One font of a recipe."""

    name: str
    files: str
    """A path or pattern below the folder of fonts: every file it matches is a part of this font."""
    package: str
    version: str
    licence: str
    """An SPDX expression, as the package's own licence file says."""
    index: int = 0
    """The face in a collection (.ttc)."""
    weight: float = 1.0
    reference: bool = False
    """Whether its forms are the standard ones, which the other fonts are compared with."""
    note: str = ""
    only: str = ""
    """The characters to take, line breaks between them; all if empty. For fonts that mix usable forms with others."""

    def __post_init__(self) -> None:
        pattern = PurePosixPath(self.files)
        if not self.files or pattern.is_absolute() or ".." in pattern.parts:
            raise ConfigError(f"files = {self.files!r} is impossible; a pattern below the folder of fonts")
        if not 0 <= self.index < 65_536 or not 0 < self.weight <= 1e6:
            raise ConfigError(f"index = {self.index} with weight = {self.weight} is impossible; from 0, and above 0")


@dataclass(frozen=True, kw_only=True)
class FontsRecipe:
    """The fonts of a bank; loaded by :func:`hanmo.config.load_toml`. Raises :class:`ConfigError`."""

    font: tuple[FontSource, ...]
    characters: str = "level1"
    """``"level1"`` or the characters themselves."""
    side: int = 64
    margin: int = 2
    pen: float = 0.05
    """Width of lines, as a part of the side, to which heavier fonts are slimmed; 0: they stay as they are."""
    layouts: bool = True
    """Whether printed strokes are fitted to every glyph, for hands that lay characters out as fonts do."""

    def __post_init__(self) -> None:
        check_side(self.side)
        if not 0 <= self.pen <= 1:
            raise ConfigError(f"pen = {self.pen} is impossible; 0 to 1 of the side")
        Normalization(side=self.side, margin=self.margin)
        names = [font.name for font in self.font]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice or not names:
            raise ConfigError(f"every font is named once; twice: {', '.join(twice)}" if twice else "no font is named")

    def charset(self) -> Charset:
        """The characters of the bank; raises :class:`CharsetError` for a repeated one."""
        return Charset.level1() if self.characters == "level1" else Charset(self.characters)

    def __len__(self) -> int:
        """Glyphs there would be if every font had every character."""
        return len(self.font) * len(self.charset())

    @property
    def steps(self) -> int:
        """The number of steps that :func:`build_bank` reports as progress in the end."""
        return len(self) * (2 if self.layouts else 1)


class FontFile:
    """One file with glyphs, or one face of a collection. Raises :class:`FontError` when it cannot be read."""

    def __init__(self, path: Path, index: int, size: int) -> None:
        """``size``: pixels of the em square that :meth:`draw` draws."""
        self.path = path
        try:
            self._open(path, index, size)
        except ImportError:
            raise
        except Exception as error:  # fontTools answers damage with whatever its parsers stumble over
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


def build_bank(
    recipe: FontsRecipe,
    folder: str | Path,
    out: str | Path,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> GlyphBank:
    """Draw the fonts of ``recipe``, found below ``folder``, into a new bank at ``out``.

    ``on_progress`` is called with how many of ``recipe.steps`` are done. Raises :class:`FontError` naming all missing
    fonts at once or the first unreadable one, and :class:`StorageError`; ImportError without the extra ``fonts``, and
    for layouts without ``train``.
    """
    import fontTools  # noqa: F401  # imported first, so that a missing extra is noticed before any work

    if recipe.layouts:
        import torch  # noqa: F401

    charset = recipe.charset()
    pages = []
    for number, (font, files) in enumerate(zip(recipe.font, find_files(recipe, folder), strict=True)):
        pages.append(_Page(recipe, font, files, charset))
        if on_progress:
            on_progress((number + 1) * len(charset))
    variant = _variants(recipe, charset, pages)
    records, glyphs = [], []
    for page, dropped in zip(pages, variant, strict=True):
        records.append(page.record(len(charset), int(dropped.sum())))
        glyphs.append((page.labels[~dropped], page.packed[~dropped]))
    fits = _fits(recipe, charset, glyphs, on_progress) if recipe.layouts else None
    return write_bank(out, charset, records, glyphs, side=recipe.side, margin=recipe.margin, layouts=fits)


def _fits(
    recipe: FontsRecipe,
    charset: Charset,
    glyphs: list[tuple[NDArray[np.int64], Bytes]],
    on_progress: Callable[[int], None] | None,
) -> Fits:
    from hanmo.synth.fonts.layouts import fit_layouts  # needs torch

    labels = np.concatenate([label for label, _ in glyphs])
    pictures = unpack_levels(np.concatenate([packed for _, packed in glyphs]), recipe.side)

    def report(done: int) -> None:
        if on_progress:
            on_progress(len(recipe) + done * len(recipe) // max(len(labels), 1))

    return fit_layouts(charset, labels, pictures, report)


class _Page:
    """The glyphs of one font for the charset; of a reference font also those of rival characters."""

    def __init__(self, recipe: FontsRecipe, font: FontSource, files: list[Path], charset: Charset) -> None:
        self.font = font
        allowed = set(font.only) or set(charset)
        known, squares = _draw(recipe, font, files, [c for c in charset if c in allowed])
        self.labels = charset.encode(known)
        self.packed = pack_levels(squares)
        self.features = features(squares)
        self.rivals: dict[str, NDArray[np.float32]] = {}
        if font.reference:
            names, squares = _draw(recipe, font, files, [c for c in _rivals() if c not in charset])
            self.rivals = dict(zip(names, features(squares), strict=True))

    def record(self, wanted: int, variants: int) -> FontRecord:
        font, drawn = self.font, len(self.labels)
        return FontRecord(
            name=font.name, licence=font.licence, package=font.package, version=font.version, weight=font.weight,
            note=font.note, glyphs=drawn - variants, variants=variants, missing=wanted - drawn,
        )  # fmt: skip


def _draw(recipe: FontsRecipe, font: FontSource, files: list[Path], characters: list[str]) -> tuple[list[str], Bytes]:
    """The ``characters`` that the font has, in their order, and their squares (n, side, side), ink bright."""
    # The first version of the front end, which removes nothing: glyphs are clean, and no stroke may count as print.
    square = Normalization(side=2 * recipe.side, margin=2 * recipe.margin, version=1)
    wanted = set(characters)
    drawn: dict[str, Bytes] = {}
    for path in files:
        file = FontFile(path, font.index, _LARGER * recipe.side)
        for character in sorted(wanted & file.characters):
            ink = file.draw(character)
            if ink is not None:
                # With paper around it, since a glyph that fills its box, as 一 may, would have no contrast.
                drawn[character] = square(255 - np.pad(ink, _LARGER))
                wanted.discard(character)
    known = [c for c in characters if c in drawn]
    if not known:
        return known, np.zeros((0, recipe.side, recipe.side), np.uint8)
    squares = np.stack([drawn[c] for c in known])
    return known, _halved(slim(squares, 2 * recipe.side * recipe.pen) if recipe.pen else squares)


def _halved(squares: Bytes) -> Bytes:
    """Halve pictures (n, 2 S, 2 S) to (n, S, S) by the mean of every four pixels, rounded."""
    count, side, _ = squares.shape
    fours = squares.reshape(count, side // 2, 2, side // 2, 2).sum((2, 4), dtype=np.uint16)
    mean: Bytes = ((fours + 2) // 4).astype(np.uint8)
    return mean


def _rivals() -> list[str]:
    """Rivals: all CJK characters of the older national encodings of China, Taiwan and Japan."""
    lead, trail = range(0x81, 0xFF), range(0x40, 0xFF)
    found = set()
    for code in _RIVAL_CODES:
        pairs = (bytes([a, b]).decode(code, "ignore") for a in lead for b in trail)
        found |= {c for c in pairs if "\u4e00" <= c <= "\u9fff"}
    return sorted(found)


def _variants(recipe: FontsRecipe, charset: Charset, pages: list[_Page]) -> list[NDArray[np.bool_]]:
    """For each page, which of its glyphs are variants, bool (G,)."""
    names = [*charset, *sorted({rival for page in pages for rival in page.rivals})]
    number = {c: i for i, c in enumerate(names)}
    neat = dict(draw_medians(charset.characters, recipe.side))
    vectors = [features(np.stack(list(neat.values())))] if neat else []
    meaning = [number[c] for c in neat]
    for page in pages:
        if page.font.reference:
            vectors += [page.features, *(v[None] for v in page.rivals.values())]
            meaning += [*page.labels.tolist(), *(number[c] for c in page.rivals)]
    counts = [len(page.labels) for page in pages]
    fonts = np.repeat(np.arange(len(pages)), counts)
    glyphs = np.concatenate([page.features for page in pages])
    labels = np.concatenate([page.labels for page in pages])
    references = np.concatenate(vectors) if vectors else glyphs[:0]
    variant = find_variants(glyphs, labels, fonts, references, np.array(meaning, np.int64))
    return np.split(variant, np.cumsum(counts)[:-1])
