"""Files of all kinds, decoded by a browser and by Python."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hanmo.image import load
from hanmo.medians import load_medians
from hanmo.strokes import draw

EXAMPLE = Path(__file__).parents[3] / "examples" / "01-yong.png"
Ask = Callable[..., Any]


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def kinds() -> dict[str, tuple[bytes, int]]:
    """Files of one character as cameras, scanners and programs save them, and how many grey levels may differ.

    Differing are half transparent pixels outside PNG, which a canvas multiplies by alpha, and 16 bits.
    """
    grey = Image.fromarray(draw([stroke.tolist() for stroke in load_medians().of("翰")]))
    tint = Image.merge("RGB", (grey, grey.point(lambda v: 40 + v * 3 // 4), grey.point(lambda v: 90 + v // 2)))
    clear = tint.copy()
    clear.putalpha(grey.point(lambda v: 255 - v))
    white = Image.new("RGBA", grey.size, "white")
    white.putalpha(grey.point(lambda v: 255 - v))
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "PNG grey": (saved(grey, "png"), 0),
        "PNG colour": (saved(tint, "png"), 0),
        "PNG palette": (saved(tint.quantize(16), "png"), 0),
        "PNG two tones": (saved(grey.convert("1"), "png"), 0),
        "PNG bright on dark": (saved(grey.point(lambda v: 255 - v), "png"), 0),
        "PNG transparent": (saved(clear, "png"), 0),
        "PNG transparent grey": (saved(clear.convert("LA"), "png"), 0),
        "PNG white on nothing": (saved(white, "png"), 0),
        "PNG 16 bits": (saved(wide, "png"), 0),
        "JPEG grey": (saved(grey, "jpeg"), 0),
        "JPEG colour": (saved(tint, "jpeg"), 0),
        "JPEG halved colour": (saved(tint, "jpeg", subsampling=2, quality=60), 0),
        "JPEG turned": (saved(tint, "jpeg", exif=turned), 0),
        "WebP": (saved(tint, "webp"), 0),
        "WebP transparent": (saved(clear, "webp", lossless=True), 1),
        "WebP lossless": (saved(tint, "webp", lossless=True), 0),
        "BMP": (saved(tint, "bmp"), 0),
        "GIF": (saved(tint.quantize(16), "gif"), 0),
    }


@pytest.mark.parametrize("kind", kinds())
def test_pictures_are_decoded_as_python_decodes_them(page: Any, kind: str) -> None:
    data, tolerance = kinds()[kind]
    grey = load(data)
    levels = page.evaluate(
        """async (file) => {
            const { load } = await import(new URL("static/js/local/picture.js", document.baseURI));
            const { width, height, levels } = await load(blobOf(file));
            return [height, width, [...levels]];
        }""",
        base64.b64encode(data).decode(),
    )
    got: NDArray[np.int64] = np.array(levels[2]).reshape(levels[:2])
    assert got.shape == grey.shape
    assert np.abs(got - grey).max() <= tolerance


def test_one_that_cannot_be_read_stands_among_the_others(read: Ask) -> None:
    png = EXAMPLE.read_bytes()
    huge = png[:16] + (65_535).to_bytes(4, "big") * 2 + png[24:]
    tiff = saved(Image.new("L", (20, 20), 255), "tiff")
    blank = saved(Image.new("L", (20, 20), 255), "png")
    results = read(png, b"", b"%PDF-1.7", b"hello", tiff, huge, png[:300], blank, [[[0, 0]]] * 257, [[[0, 5], [9, 5]]])
    assert results[7] == {
        "name": "7.png",
        "character": None,
        "probability": 0,
        "refused": True,
        "reason": "blank",
        "candidates": [],
    }
    codes = [result["error"]["code"] if "error" in result else result["character"] for result in results]
    unusable, unsupported = "unusable_picture", "unsupported_format"
    assert codes == [
        "永",
        unusable,
        *[unsupported] * 3,
        "picture_too_large",
        unusable,
        None,
        "picture_too_large",
        "一",
    ]
    messages = [result.get("error", {}).get("message") for result in results]
    assert messages[1] == "the file is empty; save the picture again"
    assert messages[2] == "a PDF; save it as PNG, JPEG, WebP, BMP or GIF"
    assert messages[3] == "not a picture; save it as PNG, JPEG, WebP, BMP or GIF"
    assert messages[5] == "65535x65535 is more than 16,777,216 pixels; save a smaller picture"
    assert messages[6].startswith("damaged PNG")
    assert [result.get("name") for result in results[:2]] == ["0.png", "1.png"]


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp", "gif"])
def test_too_many_pixels_are_seen_in_the_header(read: Ask, kind: str) -> None:
    data = saved(Image.new("1" if kind == "bmp" else "L", (5000, 5000), 1), kind)
    (result,) = read(data)
    assert result["error"]["code"] == "picture_too_large"
    assert result["error"]["message"].startswith("5000x5000 is more than")


def test_a_long_line_is_refused(read: Ask) -> None:
    (result,) = read(saved(Image.new("L", (20_000, 2), 255), "png"))
    assert result["error"]["code"] == "picture_too_large"
    assert result["error"]["message"] == "20000x2 is longer than 16,384 pixels; cut the character out"
