"""Picture files of very many parts: refused before they are decoded, while ordinary files pass."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from attacks.budget import budget
from hanmo.errors import ImageError, ImageTooLargeError
from hanmo.image import load

MEGABYTE = 2**20


def saved(kind: str, size: tuple[int, int] = (64, 48), mode: str = "L", **options: object) -> bytes:
    noise = np.random.default_rng(5).integers(0, 256, size[::-1], np.uint8)
    file = BytesIO()
    Image.fromarray(noise).convert(mode).save(file, kind, **options)
    return file.getvalue()


def more_scans(data: bytes, number: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * number + data[-2:]


def before_the_first_scan(data: bytes, segments: bytes) -> bytes:
    return data[:2] + segments + data[2:]


def chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(before: bytes = b"", after: bytes = b"") -> bytes:
    data = saved("png")
    start = data.index(b"IDAT") - 4
    return data[:start] + before + data[start:-12] + after + data[-12:]


def gif(before: bytes) -> bytes:
    data = saved("gif")
    start = 13 + 3 * 256
    assert data[10] & 0x87 == 0x87
    return data[:start] + before + data[start:]


def tiff(numbers: int, kind: int = 4, tag: int = 273) -> bytes:
    tags = [(256, 4, 1, 20), (257, 4, 1, 20), (258, 3, 1, 8), (262, 3, 1, 1), (tag, kind, numbers, 200)]
    entries = b"".join(struct.pack("<HHII", *entry) for entry in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + bytes(4 * numbers + 400)


def bmp_in_runs(size: int) -> bytes:
    head = struct.pack("<IIIIIIHHIIIIII", 0, 0, 1078, 40, 4000, 4000, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + head + bytes(1024) + b"\x01\x05" * (size // 2)


BOMBS: dict[str, Callable[[], bytes]] = {
    "4,000 scans": lambda: more_scans(saved("jpeg", progressive=True), 4000),
    "scans of a large picture": lambda: more_scans(saved("jpeg", (1200, 1000), progressive=True), 100),
    "scans after bytes of filling": lambda: more_scans(saved("jpeg", progressive=True), 90).replace(
        b"\xff\xda", b"\xff" * 9 + b"\xda"
    ),
    "segments": lambda: before_the_first_scan(saved("jpeg"), b"\xff\xfe\0\2" * (2 * MEGABYTE)),
    "filling": lambda: before_the_first_scan(saved("jpeg"), b"\xff" * (8 * MEGABYTE)),
    "empty chunks": lambda: png(chunk(b"IDAT") * MEGABYTE),
    "chunks after the picture": lambda: png(after=chunk(b"tEXt") * MEGABYTE),
    "comments": lambda: gif(b"!\xfe\1a\0" * (3 * MEGABYTE)),
    "one comment of many blocks": lambda: gif(b"!\xfe" + b"\1a" * (7 * MEGABYTE) + b"\0"),
    "no blocks": lambda: gif(b"\0" * (15 * MEGABYTE)),
    "strips": lambda: tiff(3 * MEGABYTE),
    "fractions": lambda: tiff(MEGABYTE, kind=5, tag=282),
    "bits": lambda: tiff(3 * MEGABYTE, kind=3, tag=258),
    "another white": lambda: b"P5 3000 3000 77\n" + b"1" * 9_000_000,
    "numbers as text": lambda: b"P2 2000 2000 255\n" + b"1 " * 4_000_000,
    "comments of a ppm": lambda: b"P2 20 20 255\n" + b"#\n" * MEGABYTE + b"1 " * 400,
    "a head of blanks": lambda: b"P5 " + b" " * (8 * MEGABYTE) + b"20 20 255\n" + b"1" * 400,
    "runs": lambda: bmp_in_runs(8 * MEGABYTE),
}


@pytest.mark.parametrize("name", BOMBS)
def test_many_parts_are_refused_at_once(name: str) -> None:
    data = BOMBS[name]()
    with budget(), pytest.raises(ImageError):
        load(data)


ORDINARY: dict[str, Callable[[], bytes]] = {
    "progressive": lambda: saved("jpeg", (900, 700), "RGB", progressive=True),
    "in four inks": lambda: saved("jpeg", mode="CMYK", progressive=True),
    "64 scans": lambda: more_scans(saved("jpeg", progressive=True), 58),
    "a thumbnail of its own": lambda: before_the_first_scan(
        saved("jpeg"), b"\xff\xe1" + struct.pack(">H", 2 + 100 * 8) + b"\xff\xda\xff\xd9aaaa" * 100
    ),
    "a picture after the end": lambda: saved("jpeg") + more_scans(saved("jpeg", progressive=True), 4000),
    "restarts": lambda: saved("jpeg", (900, 700), restart_marker_blocks=1),
    "chunks": lambda: png(chunk(b"tEXt", b"a\0b") * 3000),
    "comment": lambda: gif(b"!\xfe" + b"\xff" + b"a" * 255 + b"\0"),
    "strips": lambda: saved("tiff", (10, 5000), compression="raw", strip_size=10),
    "ppm": lambda: b"P5 # by hand\n 20 20\r\n#white\n 255 " + bytes(range(100)) * 4,
    "pbm": lambda: b"P4 16 2\n\1\2\3\4",
    "pbm as text": lambda: b"P1 3 2\n101 010",
    "16 bits": lambda: b"P5 1100 1000 65535 " + bytes(range(100)) * 22_000,
    "twelve bits": lambda: b"P5 200 200 4095 " + bytes([1, 2]) * 40_000,
    "bmp": lambda: saved("bmp"),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_files_are_read(name: str) -> None:
    assert load(ORDINARY[name]()).size > 1


def test_the_message_names_the_scans() -> None:
    with pytest.raises(ImageTooLargeError, match="a JPEG of more than 64 scans; save it again, not progressive"):
        load(more_scans(saved("jpeg", progressive=True), 59))
