"""Hostile and broken pictures: each must end in an ImageError that names its source, before much is allocated."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from attacks.budget import budget
from hanmo.errors import ImageError, ImageTooLargeError
from hanmo.image import MAX_PIXELS, MAX_SIDE, load
from hanmo.normalize import Normalization

KINDS = ["png", "jpeg", "webp", "bmp", "gif", "tiff", "ppm"]


def picture(kind: str) -> bytes:
    pixels = np.random.default_rng(7).integers(0, 256, (24, 30), np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_claiming(width: int, height: int) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")


def gif_claiming(width: int, height: int, frame: tuple[int, int]) -> bytes:
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return screen + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x4c\x01\x00;"


def bmp_claiming(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IIIIIIHHIIIIII", 54, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def tiff_claiming(width: int, height: int, tile: int = 0) -> bytes:
    tags = [(256, width), (257, height), (258, 8), (259, 8), (262, 1), (277, 1)]
    tags += [(322, tile), (323, tile), (324, 8), (325, 10)] if tile else [(273, 8), (278, height), (279, 10)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags))
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + bytes(4)


def webp_claiming(width: int, height: int) -> bytes:
    canvas = struct.pack("<I", 0) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + canvas
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    "data",
    [
        png_claiming(50_000, 50_000),
        png_claiming(2**31 - 1, 2**31 - 1),
        png_claiming(MAX_PIXELS + 1, 1),
        gif_claiming(50_000, 50_000, (50_000, 50_000)),
        gif_claiming(10, 10, (10_000, 10_000)),  # a frame that outgrows its screen
        bmp_claiming(50_000, 50_000),
        tiff_claiming(50_000, 50_000),
        tiff_claiming(64, 64, tile=12_000),  # a small picture in one huge tile
        b"P5 50000 50000 255\n\0",
    ],
    ids=["png", "png-max", "png-line", "gif", "gif-frame", "bmp", "tiff", "tiff-tile", "ppm"],
)
def test_bombs_are_refused_before_they_are_decoded(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ImageTooLargeError):
            load(data)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", [(4_000_000, 1), (1, 4_000_000), (MAX_PIXELS, 1), (MAX_SIDE + 1, 3)])
def test_a_line_of_millions_of_pixels_is_refused(size: tuple[int, int], mode: str) -> None:
    file = BytesIO()
    Image.new(mode, size, "white").save(file, "png")
    with budget(), pytest.raises(ImageTooLargeError, match=r"longer than 16,384 pixels; cut the character out"):
        load(file.getvalue())


@pytest.mark.parametrize("version", [1, 2])
def test_the_longest_line_is_read_in_little_memory(version: Any) -> None:
    line = np.full((1, MAX_SIDE), 255, np.uint8)
    line[0, 5000:9000] = 0
    with budget(), suppress(ImageError):
        Normalization(version=version).inspect(load(line))


def test_version_1_of_the_normalisation_refuses_what_would_take_gigabytes() -> None:
    with budget(), pytest.raises(ImageTooLargeError, match="4000000x1 is longer"):
        Normalization(version=1).inspect(np.zeros((1, 4_000_000), np.uint8))


def test_a_webp_bomb_is_refused() -> None:
    with pytest.raises(ImageError):
        load(webp_claiming(16_383, 16_383))


def test_a_png_that_inflates_beyond_its_size_gives_no_more_than_its_size() -> None:
    data = png_claiming(20, 10).replace(zlib.compress(bytes(1000)), b"")
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 20, 10, 8, 0, 0, 0, 0))
    bomb = png_chunk(b"IDAT", zlib.compress(bytes(20_000_000), 9))
    assert load(data[:8] + header + bomb + png_chunk(b"IEND", b"")).shape == (10, 20)


def test_compressed_text_in_a_png_cannot_fill_the_memory() -> None:
    text = png_chunk(b"zTXt", b"bomb\0\0" + zlib.compress(bytes(200_000_000), 9))
    data = picture("png")
    with pytest.raises(ImageError, match="damaged PNG"):
        load(data[:33] + text + data[33:])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"hello, this is no picture", "not a picture"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"  \n<svg onload='alert(1)'/>", "SVG"),
        (b"%PDF-1.7\n", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a picture"),  # never handed to Ghostscript
        (b"\x00\x00\x01\x00\x01\x00", "not a picture"),
        (b"PK\x03\x04", "not a picture"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "damaged WEBP"),
        (b"P7\nWIDTH 1\n", "not a picture"),
        (b"P5 -3 4 255\n", "damaged PPM"),
        (b"P2 3 4 0\n", "damaged PPM"),
    ],
)
def test_what_is_no_picture(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_files(kind: str) -> None:
    data = picture(kind)
    for length in {1, 4, 9, 20, len(data) // 4, len(data) // 2, len(data) - 40}:
        with pytest.raises(ImageError):
            load(data[:length])


def test_a_png_with_a_wrong_checksum() -> None:
    data = bytearray(picture("png"))
    data[data.index(b"IDAT") + 20] ^= 1
    with pytest.raises(ImageError, match="damaged PNG"):
        load(bytes(data))


@given(st.binary(max_size=300))
def test_random_bytes(data: bytes) -> None:
    with pytest.raises(ImageError):
        load(data)


@given(st.sampled_from(KINDS), st.data())
def test_random_damage_gives_a_picture_or_an_image_error(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(picture(kind))
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        grey = load(bytes(damaged))
    except ImageError:
        return
    assert grey.dtype == np.uint8
    assert 0 < grey.size <= MAX_PIXELS


HEADS = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"BM", b"GIF89a", b"II*\0", b"P6"]


@given(st.sampled_from(HEADS), st.binary(max_size=80))
def test_right_beginnings_with_random_continuation(head: bytes, rest: bytes) -> None:
    with suppress(ImageError):
        assert load(head + rest).size <= MAX_PIXELS


@given(st.recursive(st.floats() | st.integers() | st.text(max_size=3) | st.none(), lambda x: st.lists(x, max_size=4)))
def test_anything_as_strokes(junk: object) -> None:
    if isinstance(junk, str):
        return
    with suppress(ImageError):
        assert load(junk).ndim == 2  # type: ignore[arg-type]
