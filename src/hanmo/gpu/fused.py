"""Steps of several operations that a GPU does in one kernel, so that its memory is read and written once.

``torch.cuda.jiterator`` compiles a kernel at its first use, in about a second, by the compiler that comes with torch.
On a CPU the same steps are operations of torch, one after another.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.cuda.jiterator import _create_jit_fn as new_kernel


class Levels(NamedTuple):
    """What numbers are rounded to: ``scale`` times whole numbers from ``least - zero`` to ``most - zero``."""

    scale: float
    zero: int
    least: int
    most: int


_ARGUMENTS = "T a, T b, double scale, double zero, double least, double most"
_DEFAULTS = {"scale": 1.0, "zero": 0.0, "least": 0.0, "most": 255.0}
# torch.fake_quantize_per_tensor_affine, in single precision.
_ROUND = """
    float level = nearbyintf(value * (1.0f / float(scale))) + float(zero);
    value = (fminf(float(most), fmaxf(float(least), level)) - float(zero)) * float(scale);
"""
_ONE = """template <typename T> T rounded_NAME(ARGUMENTS) {
    float value = float(a) SIGN float(b);
    ROUND
    return T(value);
}"""
# Four numbers of half precision in one of 64 bits: kernels that broadcast are as fast as the memory only with numbers
# of this size.
_FOUR = """template <typename T> T rounded_NAME_of_four(ARGUMENTS) {
    T four = 0;
    for (int place = 0; place < 64; place += 16) {
        unsigned short bits_of_a = a >> place, bits_of_b = b >> place, bits;
        float first, second;
        asm("cvt.f32.f16 %0, %1;" : "=f"(first) : "h"(bits_of_a));
        asm("cvt.f32.f16 %0, %1;" : "=f"(second) : "h"(bits_of_b));
        float value = first SIGN second;
        ROUND
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
        four |= T(bits) << place;
    }
    return four;
}"""


class _Rounded:
    """``torch.fake_quantize_per_tensor_affine`` of the sum or the product of two tensors, which broadcast."""

    def __init__(self, name: str, sign: str) -> None:
        def source(template: str) -> str:
            named = template.replace("NAME", name).replace("SIGN", sign)
            return named.replace("ARGUMENTS", _ARGUMENTS).replace("ROUND", _ROUND)

        self._one, self._four = new_kernel(source(_ONE), **_DEFAULTS), new_kernel(source(_FOUR), **_DEFAULTS)

    def __call__(self, a: Tensor, b: Tensor, levels: Levels) -> Tensor:
        """On a GPU."""
        numbers = {name: float(number) for name, number in levels._asdict().items()}
        if _are_fours(a, b):
            fours: Tensor = self._four(_in_fours(a), _in_fours(b), **numbers)
            return fours.view(torch.float16).permute(0, 3, 1, 2)
        result: Tensor = self._one(a, b, **numbers)
        return result


def _are_fours(a: Tensor, b: Tensor) -> bool:
    """Whether the channels of (N, C, H, W) lie side by side, and four of them in 64 bits."""
    half = a.dtype == b.dtype == torch.float16 and torch.version.hip is None  # the code above is for CUDA
    same = a.ndim == b.ndim == 4 and a.shape[1] == b.shape[1]
    return half and same and a.shape[1] % 4 == 0 and a.is_contiguous(memory_format=torch.channels_last)


def _in_fours(x: Tensor) -> Tensor:
    """(N, C, H, W) as int64 (N, H, W, C / 4)."""
    count, channels, height, width = x.shape
    # Flat first: the strides of axes with one place may be anything.
    return x.permute(0, 2, 3, 1).contiguous().flatten().view(torch.int64).view(count, height, width, channels // 4)


_SUM, _PRODUCT = _Rounded("sum", "+"), _Rounded("product", "*")
_DILATION = new_kernel(
    """template <typename T> T dilation(T above, T here, T below, T inside) {
        T wide = above | here | below;
        return (wide | wide << 1 | wide >> 1) & inside;
    }"""
)


def rounded_sum(a: Tensor, b: Tensor, levels: Levels) -> Tensor:
    """``torch.fake_quantize_per_tensor_affine`` of ``a + b``."""
    return _SUM(a, b, levels) if a.is_cuda else torch.fake_quantize_per_tensor_affine(a + b, *levels)


def rounded_product(a: Tensor, b: Tensor, levels: Levels) -> Tensor:
    """The same of ``a * b``."""
    return _PRODUCT(a, b, levels) if a.is_cuda else torch.fake_quantize_per_tensor_affine(a * b, *levels)


def dilated(above: Tensor, here: Tensor, below: Tensor, inside: Tensor) -> Tensor:
    """Dilation by one cell within ``inside``: each number is a row of cells, one a bit; int64, all of one shape."""
    if here.is_cuda:
        result: Tensor = _DILATION(above, here, below, inside)
        return result
    wide = above | here | below
    return (wide | wide << 1 | wide >> 1) & inside
