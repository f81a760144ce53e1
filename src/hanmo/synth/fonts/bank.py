"""The glyph bank: the characters of many handwriting-like fonts in one small file.

    hanmo glyphs 2        the format
    SHA-256               of every byte after this line, hexadecimal
    {"charset": …}        one line of JSON: charset and its digest, side and margin, the fonts, bytes of each below
    an LZMA stream for each font: uint16 (G,) classes in ascending order, then uint8 (G, S, S / 4) of 2-bit levels,
    each row of a picture XOR the row above it
    perhaps another LZMA stream, the layouts: uint8 (G,) strokes of each glyph, uint8 (G,) errors, int8 (K, 6) steps

Level 0 is paper, 3 full ink; a byte holds four pixels, the leftmost in its highest bits. Numbers are little-endian.
:mod:`hanmo.synth.fonts.build` makes a bank from font files; reading one needs numpy alone.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.atomic import write_whole
from hanmo.charset import Charset
from hanmo.config import from_table
from hanmo.errors import ArgumentError, ConfigError, FontError
from hanmo.files import open_file, read_limited

FORMAT = 2
"""Version of the file format: increased when older versions of hanmo could not read the file."""

LEVELS = 4
"""Grey levels of a pixel: two bits."""
SIDES = (64, 96)
"""Sides of pictures, in pixels, that a bank may have."""

_MAGIC = b"hanmo glyphs "
_REMEDY = "make it again with `hanmo glyphs`"
_MOST_GLYPHS = 65_536  # of a font: as many as classes can be numbered with 16 bits
_MAX_BANK = 2**31  # bytes of a file; the bank of 10,468 characters in 37 fonts has some 130 MB
_THREADS = 4
# Of the LZMA settings these packed 2-bit pictures best; they are part of the format.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 2, "lp": 0, "pb": 0, "dict_size": 1 << 23}]

_SHIFTS = np.array([6, 4, 2, 0], np.uint8)

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class FontRecord:
    """One font of a bank: where it comes from, and how many glyphs it has."""

    name: str
    licence: str
    """An SPDX expression."""
    package: str
    version: str
    glyphs: int
    """Glyphs in the bank."""
    variants: int
    """Glyphs left out because they show a variant form or another character (:mod:`hanmo.synth.fonts.variants`)."""
    missing: int
    """Characters of the charset that the font does not have."""
    weight: float = 1.0
    """How often the font is used, relative to the others."""
    note: str = ""


class Fits(NamedTuple):
    """How the printed medians were fitted to G glyphs, see :mod:`hanmo.synth.fonts.layouts`."""

    strokes: NDArray[np.int64]
    """(G,): strokes of each glyph's character."""
    error: Bytes
    """(G,): root mean square distance of strokes and ink, in thousandths of the character's side, 255 at most."""
    moved: NDArray[np.int8]
    """(K, 6): the displacements of all their strokes, in units of :data:`hanmo.synth.fonts.layouts.STEPS`."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GlyphBank:
    """The G glyphs of all fonts, font by font and in the order of the charset within each; read-only arrays."""

    path: Path
    charset: Charset
    side: int
    margin: int
    """Pixels of paper around every glyph, whose ink is fitted to the rest as by :mod:`hanmo.normalize`'s ``fit``."""
    fonts: tuple[FontRecord, ...]
    packed: Bytes
    """uint8 (G, side * side / 4), four pixels of two bits a byte, the leftmost in the highest bits."""
    font: NDArray[np.int64]
    """(G,) indices into ``fonts``."""
    label: NDArray[np.int64]
    """(G,) classes."""
    digest: str
    """SHA-256 of the file's content: it identifies the bank."""
    layouts: Fits | None = None

    def __len__(self) -> int:
        return len(self.label)

    def weights(self, names: Collection[str] = ()) -> NDArray[np.float64]:
        """How often each font is used, float64 (fonts,): 0 for those that are not among ``names`` (none: all are)."""
        return np.array([f.weight if not names or f.name in names else 0.0 for f in self.fonts], np.float64)

    def pictures(self, rows: NDArray[np.integer] | Sequence[int] | slice) -> Bytes:
        """The glyphs ``rows`` as uint8 (n, side, side), 0 = paper, 255 = ink."""
        return unpack_levels(self.packed[rows], self.side) * np.uint8(255 // (LEVELS - 1))

    @classmethod
    def open(cls, path: str | Path) -> GlyphBank:
        """Read a bank as a whole, some seconds for a hundred thousand glyphs.

        Raises :class:`FontError` when it is missing, damaged or newer than this program.
        """
        path = Path(path)
        digest, head, payload = _split(path, _read(path))
        try:
            return cls._parse(path, digest, json.loads(head), payload)
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError, lzma.LZMAError) as error:
            raise FontError(f"{path}: damaged ({error}); {_REMEDY}") from error

    @classmethod
    def _parse(cls, path: Path, digest: str, head: Mapping[str, Any], payload: memoryview) -> GlyphBank:
        charset, side, margin = Charset(head["charset"]), head["side"], int(head["margin"])
        if charset.digest != head["charset_digest"]:
            raise ValueError("the charset is not the one its digest names")
        if side not in SIDES:
            raise ValueError(f"pictures of side {side!r}")
        fonts = tuple(from_table(table, FontRecord, "fonts") for table in head["fonts"])
        sizes = list(map(int, head["bytes"]))
        if not 0 <= len(sizes) - len(fonts) <= 1 or min(sizes, default=0) < 0 or sum(sizes) != len(payload):
            raise ValueError("the lengths of its parts disagree")
        starts = np.cumsum([0, *sizes])
        parts = [payload[a : a + n] for a, n in zip(starts.tolist(), sizes, strict=False)]
        with ThreadPoolExecutor(_THREADS) as pool:  # the decompressor works outside Python's lock
            pages = zip(parts, fonts, strict=False)
            done = list(pool.map(lambda page: _decode(page[0], page[1].glyphs, side, len(charset)), pages))
        packed = np.concatenate([p for _, p in done]) if done else np.zeros((0, side * side // 4), np.uint8)
        label = np.concatenate([c for c, _ in done]) if done else np.zeros(0, np.int64)
        font = np.repeat(np.arange(len(fonts)), [f.glyphs for f in fonts])
        for array in (packed, font, label):
            array.setflags(write=False)
        fits = _decode_fits(parts[-1], len(label)) if len(parts) > len(fonts) else None
        return cls(
            path=path, charset=charset, side=side, margin=margin, fonts=fonts, packed=packed, font=font, label=label,
            digest=digest, layouts=fits,
        )  # fmt: skip


def write_bank(
    out: str | Path,
    charset: Charset,
    fonts: Sequence[FontRecord],
    glyphs: Sequence[tuple[NDArray[np.integer], Bytes]],
    *,
    side: int,
    margin: int,
    layouts: Fits | None = None,
) -> GlyphBank:
    """Write a bank, whole or not at all, and open it.

    ``glyphs`` has for each font its classes (G,), ascending, and its packed levels, uint8 (G, side * side / 4).
    ``layouts`` are of all these glyphs in the same order.
    Raises :class:`ConfigError` for another side than :data:`SIDES`, :class:`ArgumentError` for too large a charset,
    :class:`StorageError`.
    """
    check_side(side)
    if len(charset) > _MOST_GLYPHS:
        raise ArgumentError(
            f"a charset of {len(charset):,} characters is too large for a bank of glyphs: at most 65,536"
        )
    with ThreadPoolExecutor(_THREADS) as pool:
        parts = list(pool.map(lambda entry: _encode(entry[0], entry[1], side), glyphs))
    if layouts:
        raw = b"".join([layouts.strokes.astype(np.uint8).tobytes(), layouts.error.tobytes(), layouts.moved.tobytes()])
        parts.append(lzma.compress(raw, lzma.FORMAT_RAW, filters=_FILTERS))
    head = {
        "charset": str(charset),
        "charset_digest": charset.digest,
        "side": side,
        "margin": margin,
        "fonts": [asdict(font) for font in fonts],
        "bytes": [len(part) for part in parts],
    }
    body = b"".join([json.dumps(head, ensure_ascii=False).encode(), b"\n", *parts])
    digest = hashlib.sha256(body).hexdigest()
    write_whole(Path(out), b"%s%d\n%s\n%s" % (_MAGIC, FORMAT, digest.encode(), body))
    return GlyphBank.open(out)


def check_side(side: int) -> None:
    """Raise :class:`ConfigError` unless a bank may have pictures of this side."""
    if side not in SIDES:
        raise ConfigError(f"side = {side} is impossible; one of {', '.join(map(str, SIDES))} pixels")


def pack_levels(squares: Bytes) -> Bytes:
    """Pictures (n, side, side), 0 = paper, 255 = ink -> their nearest levels, uint8 (n, side * side / 4)."""
    level = ((squares.astype(np.uint16) * (LEVELS - 1) + 127) // 255).astype(np.uint8).reshape(len(squares), -1, 4)
    packed: Bytes = np.bitwise_or.reduce(level << _SHIFTS, axis=-1)
    return packed


def unpack_levels(packed: Bytes, side: int) -> Bytes:
    """uint8 (n, side * side / 4) -> levels 0 to 3, uint8 (n, side, side)."""
    return (packed[..., None] >> _SHIFTS & np.uint8(LEVELS - 1)).reshape(len(packed), side, side)


def _encode(labels: NDArray[np.integer], packed: Bytes, side: int) -> bytes:
    rows = packed.reshape(-1, side, side // 4).copy()
    rows[:, 1:] ^= packed.reshape(rows.shape)[:, :-1]
    raw = labels.astype("<u2").tobytes() + rows.tobytes()
    return lzma.compress(raw, lzma.FORMAT_RAW, filters=_FILTERS)


def _decode(part: memoryview, count: int, side: int, classes: int) -> tuple[NDArray[np.int64], Bytes]:
    """The classes and packed levels of one font; raises ValueError or LZMAError."""
    if not 0 <= count <= classes:
        raise ValueError(f"a font of {count} glyphs")
    expected = count * (2 + side * side // 4)
    reader = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS)
    raw = reader.decompress(part, expected + 1)  # a small part may claim to be gigabytes
    if len(raw) != expected:
        raise ValueError(f"a font of {count} glyphs has another number of pixels")
    labels = np.frombuffer(raw, "<u2", count).astype(np.int64)
    if count and (labels[-1] >= classes or (np.diff(labels) <= 0).any()):
        raise ValueError("a font names classes that are none")
    rows = np.frombuffer(raw, np.uint8, offset=2 * count).reshape(count, side, side // 4)
    return labels, np.bitwise_xor.accumulate(rows, axis=1).reshape(count, side * side // 4)


def _decode_fits(part: memoryview, glyphs: int) -> Fits:
    """Raises ValueError or LZMAError."""
    reader = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS)
    raw = np.frombuffer(reader.decompress(part, glyphs * (2 + 255 * 6) + 1), np.uint8)
    strokes = raw[:glyphs].astype(np.int64)
    if len(raw) != 2 * glyphs + 6 * strokes.sum():
        raise ValueError("its layouts have another number of strokes")
    return Fits(strokes, raw[glyphs : 2 * glyphs], raw[2 * glyphs :].view(np.int8).reshape(-1, 6))


def _read(path: Path) -> bytes:
    try:
        with open_file(path) as file:
            if file.read(len(_MAGIC)) != _MAGIC:  # another file, perhaps a large one
                return b""
        return read_limited(path, _MAX_BANK)
    except OSError as error:
        raise FontError(f"{path}: no bank of glyphs ({error.strerror}); make one with `hanmo glyphs`") from error


def _split(path: Path, data: bytes) -> tuple[str, bytes, memoryview]:
    """Digest, header and payload of a file's content, the digest checked."""
    magic, _, rest = data.partition(b"\n") if data.startswith(_MAGIC) else (b"", b"", b"")
    version = magic.removeprefix(_MAGIC)
    if not version.isdigit() or len(version) > 9:
        raise FontError(f"{path}: not a bank of glyphs; make one with `hanmo glyphs`")
    if int(version) > FORMAT:
        raise FontError(f"{path}: format {int(version)} is newer than this hanmo reads ({FORMAT}); update hanmo")
    digest, _, body = rest.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise FontError(f"{path}: damaged (its SHA-256 is not the one it names); {_REMEDY}")
    end = body.find(b"\n") + 1
    return digest.decode(), body[:end], memoryview(body)[end:]
