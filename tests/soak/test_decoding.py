"""The dearest pictures within the limits: a server decodes them in threads, which cannot be stopped.

So there must be no picture that takes long. Tried are 4096 x 4096 and 16,383 x 1,024 pixels of noise, of
flat paper and of lines, in every format and its slow variants; files larger than a server takes (8 MiB) are left out.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from attacks.budget import BUSY
from hanmo.errors import ImageError
from hanmo.image import MAX_PIXELS, load
from hanmo.normalize import Normalization
from hanmo.serve.config import ServeConfig

SECONDS = 1.0
"""Processor time that a picture may take on an idle core."""

VARIANTS = {
    "png": ("PNG", {}),
    "png, small": ("PNG", {"compress_level": 9}),
    "jpeg": ("JPEG", {"quality": 50}),
    "progressive jpeg": ("JPEG", {"quality": 50, "progressive": True}),
    "webp": ("WEBP", {"quality": 30, "method": 0}),
    "lossless webp": ("WEBP", {"lossless": True, "quality": 0, "method": 0}),
    "gif": ("GIF", {}),
    "tiff lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "tiff deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "tiff jpeg": ("TIFF", {"compression": "jpeg"}),
    "bmp": ("BMP", {}),
    "ppm": ("PPM", {}),
}


@cache
def contents(width: int, height: int) -> dict[str, NDArray[np.uint8]]:
    random = np.random.default_rng(1)
    noise = random.integers(0, 256, (height // 4 + 1, width // 4 + 1)).astype(np.uint8)
    strokes = np.full((height, width), 255, np.uint8)
    strokes[::64, :], strokes[:, ::64] = 0, 0
    return {
        "paper": np.full((height, width), 255, np.uint8),
        "noise": noise.repeat(4, axis=0).repeat(4, axis=1)[:height, :width],
        "lines": strokes,
    }


def files(kind: str, mode: str) -> Iterator[tuple[str, bytes]]:
    form, options = VARIANTS[kind]
    for size in ((4096, 4096), (16_383, 1024)):
        for name, pixels in contents(*size).items():
            file = io.BytesIO()
            Image.fromarray(pixels).convert(mode).save(file, form, **options)
            yield f"{name}, {size[0]} x {size[1]}", file.getvalue()


@pytest.mark.parametrize("mode", ["L", pytest.param("RGB", marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    "kind",
    [kind if kind in ("png", "progressive jpeg") else pytest.param(kind, marks=pytest.mark.soak) for kind in VARIANTS],
)
def test_no_picture_within_the_limits_holds_a_decoder(kind: str, mode: str) -> None:
    tried = 0
    for name, data in files(kind, mode):
        if len(data) > ServeConfig().max_body:
            continue
        started = time.thread_time()
        with suppress(ImageError):  # flat paper has no ink; noise may be refused
            Normalization(side=48).inspect(load(data))
        spent = time.thread_time() - started
        tried += 1
        print(f"{kind:22} {mode:4} {name:22} {len(data):9} {spent:.2f} s")
        assert spent < SECONDS * BUSY, f"{kind}, {name}: {spent:.1f} s"
    assert tried or kind in ("bmp", "ppm"), "as large as their pixels: the limit of 8 MiB holds first"


def test_the_limit_of_pixels_is_that_of_these_pictures() -> None:
    assert MAX_PIXELS == 4096 * 4096


def with_scans(jpeg: bytes, count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated until there are ``count``: each goes over the whole picture."""
    starts = [place for place in range(len(jpeg) - 1) if jpeg[place : place + 2] == b"\xff\xda"]
    return jpeg[:-2] + jpeg[starts[-1] : -2] * (count - len(starts)) + jpeg[-2:]


def test_a_jpeg_of_as_many_scans_as_are_allowed() -> None:
    file = io.BytesIO()
    Image.fromarray(contents(4096, 4096)["paper"]).save(file, "JPEG", quality=50, progressive=True)
    data = with_scans(file.getvalue(), 64)
    assert len(data) < ServeConfig().max_body
    started = time.thread_time()
    with suppress(ImageError):
        Normalization(side=48).inspect(load(data))
    spent = time.thread_time() - started
    print(f"64 scans {len(data)} {spent:.2f} s")
    assert spent < SECONDS * BUSY
