"""A picture of any kind -> a grey picture: uint8 (H, W), 255 = paper, ink dark.

Every limit on a picture's size lives here, on strokes in :mod:`hanmo.strokes`.

A picture is decoded with Pillow, but not by ``Image.open``, which tries all of Pillow's formats: the first bytes
choose among seven, so that no other decoder gets data of unknown origin. The size in the header is checked before
anything is decoded, and so is the number of parts (:mod:`hanmo.picture_parts`). Whether a picture holds any ink is
checked by :mod:`hanmo.normalize`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from hanmo.colour import find_print, hide
from hanmo.errors import ImageError, ImageFormatError, ImageTooLargeError, one_line
from hanmo.files import open_file
from hanmo.levels import CHANNELS, by_range, check_size, colours_of_array, grey_of_array, repeated, without_alpha
from hanmo.levels import MAX_PIXELS as MAX_PIXELS
from hanmo.levels import MAX_SIDE as MAX_SIDE
from hanmo.picture_parts import CHECKS
from hanmo.polarity import ink_dark
from hanmo.strokes import Strokes, draw

Grey = NDArray[np.uint8]


class BinaryFile(Protocol):
    """A file that is open for reading in binary mode, or anything with its method ``read``."""

    def read(self, size: int, /) -> bytes: ...


Source: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryFile | Image.Image | NDArray[Any] | Strokes
)
"""What :func:`load` takes: a path, a file's bytes, an open binary file, a PIL image, an array or strokes."""

MAX_BYTES = 16 * 2**20
"""Largest size of a picture file, in bytes."""

_FORMATS: tuple[tuple[tuple[bytes, ...], type[ImageFile.ImageFile]], ...] = (
    ((b"\x89PNG\r\n\x1a\n",), PngImagePlugin.PngImageFile),
    ((b"\xff\xd8\xff",), JpegImagePlugin.JpegImageFile),
    ((b"RIFF",), WebPImagePlugin.WebPImageFile),
    ((b"BM",), BmpImagePlugin.BmpImageFile),
    ((b"GIF87a", b"GIF89a"), GifImagePlugin.GifImageFile),
    ((b"II*\0", b"MM\0*"), TiffImagePlugin.TiffImageFile),
    (tuple(b"P%d" % n for n in range(1, 7)), PpmImagePlugin.PpmImageFile),
)
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
"""Ends of names by which a folder's pictures are found; its other files (notes, thumbnail caches) are left alone."""
_KNOWN_STRANGERS = ((b"%PDF", "a PDF"), (b"<svg", "an SVG drawing"), (b"<?xml", "an SVG drawing or other XML"))


def load(source: Source) -> Grey:
    """Read one picture as uint8 (H, W), 255 = paper, ink dark.

    ``source`` is a path, the bytes of a PNG, JPEG, WebP, BMP, GIF, TIFF or PPM file, an open binary file of these, a
    PIL image, an array or strokes. Arrays are (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of uint8, uint16 (white is
    65,535), bool, or floats from 0 to 1. A transparent picture is laid over white; where that shows nothing, its
    opaque part is the ink. EXIF orientation is applied, an animation gives its first frame, and a picture with bright
    ink on a dark ground is inverted.

    Raises :class:`ImageTooLargeError` beyond the limits, :class:`ImageFormatError` for a file of another format,
    :class:`ImageError` for anything else unusable; all name the source. Pillow may warn about damaged metadata. The
    warning is not silenced here, because that would change the warnings of every thread; the command line does it.
    """
    with _naming(source):
        if isinstance(source, Sequence) and not isinstance(source, str | bytes | bytearray | memoryview):
            return draw(source)
        return ink_dark(_convert(source, _from_pil, grey_of_array))


def load_colours(source: Source) -> Grey:
    """Read one picture as uint8 (H, W, 3), red, green and blue, for what looks at more than one character.

    ``source`` and errors are those of :func:`load`, but strokes are refused. EXIF orientation is applied and a
    transparent picture is laid over white; no colour is hidden, and nothing is inverted.
    """
    with _naming(source):
        if isinstance(source, Sequence) and not isinstance(source, str | bytes | bytearray | memoryview):
            raise ImageError(
                "strokes are no picture of a page; give a path, bytes, an open file, a PIL image or an array"
            )
        return _convert(source, _colours_of_pil, colours_of_array)


@contextmanager
def _naming(source: object) -> Iterator[None]:
    """Put the source's name before the message of an :class:`ImageError`."""
    try:
        yield
    except ImageError as error:
        raise type(error)(f"{describe(source)}: {error}") from error.__cause__


def _convert(
    source: Source, from_pil: Callable[[Image.Image], Grey], from_array: Callable[[NDArray[Any]], Grey]
) -> Grey:
    if isinstance(source, str | os.PathLike):
        return _decode(_read(Path(source)), from_pil)
    if isinstance(source, bytes | bytearray | memoryview):
        return _decode(bytes(source), from_pil)
    if hasattr(source, "read") and not isinstance(source, Image.Image):
        return _decode(_read_open(cast(BinaryFile, source)), from_pil)
    if isinstance(source, Image.Image):
        with _decoding("cannot be decoded"):
            return from_pil(source)
    if isinstance(source, np.ndarray):
        return from_array(source)
    raise ImageError("not a picture; give a path, bytes, an open file, a PIL image, an array or strokes")


def describe(source: object) -> str:
    """A short printable name of a source for messages: its path, or its kind and size."""
    if isinstance(source, str | os.PathLike):
        name = os.fsdecode(source)
        name = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
        return name if len(name) <= 200 else f"{name[:200]}…"
    if isinstance(source, bytes | bytearray | memoryview):
        return f"picture of {len(source)} bytes"
    if isinstance(source, Image.Image):
        return f"PIL image {source.mode} {source.width}x{source.height}"
    if isinstance(source, np.ndarray):
        return f"array {source.shape} {source.dtype}"
    if isinstance(source, list | tuple):
        return f"{len(source)} strokes"
    path = getattr(source, "name", None)  # of an open file; a number where it was opened by its number
    return describe(path) if isinstance(path, str) and path else type(source).__name__


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder by name, sorted; sub-folders and hidden files are left out.

    Raises :class:`ImageError` for a folder that cannot be listed.
    """
    return sorted(_pictures_in(folder))


def has_pictures(folder: Path) -> bool:
    """Whether :func:`pictures_in` finds any, without listing all."""
    return next(_pictures_in(folder), None) is not None


def _pictures_in(folder: Path) -> Iterator[Path]:
    try:
        for path in folder.iterdir():
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file():
                yield path
    except OSError as error:
        raise ImageError(f"{describe(folder)}: cannot be listed ({error.strerror}); check its permissions") from error


def is_single(images: object) -> bool:
    """Whether ``images`` can only be one picture where many are expected; a list of strokes cannot be told apart."""
    if isinstance(images, np.ndarray):
        # Of three axes the last is colour where it has 1, 3 or 4 entries: no picture of a character is so narrow.
        return images.ndim < 3 or (images.ndim == 3 and images.shape[2] in CHANNELS)
    return isinstance(images, _SINGLE) or hasattr(images, "read")


_SINGLE = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image)


def _read_open(file: BinaryFile) -> bytes:
    data = bytearray()
    while len(data) <= MAX_BYTES:  # a pipe or socket may give less than it is asked for
        part: object
        try:
            part = file.read(MAX_BYTES + 1 - len(data))
        except UnicodeDecodeError:
            part = "text"  # only a file that is open as text decodes
        except (OSError, ValueError) as error:  # ValueError: the file is closed
            raise ImageError(f"cannot be read ({one_line(error)}); open it again") from error
        if not isinstance(part, bytes | bytearray | memoryview):
            raise ImageError("is open as text; open it with mode 'rb'")
        if not part:
            break
        data += part
    return bytes(data)


def _read(path: Path) -> bytes:
    try:
        with open_file(path) as file:
            # No more than the file has: Python sets aside what is asked for, which takes longer than a small file does.
            return file.read(min(os.fstat(file.fileno()).st_size, MAX_BYTES) + 1)
    except FileNotFoundError as error:
        raise ImageError("no such file; check the path") from error
    except IsADirectoryError as error:
        raise ImageError("is a folder; name the pictures in it") from error
    except OSError as error:
        raise ImageError(f"cannot be opened ({error.strerror or error}); check the path") from error


def _decode(data: bytes, from_pil: Callable[[Image.Image], Grey]) -> Grey:
    if not data:
        raise ImageError("the file is empty; save the picture again")
    if len(data) > MAX_BYTES:
        raise ImageTooLargeError(f"the file is larger than {MAX_BYTES / 2**20:.0f} MiB; save a smaller picture")
    reader = next((reader for heads, reader in _FORMATS if data.startswith(heads)), None)
    if reader is None:
        text = data.lstrip(b"\xef\xbb\xbf \t\r\n")  # without byte order mark and white space
        stranger = next((what for head, what in _KNOWN_STRANGERS if text.startswith(head)), "not a picture")
        raise ImageFormatError(f"{stranger}; save it as PNG, JPEG, WebP, BMP, GIF, TIFF or PPM")
    if check := CHECKS.get(reader.__name__):
        check(data)
    with _decoding(f"damaged {reader.__name__.removesuffix('ImageFile').upper()}"):
        return from_pil(reader(BytesIO(data)))


@contextmanager
def _decoding(problem: str) -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError(f"more than {MAX_PIXELS:,} pixels; save a smaller picture") from error
    except Exception as error:  # on damaged files Pillow's decoders let nearly every built-in exception through
        raise ImageError(f"{problem} ({one_line(error)}); save the picture again") from error


def _decoded(picture: Image.Image) -> Image.Image:
    """The picture with its pixels loaded and turned upright; its size is checked first."""
    width, height = picture.size
    check_size(width, height)
    if isinstance(picture, TiffImagePlugin.TiffImageFile):  # a tile may claim far more than the picture it belongs to
        check_size(*(_dimension(picture.tag_v2.get(tag, 1)) for tag in (_TILE_WIDTH, _TILE_LENGTH)))
    picture.load()
    return _upright(picture)


def _from_pil(picture: Image.Image) -> Grey:
    picture = _decoded(picture)
    if picture.mode.startswith("I;16"):
        return grey_of_array(np.asarray(picture))
    if picture.mode in ("I", "F"):
        return by_range(np.asarray(picture, np.float64))
    if picture.has_transparency_data:
        return without_alpha(np.asarray(picture.convert("RGBA")))
    if picture.mode in _GREY_MODES:
        return np.array(picture.convert("L"))
    rgb = picture.convert("RGB")
    if (found := find_print(rgb)) is not None:
        return hide(np.asarray(rgb), found)
    return np.array(rgb.convert("L") if picture.mode == "CMYK" else picture.convert("L"))


def _colours_of_pil(picture: Image.Image) -> Grey:
    picture = _decoded(picture)
    if picture.mode.startswith("I;16"):
        return colours_of_array(np.asarray(picture))
    if picture.mode in ("I", "F"):
        return repeated(by_range(np.asarray(picture, np.float64)))
    if picture.has_transparency_data:
        return colours_of_array(np.asarray(picture.convert("RGBA")))
    return np.array(picture.convert("RGB"))


_GREY_MODES = ("1", "L", "LA", "La")


_TILE_WIDTH, _TILE_LENGTH = 322, 323  # TIFF 6.0, section 15


def _dimension(tag: object) -> int:
    if not isinstance(tag, int):
        raise ImageError("damaged TIFF (a tile's size is no whole number); save the picture again")
    return tag


def _upright(picture: Image.Image) -> Image.Image:
    try:
        turned = picture.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(picture) if turned else picture  # it would copy an upright picture, too
    except Exception:  # metadata damaged in any way changes no pixel: the picture is taken as it is stored
        return picture
