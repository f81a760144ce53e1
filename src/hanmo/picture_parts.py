"""The parts of a picture file, counted before it is decoded: scans, chunks, blocks, strips.

The time to decode a picture should depend on its pixels, which :mod:`hanmo.image` limits. It also depends on how many
parts the file has: a progressive JPEG of 700 kB can hold thousands of scans, each a pass over all pixels, and Pillow
walks through chunks, blocks and strips in Python. Real files have few parts, so each check here refuses far more of
them than any real file has. A check only counts: damage is left for the decoder to name.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping

from hanmo.errors import ImageError, ImageTooLargeError

MAX_SCANS = 64
"""Scans of a JPEG. A progressive colour picture has about 10; libjpeg-turbo advises to accept 500 at most."""
MAX_PARTS = 16_384
"""Chunks of a PNG, segments of a JPEG, blocks of a GIF. A PNG of 16 MiB, the largest file, has some 2,000."""
MAX_STRIPS = 65_536
"""Numbers in one entry of a TIFF: as many strips as the longest picture has rows, in each of four colours."""
MAX_SLOW_SAMPLES = 2**20
"""Pixels times colours of a PPM, and bytes of a BMP, that Pillow decodes in Python, at about a second a million."""
MAX_PPM_HEAD, MAX_PPM_COMMENTS = 4096, 100
"""Bytes of the head of a PPM file; comments in the whole of a file with its numbers as text."""

_FILL = 1024  # bytes 0xFF before a marker of a JPEG; encoders write one or a few


def check_jpeg(data: bytes) -> None:
    """Raise :class:`ImageTooLargeError` for more than :data:`MAX_SCANS` scans or :data:`MAX_PARTS` segments."""
    at, scans = 2, 0
    for _ in range(MAX_PARTS):
        found = _MARKER.search(data, at)
        if found is None or found[1] == _END_OF_IMAGE:
            return
        at = found.end()
        if at - found.start() > _FILL:
            break
        scans += found[1] == _START_OF_SCAN
        if scans > MAX_SCANS:
            raise ImageTooLargeError(f"a JPEG of more than {MAX_SCANS} scans; save it again, not progressive")
        if found[1] not in _WITHOUT_LENGTH:
            at += int.from_bytes(data[at : at + 2], "big")
    raise _too_many("segments of a JPEG, or bytes of filling between them", MAX_PARTS)


# A marker is 0xFF and a byte. In compressed data 0xFF 0x00 stands for 0xFF itself, and D0 to D7 are restart markers.
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
_START_OF_SCAN, _END_OF_IMAGE = b"\xda", b"\xd9"
_WITHOUT_LENGTH = (b"\x01", b"\xd8")


def check_png(data: bytes) -> None:
    """Raise :class:`ImageTooLargeError` for more than :data:`MAX_PARTS` chunks."""
    at = 8
    for _ in range(MAX_PARTS):
        if at + 8 > len(data) or data[at + 4 : at + 8] == b"IEND":
            return
        at += 12 + int.from_bytes(data[at : at + 4], "big")  # length, name and checksum are four bytes each
    raise _too_many("chunks of a PNG", MAX_PARTS)


def check_gif(data: bytes) -> None:
    """Raise :class:`ImageTooLargeError` for more than :data:`MAX_PARTS` blocks before the first picture."""
    if len(data) < 13:
        return
    # Bit 7: a table of colours follows, of three times 2, 4 ... 256 bytes.
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    inside = False  # an extension: its blocks each begin with their size, and one of size 0 is the last
    for _ in range(MAX_PARTS):
        if at >= len(data) or (not inside and data[at] in b",;"):  # the picture, or the end of the file
            return
        if inside:
            inside = data[at] > 0
            at += 1 + data[at]
        else:
            inside = data[at] == ord("!")
            at += 2 if inside else 1
    raise _too_many("blocks of a GIF", MAX_PARTS)


def check_tiff(data: bytes) -> None:
    """Raise :class:`ImageTooLargeError` for an entry of more than :data:`MAX_STRIPS` numbers, text aside."""
    order = "<" if data.startswith(b"II") else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (entries,) = struct.unpack_from(f"{order}H", data, at)
        for number in range(entries):
            _, kind, count = struct.unpack_from(f"{order}HHI", data, at + 2 + 12 * number)
            if count > MAX_STRIPS and kind not in _TIFF_BYTES:
                raise _too_many("strips or other numbers of a TIFF", MAX_STRIPS)
    except struct.error:  # cut off
        return


_TIFF_BYTES = (1, 2, 6, 7)
"""TIFF's types of one byte each: texts and embedded files, which Pillow takes as a whole."""


def check_ppm(data: bytes) -> None:
    """Raise :class:`ImageTooLargeError` for a large picture that Pillow would decode in Python.

    That is one with its numbers as text, or with another white than 255, and 65,535 for grey.
    """
    head = re.sub(rb"#[^\r\n]*", b"", data[:MAX_PPM_HEAD])
    magic, *numbers = head.split(None, 4)[:4]
    as_text, colours = magic in (b"P1", b"P2", b"P3"), 3 if magic in (b"P3", b"P6") else 1
    bits = magic in (b"P1", b"P4")  # black and white: no number of white
    if len(numbers) < (2 if bits else 3) or not all(n.isdigit() and len(n) < 10 for n in numbers[: 2 if bits else 3]):
        raise ImageError("damaged PPM (its head holds no width, height and white); save the picture again")
    width, height, white = (int(n) for n in ([*numbers[:2], b"255"] if bits else numbers))
    fast = not as_text and (white == 255 or (white == 65535 and magic == b"P5"))
    if not fast and width * height * colours > MAX_SLOW_SAMPLES:
        raise ImageTooLargeError(f"a PPM as text, or of white {white}, of over a million numbers; save it as PNG")
    if as_text and data.count(b"#") > MAX_PPM_COMMENTS:
        raise _too_many("comments of a PPM", MAX_PPM_COMMENTS)


def check_bmp(data: bytes) -> None:
    """Raise :class:`ImageTooLargeError` for a large run-length encoded picture, which Pillow decodes in Python."""
    compression = int.from_bytes(data[30:34], "little")
    if compression in (1, 2) and len(data) > MAX_SLOW_SAMPLES:
        raise ImageTooLargeError("a BMP of over a megabyte in run-length encoding; save it as PNG")


def _too_many(what: str, limit: int) -> ImageTooLargeError:
    return ImageTooLargeError(f"more than {limit:,} {what}; save the picture again")


CHECKS: Mapping[str, Callable[[bytes], None]] = {
    "JpegImageFile": check_jpeg,
    "PngImageFile": check_png,
    "GifImageFile": check_gif,
    "TiffImageFile": check_tiff,
    "PpmImageFile": check_ppm,
    "BmpImageFile": check_bmp,
}
"""The check of each of Pillow's readers; WebP is decoded in C alone, and in one piece."""
