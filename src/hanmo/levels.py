"""Arrays of numbers of any type and range -> grey levels or colours, uint8; and how large a picture may be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hanmo.colour import find_print, hide, to_grey
from hanmo.errors import ImageError, ImageTooLargeError

Grey = NDArray[np.uint8]

MAX_PIXELS = 16 * 2**20
"""Largest number of pixels of a picture: width times height."""
MAX_SIDE = 16_384
"""Largest width and largest height of a picture, in pixels. A line of 16 million pixels is no character, and a few
kilobytes hold it."""

_FAINT = 12
"""A transparent picture over white whose grey levels differ by less counts as one tone; its opaque part is the ink."""
CHANNELS = (1, 3, 4)
"""Entries of an array's third axis: grey, RGB, RGB with transparency."""


def grey_of_array(array: NDArray[Any]) -> Grey:
    levels = _levels(array)
    if levels.ndim == 2:
        return levels.copy()
    return to_grey(levels) if levels.shape[2] == 3 else without_alpha(levels)


def colours_of_array(array: NDArray[Any]) -> Grey:
    levels = _levels(array)
    if levels.ndim == 2:
        return repeated(levels)
    if levels.shape[2] == 3:
        return levels.copy()
    return _over_white(levels[..., :3], levels[..., 3:].astype(np.uint16))


def repeated(grey: Grey) -> Grey:
    return np.repeat(grey[..., None], 3, axis=2)


def _levels(array: NDArray[Any]) -> Grey:
    """An array of any kind that is allowed as uint8 (H, W), (H, W, 3) or (H, W, 4)."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in CHANNELS):
        raise ImageError(
            "an array must be (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); for many pictures in one use recognize_batch"
        )
    check_size(array.shape[1], array.shape[0])
    if array.dtype == np.bool_:
        levels = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype == np.uint8:
        levels = array
    elif array.dtype.kind == "u" and array.dtype.itemsize == 2:
        levels = ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    elif array.dtype.kind == "f":
        if not (array.min() >= 0 and array.max() <= 1):  # written so that NaN fails too
            raise ImageError("floats must lie between 0 and 1; divide by the value of white, or convert to uint8")
        levels = _to_uint8(array * 255.0)
    else:
        raise ImageError("an array must be uint8, uint16, bool, or floats between 0 and 1; convert it to uint8")
    return levels


def without_alpha(rgba: Grey) -> Grey:
    """(H, W, 4) -> (H, W) over white; where that leaves one tone, the opaque part is the ink (white on nothing)."""
    if rgba[..., 3].min() == 255:
        return to_grey(rgba[..., :3])
    luma = np.array(Image.fromarray(np.ascontiguousarray(rgba[..., :3])).convert("L"))
    alpha = rgba[..., 3].astype(np.uint16)
    composite = _over_white(luma, alpha)
    if np.ptp(composite) < _FAINT <= np.ptp(alpha):
        return (255 - alpha).astype(np.uint8)
    pixels = _over_white(rgba[..., :3], alpha[..., None])
    found = find_print(pixels)
    return composite if found is None else hide(pixels, found)


def _over_white(levels: Grey, alpha: NDArray[np.uint16]) -> Grey:
    return ((levels * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def by_range(values: NDArray[np.float64]) -> Grey:
    """Pillow's modes ``I`` and ``F`` do not define white: it is the smallest usual value that no pixel exceeds."""
    if values.min() >= 0:
        for white in (1, 255, 65535):
            if values.max() <= white:
                return _to_uint8(values * (255 / white))
    raise ImageError("its pixels lie outside 0 to 65535; convert it to 8-bit grey")


def _to_uint8(values: NDArray[Any]) -> Grey:
    return (values + 0.5).astype(np.uint8)


def check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"{width}x{height} holds no pixels; save the picture again")
    if width * height > MAX_PIXELS:
        raise ImageTooLargeError(f"{width}x{height} is more than {MAX_PIXELS:,} pixels; save a smaller picture")
    if max(width, height) > MAX_SIDE:
        raise ImageTooLargeError(f"{width}x{height} is longer than {MAX_SIDE:,} pixels; cut the character out")
